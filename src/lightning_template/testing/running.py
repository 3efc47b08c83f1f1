"""Runs of single checks, each with its result."""

import time
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch.multiprocessing.spawn import ProcessRaisedException

from lightning_template.engine.process.errors import nearest, one_line
from lightning_template.testing.checks import ADVISORY, CHECKS, HOOKS
from lightning_template.testing.exceptions import CheckAdvised, CheckFailed, CheckSkipped
from lightning_template.testing.isolation import undisturbed
from lightning_template.testing.places import place_of_hooks
from lightning_template.testing.subject import Subject

Outcome = Literal["passed", "failed", "advice", "skipped", "expected"]


@dataclass(frozen=True)
class CheckResult:
    """Result of a check.

    Attributes:
        check: Name of the check.
        outcome: Whether it passed, failed, has advice on what trains rightly on one device, could not look, or failed
            as expected.
        message: What is wrong or could be better, or why it could not look; empty if it passed.
        seconds: How long it took.
        place: File and line that the message is about; empty if none of the user's is known.
    """

    check: str
    outcome: Outcome
    message: str
    seconds: float
    place: str = ""

    @property
    def text(self) -> str:
        """The message and its place."""
        return f"{self.message} [{self.place}]" if self.place else self.message


def run_check(name: str, subject: Subject, reason: str | None = None, *, strict: bool = False) -> CheckResult:
    """Run one check. An error of the check itself is no verdict: it could not look.

    Args:
        name: Its name.
        subject: Task and data to check.
        reason: Why it is expected to fail, if it is.
        strict: Whether advice is a failure.

    Returns:
        Its result.
    """
    start = time.monotonic()
    outcome: Outcome = "passed"
    message = place = ""
    try:
        with undisturbed():
            CHECKS[name](subject)
    except CheckSkipped as skipped:
        outcome, message = "skipped", str(skipped)
    except (CheckFailed, CheckAdvised) as error:
        is_advice = isinstance(error, CheckAdvised) or name in ADVISORY
        outcome, message = "advice" if is_advice and not strict else "failed", str(error)
        place = error.place or place_of_hooks(subject, HOOKS.get(name, ()))
    except Exception as error:
        outcome, message = "skipped", f"could not look: {_describe(error)}"
    if reason is not None:
        outcome, message = _expected(outcome, message, reason)
    return CheckResult(name, outcome, message, time.monotonic() - start, place)


def _expected(outcome: Outcome, message: str, reason: str) -> tuple[Outcome, str]:
    """Return the outcome and the message of a check that was expected to fail."""
    if outcome in ("failed", "advice"):
        return "expected", reason
    if outcome == "passed":
        return "failed", f"it passes, though it was expected to fail: {reason}"
    return outcome, message


def known_failures(expected_failures: Mapping[str, str] | None) -> Mapping[str, str]:
    """Return the reasons of expected failures by the names of their checks.

    Raises:
        ValueError: If a name is not that of a check.
    """
    known_checks(expected_failures or {}, "expected_failures")
    return expected_failures or {}


def known_checks(names: Iterable[str], argument: str) -> None:
    """Require names to be those of checks.

    Raises:
        ValueError: If one is not.
    """
    for name in names:
        if name not in CHECKS:
            raise ValueError(f"`{argument}` names no check {name}{nearest(name, CHECKS)}")


def _describe(error: Exception) -> str:
    if isinstance(error, ProcessRaisedException):  # its message is a traceback
        return str(error).strip().splitlines()[-1]
    return f"{type(error).__name__}: {one_line(error)}"


def summary(results: Sequence[CheckResult]) -> str:
    """Return one line: how many checks could look, and what they found."""
    counts = Counter(result.outcome for result in results)
    found = ", ".join(f"{number} {outcome}" for outcome, number in counts.items() if outcome != "skipped")
    return f"{len(results) - counts['skipped']} of {len(results)} checks could look: {found or 'nothing is known'}"


def run_as_test(name: str, subject: Subject, reason: str | None, strict: bool = False) -> None:
    """Run one check, and end as a test of pytest does; the arguments are those of `run_check`. Advice is a warning."""
    import pytest

    result = run_check(name, subject, reason, strict=strict)
    if result.outcome == "advice":
        warnings.warn(f"{name}: {result.text}", stacklevel=1)
    if result.outcome == "skipped":
        pytest.skip(result.message)
    if result.outcome == "expected":
        pytest.xfail(result.message)
    if result.outcome == "failed":
        pytest.fail(result.text, pytrace=False)
