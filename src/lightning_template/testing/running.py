"""Runs of single checks, each with its result."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch.multiprocessing.spawn import ProcessRaisedException

from lightning_template.engine.process.errors import nearest, one_line
from lightning_template.testing.checks import CHECKS
from lightning_template.testing.exceptions import CheckFailed, CheckSkipped
from lightning_template.testing.isolation import undisturbed
from lightning_template.testing.subject import Subject


@dataclass(frozen=True)
class CheckResult:
    """Result of a check.

    Attributes:
        check: Name of the check.
        outcome: Whether it passed, failed, did not apply, or failed as expected.
        message: Error, or why it does not apply; empty if it passed.
        seconds: How long it took.
    """

    check: str
    outcome: Literal["passed", "failed", "skipped", "expected"]
    message: str
    seconds: float


def run_check(name: str, subject: Subject, reason: str | None = None) -> CheckResult:
    """Run one check.

    Args:
        name: Its name.
        subject: Task and data to check.
        reason: Why it is expected to fail, if it is.

    Returns:
        Its result.
    """
    start = time.monotonic()
    outcome: Literal["passed", "failed", "skipped", "expected"] = "passed"
    message = ""
    try:
        with undisturbed():
            CHECKS[name](subject)
    except CheckSkipped as skipped:
        outcome, message = "skipped", str(skipped)
    except Exception as error:
        outcome, message = ("failed", _describe(error)) if reason is None else ("expected", reason)
    else:
        if reason is not None:
            outcome, message = "failed", f"it passes, though it was expected to fail: {reason}"
    return CheckResult(name, outcome, message, time.monotonic() - start)


def known_failures(expected_failures: Mapping[str, str] | None) -> Mapping[str, str]:
    """Return the reasons of expected failures by the names of their checks.

    Raises:
        ValueError: If a name is not that of a check.
    """
    for name in expected_failures or {}:
        if name not in CHECKS:
            raise ValueError(f"`expected_failures` names no check {name}{nearest(name, CHECKS)}")
    return expected_failures or {}


def _describe(error: Exception) -> str:
    if isinstance(error, CheckFailed):
        return str(error)
    if isinstance(error, ProcessRaisedException):  # its message is a traceback
        return str(error).strip().splitlines()[-1]
    return f"{type(error).__name__}: {one_line(error)}"


def run_as_test(name: str, subject: Subject, reason: str | None) -> None:
    """Run one check, and end as a test of pytest does; the arguments are those of `run_check`."""
    import pytest

    result = run_check(name, subject, reason)
    if result.outcome == "skipped":
        pytest.skip(result.message)
    if result.outcome == "expected":
        pytest.xfail(result.message)
    if result.outcome == "failed":
        pytest.fail(result.message, pytrace=False)
