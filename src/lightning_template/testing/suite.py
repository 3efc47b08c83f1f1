"""All checks of a task and its data, in one call or as tests of pytest."""

from collections.abc import Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING

from lightning_template.testing.checks import CHECKS
from lightning_template.testing.running import CheckResult, known_checks, known_failures, run_as_test, run_check
from lightning_template.testing.subject import DataSource, Subject, TaskSource

if TYPE_CHECKING:
    import pytest


class ChecksFailed(AssertionError):  # noqa: N818  # as pytest's own
    """Some checks failed.

    Args:
        results: Results of all checks.
    """

    def __init__(self, results: list[CheckResult]) -> None:
        failed = [result for result in results if result.outcome == "failed"]
        lines = [f"{len(failed)} of {len(results)} checks failed"]
        super().__init__("\n".join(lines + [f"  {result.check}: {result.text}" for result in failed]))
        self.results = results


def check_task(
    task: TaskSource,
    datamodule: DataSource | None = None,
    expected_failures: Mapping[str, str] | None = None,
    *,
    only: Collection[str] = (),
    strict: bool = False,
) -> list[CheckResult]:
    """Tell whether a task and its data are sound. They need not be made with this template.

    A few batches are looked at, on the CPU, so the size of the data does not matter. Global state stays as it is, and
    nothing is written but temporary files.

    Args:
        task: Function without arguments that makes the LightningModule; or a module, which is copied. Checks that must
            construct a module make one from its hyper-parameters, or are skipped.
        datamodule: Function that makes the LightningDataModule; or a datamodule; None for a module's own loaders.
        expected_failures: For checks that are known to fail, by their names, the reason.
        only: Names of the checks to be run; all if empty.
        strict: Whether advice is a failure: what trains rightly on one device, and could be better.

    Returns:
        Result of each check.

    Raises:
        ChecksFailed: If a check failed, or one passed that was expected to fail.
        ValueError: If `expected_failures` or `only` names no check.
    """
    expected = known_failures(expected_failures)
    known_checks(only, "only")
    subject = Subject(task, datamodule)
    names = [name for name in CHECKS if name in only or not only]
    results = [run_check(name, subject, expected.get(name), strict=strict) for name in names]
    if any(result.outcome == "failed" for result in results):
        raise ChecksFailed(results)
    return results


def parametrize_checks(
    task: TaskSource,
    datamodule: DataSource | None = None,
    expected_failures: Mapping[str, str] | None = None,
    *,
    strict: bool = False,
) -> "pytest.MarkDecorator":
    """Make a test of pytest one for each check, named after it.

    The test takes the argument `check`, and calls it. Arguments and errors are those of `check_task`. Advice warns.

    Example:
        >>> from lightning.pytorch.demos.boring_classes import BoringDataModule, BoringModel
        >>> @parametrize_checks(BoringModel, BoringDataModule)
        ... def test_boring_model(check):
        ...     check()
    """
    import pytest  # here, as only tests need it

    expected = known_failures(expected_failures)
    subject = Subject(task, datamodule)
    tests = [pytest.param(partial(run_as_test, name, subject, expected.get(name), strict), id=name) for name in CHECKS]
    return pytest.mark.parametrize("check", tests)
