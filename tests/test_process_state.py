"""What a test leaves changed is seen, so that no test depends on those before it."""

import locale
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection

import matplotlib as mpl
import numpy as np
import pytest
import torch

from process_state import process_state

CHANGES: dict[str, Callable[[], object]] = {
    "working directory": lambda: os.chdir("/"),
    "environment": lambda: os.environ.update(LEFT="1"),
    "import path": lambda: sys.path.append("left"),
    "arguments": lambda: sys.argv.append("left"),
    "umask": lambda: os.umask(0o013),
    "limits": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (99, resource.getrlimit(resource.RLIMIT_NOFILE)[1])),
    "signals": lambda: signal.signal(signal.SIGUSR2, signal.SIG_IGN),
    "locale": lambda: locale.setlocale(locale.LC_ALL, "POSIX"),
    "loggers": lambda: logging.getLogger("lightning.pytorch").setLevel(55),
    "handlers": lambda: logging.getLogger("lightning_template").addHandler(logging.NullHandler()),
    "children": lambda: get_context("fork").Process(target=signal.pause, daemon=True).start(),
    "matplotlib": lambda: mpl.rcParams.update({"font.size": 77}),
    "numpy": lambda: np.seterr(all="ignore"),
    "torch": lambda: torch.use_deterministic_algorithms(True),
}


def tell_changes(change: Callable[[], object], pipe: Connection) -> None:
    before = process_state()
    change()
    pipe.send([name for name, value in process_state().items() if value != before[name]])


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.filterwarnings("ignore:.*use of fork")
def test_a_change_is_seen(name: str) -> None:
    ours, theirs = get_context("fork").Pipe()
    child = get_context("fork").Process(target=tell_changes, args=(CHANGES[name], theirs))
    child.start()
    assert ours.recv() == [name]
    child.join()


def test_every_setting_is_looked_at() -> None:
    assert CHANGES.keys() == process_state().keys()
