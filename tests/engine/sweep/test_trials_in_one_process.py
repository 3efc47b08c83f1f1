"""Isolation of runs that share a process."""

import logging
import os
import random
import signal
import sys
import warnings
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch

from lightning_template.engine.sweep.isolation import isolated
from process_state import changes, process_state


def disturb(folder: Path) -> None:
    """Change all that a user's code is likely to change."""
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    os.environ["SOME_VARIABLE"] = "1"
    os.chdir(folder)
    os.umask(0o027)
    sys.path.append("elsewhere")
    sys.argv.append("more")
    signal.signal(signal.SIGUSR2, lambda *_: None)
    logging.getLogger("lightning.pytorch").setLevel(logging.DEBUG)
    logging.getLogger("lightning_template").handlers.append(logging.NullHandler())
    warnings.simplefilter("ignore")
    mpl.rcParams["lines.linewidth"] = 7
    np.seterr(all="ignore")
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.set_grad_enabled(False)
    torch.autograd.set_detect_anomaly(True)
    torch.set_float32_matmul_precision("medium")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = True


def drawn() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), torch.rand(()).item()


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_of_a_run_stays(workspace: Path, fails: bool) -> None:
    (workspace / "inner").mkdir()
    state, filters = process_state(), warnings.filters[:]
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)
    expected = drawn()
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)
    try:
        with isolated():
            disturb(workspace / "inner")
            assert len(changes(state, process_state())) > 8, "it does disturb"
            if fails:
                raise RuntimeError("as trials may")
    except RuntimeError:
        pass
    assert changes(state, process_state()) == {}
    assert warnings.filters == filters
    assert drawn() == expected
