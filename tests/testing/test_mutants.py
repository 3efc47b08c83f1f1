"""Each mistake is seen by the check that is there for it, and the task without them passes all."""

import pytest
from mutants import MUTANTS, Classifier, Points
from mutants_in_other_words import MUTANTS_IN_OTHER_WORDS
from mutants_of_data import MUTANTS_OF_DATA
from mutants_of_tasks import MUTANTS_OF_TASKS

from lightning_template.testing import check_task
from lightning_template.testing.checks import CHECKS
from lightning_template.testing.running import run_check
from lightning_template.testing.subject import Subject


@pytest.mark.slow
def test_a_sound_task_passes_all_checks() -> None:
    outcomes = {result.check: result.outcome for result in check_task(Classifier, Points)}
    skipped = {"gpu_agrees_with_cpu", "gradients_start_anew_each_step"}
    skipped |= {"every_target_matters", "plateau_has_the_right_mode"}  # one target; no schedule
    skipped |= {"outputs_reach_targets", "schedule_counts_what_it_means"}  # classes; no schedule
    skipped |= {"padding_changes_nothing", "workers_draw_their_own"}  # neither sequences nor workers
    assert {check for check, outcome in outcomes.items() if outcome != "passed"} <= skipped
    assert outcomes.keys() == CHECKS.keys()


ALL = MUTANTS | MUTANTS_OF_TASKS | MUTANTS_OF_DATA | MUTANTS_IN_OTHER_WORDS


@pytest.mark.parametrize("name", ALL)
def test_a_mistake_is_seen(name: str) -> None:
    mutant = ALL[name]
    result = run_check(mutant.check, Subject(mutant.task, mutant.data))
    assert result.outcome == mutant.outcome, result.message
    assert mutant.message in result.message
    seen_by_accident = "Error:" in result.message and "fails at the first batch" not in result.message
    assert not seen_by_accident
    assert result.place.startswith("tests") or "tests/testing" in result.place, "no line of the user's file"
