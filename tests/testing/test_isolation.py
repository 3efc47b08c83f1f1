"""Whatever is done to the process in a check is undone afterwards."""

import logging
import os
import random
import tempfile
import warnings
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lightning_template.testing.isolation import LOGGERS, seed_all, undisturbed


def settings() -> dict[str, Any]:
    return {
        "dtype": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "threads": torch.get_num_threads(),
        "precision": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warn only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "environment": dict(os.environ),
        "temporary": tempfile.tempdir,
        "levels": [logging.getLogger(name).level for name in LOGGERS],
        "filters": warnings.filters[:],
        "random": (random.getstate(), str(np.random.get_state(legacy=False)), torch.get_rng_state().tolist()),
    }


def change() -> None:
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    torch.set_num_threads(2)
    torch.set_float32_matmul_precision("medium")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = True, True
    os.environ["ADDED"] = os.environ["CHANGED"] = "1"
    del os.environ["DELETED"]
    tempfile.tempdir = "/elsewhere"
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.DEBUG)
    warnings.simplefilter("error")
    seed_all(99)


@pytest.mark.parametrize("fails", [False, True])
def test_every_setting_is_restored(fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANGED", "0")
    monkeypatch.setenv("DELETED", "0")
    before = settings()
    try:
        with undisturbed():
            change()
            changed = settings()
            if fails:
                raise ZeroDivisionError
    except ZeroDivisionError:
        assert fails
    after = settings()
    assert after == before
    assert [name for name in before if changed[name] == before[name]] == []
    torch.use_deterministic_algorithms(True, warn_only=True)
    with undisturbed():
        torch.use_deterministic_algorithms(False)
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False)


def test_a_check_is_silent_and_leaves_no_file() -> None:
    with undisturbed():
        warnings.warn("this is ignored", stacklevel=1)
        assert {logging.getLogger(name).level for name in LOGGERS} == {logging.ERROR}
        folder = Path(tempfile.mkdtemp())
        assert folder.is_dir()
        assert not Path(get_temp_dir()).is_relative_to(folder.parent)
    assert not folder.parent.exists()


def test_all_generators_are_seeded() -> None:
    def draw(seed: int) -> list[float]:
        seed_all(seed)
        return [random.random(), np.random.random(), torch.rand(1).item()]

    with undisturbed():
        one, same, other = draw(3), draw(3), draw(4)
    assert one == same
    assert not {*one} & {*other}
