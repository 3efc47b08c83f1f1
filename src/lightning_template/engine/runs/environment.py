"""The environment of a run: versions, code revision, device, command and time."""

import hashlib
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

PACKAGES = ("lightning-template", "lightning", "numpy", "torch", "torchmetrics", "torchvision")

MAX_CHANGED = 50
"""Largest number of files that are named of those that differ from the commit."""


def describe_environment() -> dict[str, Any]:
    """Return versions, code revision, device, command and time of this process, as plain values."""
    status = _git("status", "--porcelain")
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": None if status is None else bool(status),
        "git_changed": status.splitlines()[:MAX_CHANGED] if status else [],
        "git_diff": hashlib.sha256((_git("diff", "HEAD") or "").encode()).hexdigest() if status else None,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine(),
        "num_threads": torch.get_num_threads(),
        "seed": os.environ.get("PL_GLOBAL_SEED"),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*args: str) -> str | None:
    """Return what git says of the working directory; None outside a checkout or without git."""
    try:
        done = subprocess.run(["git", *args], capture_output=True, text=True, errors="replace", timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
