"""Each mistake is seen by the check that is there for it, and the task without them passes all."""

import pytest
from mutants import MUTANTS, Classifier, Points

from lightning_template.testing import check_task
from lightning_template.testing.checks import CHECKS
from lightning_template.testing.running import run_check
from lightning_template.testing.subject import Subject


@pytest.mark.slow
def test_a_sound_task_passes_all_checks() -> None:
    outcomes = {result.check: result.outcome for result in check_task(Classifier, Points)}
    skipped = {"gpu_agrees_with_cpu", "gradients_start_anew_each_step"}
    skipped |= {"every_target_matters", "plateau_has_the_right_mode"}  # one target; no schedule
    assert {check for check, outcome in outcomes.items() if outcome != "passed"} <= skipped
    assert outcomes.keys() == CHECKS.keys()


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mistake_is_seen(name: str) -> None:
    mutant = MUTANTS[name]
    result = run_check(mutant.check, Subject(mutant.task, mutant.data))
    assert result.outcome == mutant.outcome, result.message
    assert mutant.message in result.message
    assert "Error:" not in result.message, "it was seen by an accident"
