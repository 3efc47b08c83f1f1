"""Places of what checks find, in files of a user's."""

from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.demos.boring_classes import BoringModel
from mutants import Classifier, Points

from lightning_template.testing.checks import CHECKS, HOOKS
from lightning_template.testing.places import place_of, place_of_call, place_of_error, place_of_hooks
from lightning_template.testing.running import CheckResult
from lightning_template.testing.subject import Subject

HERE = Path(__file__)


def line_of(place: str) -> str:
    """Return the line that a place names, of this file or of one beside it."""
    file, _, number = place.rpartition(":")
    return (HERE.parent / Path(file).name).read_text().splitlines()[int(number) - 1].strip()


def test_a_method_is_found_where_a_class_or_its_base_defines_it() -> None:
    class Child(Classifier):
        def predict_step(self, batch: Any, batch_idx: int) -> Any:
            return None

    place = place_of(Child(), "predict_step")
    assert (Path(place).name.startswith(HERE.name), line_of(place)) == (
        True,
        "def predict_step(self, batch: Any, batch_idx: int) -> Any:",
    )
    assert line_of(place_of(Child(), "configure_optimizers")) == "def configure_optimizers(self) -> Any:"
    assert place_of(BoringModel(), "training_step") == ""
    assert place_of(Child(), "no_such_method") == ""


def test_a_path_is_relative_to_where_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE.parent)
    assert place_of(Classifier(), "forward").startswith("mutants.py:")


def test_what_runs_has_the_innermost_line_of_the_user() -> None:
    with pytest.raises(TypeError, match="must be Tensor") as caught:
        BoringModel().training_step("no batch", 0)
    assert line_of(place_of_error(caught.value)) == 'BoringModel().training_step("no batch", 0)'
    here = place_of_call()
    assert line_of(here) == "here = place_of_call()"


def test_the_first_hook_of_the_user_is_named() -> None:
    subject = Subject(Classifier, Points)
    assert line_of(place_of_hooks(subject, ["test_step", "val_dataloader"])) == "def val_dataloader(self) -> Any:"
    assert place_of_hooks(subject, ["test_step"]) == ""


def test_a_result_has_its_place_behind_its_message() -> None:
    assert CheckResult("a", "failed", "it is wrong", 1.0, "task.py:3").text == "it is wrong [task.py:3]"
    assert CheckResult("a", "passed", "", 1.0).text == ""


@pytest.mark.parametrize("check", sorted(CHECKS.keys() - {"evaluation_takes_batches", "gpu_agrees_with_cpu"}))
def test_what_a_check_finds_has_a_place_in_methods_that_there_are(check: str) -> None:
    for hook in HOOKS[check]:
        assert hasattr(LightningDataModule if hook == "setup" or hook.endswith("loader") else LightningModule, hook)
