"""All checks of a task and its data, in one call or as tests of pytest."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from torch.multiprocessing.spawn import ProcessRaisedException

from lightning_template.engine.process.errors import nearest, one_line
from lightning_template.testing.checks import CHECKS
from lightning_template.testing.isolation import undisturbed
from lightning_template.testing.outcomes import CheckFailed, CheckSkipped
from lightning_template.testing.subject import DataSource, Subject, TaskSource

if TYPE_CHECKING:
    import pytest


@dataclass(frozen=True)
class CheckResult:
    """What came of a check.

    Attributes:
        check: Name of the check.
        outcome: Whether it passed, failed, did not apply, or failed as expected.
        message: What is wrong, or why it does not apply; empty if it passed.
        seconds: How long it took.
    """

    check: str
    outcome: Literal["passed", "failed", "skipped", "expected"]
    message: str
    seconds: float


class ChecksFailed(AssertionError):  # noqa: N818  # as pytest's own
    """Some checks failed.

    Args:
        results: What came of all checks.
    """

    def __init__(self, results: list[CheckResult]) -> None:
        failed = [result for result in results if result.outcome == "failed"]
        lines = [f"{len(failed)} of {len(results)} checks failed"]
        super().__init__("\n".join(lines + [f"  {result.check}: {result.message}" for result in failed]))
        self.results = results


def check_task(
    task: TaskSource, datamodule: DataSource, expected_failures: Mapping[str, str] | None = None
) -> list[CheckResult]:
    """Tell whether a task and its data are sound. They need not be made with this template.

    A few batches are looked at, on the CPU, so the size of the data does not matter. Global state stays as it is, and
    nothing is written but temporary files.

    Args:
        task: Function without arguments that makes the LightningModule; or a module, which is copied. Checks that must
            construct a module make one from its hyper-parameters, or are skipped.
        datamodule: Function without arguments that makes the LightningDataModule; or a datamodule not set up yet.
        expected_failures: For checks that are known to fail, by their names, the reason.

    Returns:
        What came of each check.

    Raises:
        ChecksFailed: If a check failed, or one passed that was expected to fail.
        ValueError: If `expected_failures` names no check.
    """
    expected = _known(expected_failures)
    subject = Subject(task, datamodule)
    results = [run_check(name, subject, expected.get(name)) for name in CHECKS]
    if any(result.outcome == "failed" for result in results):
        raise ChecksFailed(results)
    return results


def parametrize_checks(
    task: TaskSource, datamodule: DataSource, expected_failures: Mapping[str, str] | None = None
) -> "pytest.MarkDecorator":
    """Make a test of pytest one for each check, named after it.

    The test takes the argument `check`, and calls it. Arguments and errors are those of `check_task`.

    Example:
        >>> from lightning.pytorch.demos.boring_classes import BoringDataModule, BoringModel
        >>> @parametrize_checks(BoringModel, BoringDataModule)
        ... def test_boring_model(check):
        ...     check()
    """
    import pytest  # here, as only tests need it

    expected = _known(expected_failures)
    subject = Subject(task, datamodule)
    tests = [pytest.param(partial(_test, name, subject, expected.get(name)), id=name) for name in CHECKS]
    return pytest.mark.parametrize("check", tests)


def run_check(name: str, subject: Subject, reason: str | None = None) -> CheckResult:
    """Run one check.

    Args:
        name: Its name.
        subject: What is checked.
        reason: Why it is expected to fail, if it is.

    Returns:
        What came of it.
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


def _known(expected_failures: Mapping[str, str] | None) -> Mapping[str, str]:
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


def _test(name: str, subject: Subject, reason: str | None) -> None:
    import pytest

    result = run_check(name, subject, reason)
    if result.outcome == "skipped":
        pytest.skip(result.message)
    if result.outcome == "expected":
        pytest.xfail(result.message)
    if result.outcome == "failed":
        pytest.fail(result.message, pytrace=False)
