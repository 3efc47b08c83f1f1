"""Settings of the process that a test must leave as it found them."""

import locale
import logging
import os
import resource
import signal
import sys
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch

LIMITS = {name: getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}
LOGGERS = ("lightning.pytorch", "lightning.fabric", "lightning_template")

OF_OTHERS = ("PYTEST_CURRENT_TEST", "TORCHINDUCTOR_", "_TORCHINDUCTOR_")
"""Beginnings of the names that pytest sets, and torch's compiler once it was used."""

VENDORED = "setuptools/_vendor"
"""End of the path that setuptools adds when torch's compiler imports it."""

OTHERS = {signal.SIGCHLD, signal.SIGALRM}
"""Signals that torch handles for good, once a loader had workers, and pytest-timeout."""


def process_state() -> dict[str, Any]:
    """Return the settings by their names."""
    return {
        "working directory": Path.cwd(),
        "environment": {name: value for name, value in os.environ.items() if not name.startswith(OF_OTHERS)},
        "import path": [path for path in sys.path if not path.endswith(VENDORED)],
        "arguments": (sys.argv[:], sys.dont_write_bytecode, sys.excepthook),
        "umask": _umask(),
        "limits": {name: resource.getrlimit(limit) for name, limit in LIMITS.items()},
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals() - OTHERS},
        "locale": locale.setlocale(locale.LC_ALL),
        "loggers": {name: logging.getLogger(name).level for name in LOGGERS},
        "handlers": logging.getLogger("lightning_template").handlers[:],
        "children": active_children(),
        "matplotlib": (mpl.get_backend(), dict(mpl.rcParams)),
        "numpy": np.geterr(),
        "torch": _torch_state(),
    }


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, str]:
    """Return what became of the settings that differ."""
    return {
        name: "; ".join(
            f"{key} was {old.get(key)} and is {new.get(key)}" for key in old | new if old.get(key) != new.get(key)
        )
        if isinstance(old, dict)
        else f"was {old} and is {new}"
        for name, (old, new) in ((name, (before[name], after[name])) for name in before)
        if old != new
    }


def _umask() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def _torch_state() -> dict[str, object]:
    cudnn = torch.backends.cudnn
    return {
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_anomaly_enabled()),
        "threads": torch.get_num_threads(),
        "precision": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cudnn": (cudnn.benchmark, cudnn.deterministic),
        "process group": torch.distributed.is_initialized(),
    }
