"""Isolation of a check: the global state of the process is restored after it."""

import logging
import os
import random
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.util import get_temp_dir

import numpy as np
import torch

from lightning_template.engine.loops.random_state import random_state, set_random_state

LOGGERS = ("lightning.pytorch", "lightning.fabric", "lightning_template", "torch.multiprocessing")


def seed_all(seed: int) -> None:
    """Seed Python, numpy and torch; Lightning's function would leave a variable in the environment."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Restore all global state and remove temporary files at the end; until then warnings are ignored."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    numbers, environment, temporary = random_state(device), os.environ.copy(), tempfile.tempdir
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    dtype, gradients, threads = torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads()
    precision = torch.get_float32_matmul_precision()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    get_temp_dir()  # multiprocessing never changes its folder: it must not be one that is removed
    try:
        with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
            warnings.simplefilter("ignore")
            tempfile.tempdir = folder
            for name in LOGGERS:
                logging.getLogger(name).setLevel(logging.ERROR)
            yield
    finally:
        tempfile.tempdir = temporary
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(gradients)
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = cudnn
        os.environ.clear()
        os.environ.update(environment)
        set_random_state(numbers, device)
