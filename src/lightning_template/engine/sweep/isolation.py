"""Isolation of trials that share a process: each one begins with the settings that the first one found."""

import gc
import locale
import logging
import os
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch

from lightning_template.engine.loops.random_state import random_state, set_random_state

LOGGERS = (None, "lightning.pytorch", "lightning.fabric", "lightning_template", "torch", "py.warnings")


@contextmanager
def isolated() -> Iterator[None]:
    """Restore at the end what a run may change of the process.

    These are random numbers, environment, working directory, import path, arguments, warnings, loggers, signal
    handlers, and the settings of torch, numpy and matplotlib. Modules stay imported, with what they keep.
    """
    with _settings(), _torch(), _loggers(), _signals(), warnings.catch_warnings():
        yield
    gc.collect()  # what the run held, before the next one asks for as much
    torch.cuda.empty_cache()  # does nothing before CUDA is used
    if "torch._dynamo" in sys.modules:  # it compiles a function a few times only
        torch.compiler.reset()


@contextmanager
def _settings() -> Iterator[None]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    numbers, environment, folder = random_state(device), os.environ.copy(), Path.cwd()
    lists = [(kept, kept[:]) for kept in (sys.argv, sys.path)]
    temporary, errors, place = tempfile.tempdir, np.geterr(), locale.setlocale(locale.LC_ALL)
    umask = os.umask(0o077)
    os.umask(umask)
    try:
        with mpl.rc_context():
            yield
    finally:
        for kept, before in lists:
            kept[:] = before
        os.environ.clear()
        os.environ.update(environment)
        os.umask(umask)
        os.chdir(folder)
        locale.setlocale(locale.LC_ALL, place)
        np.seterr(**errors)
        tempfile.tempdir = temporary
        set_random_state(numbers, device)


@contextmanager
def _torch() -> Iterator[None]:
    dtype, device, threads = torch.get_default_dtype(), torch.get_default_device(), torch.get_num_threads()
    gradients, anomalies = torch.is_grad_enabled(), torch.is_anomaly_enabled()
    precision = torch.get_float32_matmul_precision()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        if torch.get_default_device() != device:
            torch.set_default_device(device)
        torch.set_num_threads(threads)
        torch.set_grad_enabled(gradients)
        torch.autograd.set_detect_anomaly(anomalies)
        torch.set_float32_matmul_precision(precision)
        torch.use_deterministic_algorithms(deterministic, warn_only=warns)
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = cudnn


@contextmanager
def _loggers() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(logger.level, logger.handlers[:], logger.propagate) for logger in loggers]
    try:
        yield
    finally:
        for logger, (level, handlers, propagates) in zip(loggers, before, strict=True):
            logger.setLevel(level)
            logger.handlers[:] = handlers
            logger.propagate = propagates


@contextmanager
def _signals() -> Iterator[None]:
    is_main = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()} if is_main else {}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)
