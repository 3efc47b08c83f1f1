"""Which quantity says which weights are best, and what becomes of runs without one."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonargparse import ArgumentError, ArgumentParser
from lightning.pytorch import Callback, LightningModule
from torch import nn

import foreign
from fitting import fit
from lightning_template.callbacks import BestAndLast, Dashboard
from lightning_template.engine.callbacks.watched import choose, mode_of
from lightning_template.tasks import ClassificationTask, RegressionTask, SupervisedTask

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")

RUN = Path("lightning_logs/run/version_0")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["val_loss"], ("val_loss", "min")),
        (["val_acc", "val/loss"], ("val/loss", "min")),
        (["validation_loss", "validation_f1"], ("validation_loss", "min")),
        (["loss", "accuracy"], ("loss", "min")),
        (["loss/val", "lr"], ("loss/val", "min")),
        (["valLoss", "valAcc"], ("valLoss", "min")),
        (["val_loss", "val_loss_epoch"], ("val_loss", "min")),
        (["val_acc", "val_acc_epoch"], ("val_acc", "max")),
        (["val_epoch"], None),
        (["val/auroc"], ("val/auroc", "max")),
        (["accuracy"], ("accuracy", "max")),
        (["mean_absolute_error"], ("mean_absolute_error", "min")),
        (["val_R2Score"], ("val_R2Score", "max")),
        (["val_acc", "val_f1"], None),
        (["val_g_loss", "val_d_loss"], None),
        (["val_loss/dataloader_idx_1", "val_loss/dataloader_idx_0"], ("val_loss/dataloader_idx_0", "min")),
        (["val_acc/dataloader_idx_0", "val_acc/dataloader_idx_1"], ("val_acc/dataloader_idx_0", "max")),
        (["val_loss/clean", "val_loss/noisy"], None),
        (["val_info_nce_loss", "val_temperature"], ("val_info_nce_loss", "min")),
        (["val_thing"], None),
        (["x"], None),
        ([], None),
    ],
)
def test_the_obvious_quantity_is_chosen(names: list[str], expected: tuple[str, str] | None) -> None:
    assert choose(names) == expected
    if expected is None and len(names) == 1:
        assert choose(names, "max") == (names[0], "max")
    if expected is not None:
        assert choose(names, "max") == (expected[0], "max")  # as the user has it


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("val/loss", "min"), ("val_rmse", "min"), ("WER", "min"), ("error_rate", "min"), ("val/accuracy_loss", "min"),
        ("val_top5_acc", "max"), ("val_f1", "max"), ("mIoU", "max"), ("val_loss_acc", "max"), ("R2", "max"),
        ("val/score", None), ("glossary", None), ("", None),
    ],
)  # fmt: skip
def test_the_name_tells_the_mode(name: str, mode: str | None) -> None:
    assert mode_of(name) == mode


@pytest.mark.parametrize(("task", "expected"), [(ClassificationTask, "max"), (RegressionTask, "min")])
def test_a_task_means_by_its_monitor_what_its_name_says(task: type[SupervisedTask], expected: str) -> None:
    assert task.mode == mode_of(task.monitor) == expected


LOW = "loss error err mae mse rmse mape rmsle nll bce crps perplexity ppl cer wer fid ece brier lpips"
HIGH = "acc accuracy f1 auroc auc r2 precision recall specificity sensitivity iou miou dice jaccard map ap mcc kappa"
HIGH += " psnr ssim bleu rouge"


@pytest.mark.parametrize(("words", "mode"), [(LOW, "min"), (HIGH, "max")])
def test_these_words_are_known(words: str, mode: str) -> None:
    assert {word: mode_of(f"val/{word}") for word in words.split()} == dict.fromkeys(words.split(), mode)
    assert not any(mode_of(word[:-1] + "q") for word in words.split())


@pytest.mark.parametrize("word", ["val", "valid", "validation", "eval", "dev"])
def test_the_loss_of_a_validation_has_several_names(word: str) -> None:
    assert choose(["acc", f"{word}_loss", "f1"]) == (f"{word}_loss", "min")
    assert choose(["acc", "other_loss", "f1"]) is None


@pytest.mark.parametrize("mode", ["min", "max", None])
def test_the_mode_is_an_option(mode: str | None) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(BestAndLast, "checkpoint")
    assert parser.parse_object({"checkpoint": {"mode": mode}}).checkpoint.mode == mode
    with pytest.raises(ArgumentError, match="auto"):
        parser.parse_object({"checkpoint": {"mode": "auto"}})


class Logs(foreign.Foreign):
    """Logs values, one for each validation, under some names."""

    def __init__(self, **values: list[float]) -> None:
        super().__init__()
        self.values = values

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        if not self.trainer.sanity_checking:
            for name, values in self.values.items():
                self.log(name, values[self.current_epoch])


class Other(Logs):
    monitor, mode = "val_acc", "max"


class Confusing(Logs):
    """Means other things by the names that the template uses."""

    mode = "train"

    def __init__(self, **values: list[float]) -> None:
        super().__init__(**values)
        self.monitor = nn.Identity()


class Halfway(Confusing):
    def __init__(self, **values: list[float]) -> None:
        super().__init__(**values)
        del self.monitor
        vars(self)["monitor"] = "val_acc"


def best(run: Path = RUN) -> dict[str, Any] | None:
    entry: dict[str, Any] | None = json.loads((run / "metrics.json").read_text()).get("best")
    assert (run / "checkpoints" / "best.ckpt").is_file() == (entry is not None)
    assert (run / "checkpoints" / "last.ckpt").is_file()
    return entry


@pytest.mark.parametrize(
    ("module", "arguments", "expected", "said"),
    [
        (Logs, {}, ("val_loss", "min", 2.0, 0), "best.ckpt is that of the minimum val_loss"),
        (Logs, {"mode": "max"}, ("val_loss", "max", 3.0, 1), "best.ckpt is that of the maximum val_loss"),
        (Logs, {"monitor": "val_acc"}, ("val_acc", "max", 0.5, 1), None),
        (Logs, {"monitor": "val_x", "mode": "max"}, ("val_x", "max", 8.0, 1), None),
        (Logs, {"monitor": None}, None, None),
        (Other, {}, ("val_acc", "max", 0.5, 1), None),
        (Confusing, {}, ("val_loss", "min", 2.0, 0), "best.ckpt is that of the minimum val_loss"),
        (Halfway, {}, ("val_acc", "max", 0.5, 1), None),
        (Other, {"monitor": "val_loss"}, ("val_loss", "min", 2.0, 0), None),  # the task's mode is that of its monitor
        (Other, {"mode": "min"}, ("val_acc", "min", 0.25, 0), None),
        (Other, {"monitor": None}, None, None),
    ],
)
def test_best_is_of_what_is_watched(
    module: type[Logs],
    arguments: Any,
    expected: Any,
    said: str | None,
    workspace: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "lightning_template")
    fit_with(arguments, module(val_loss=[2.0, 3.0], val_acc=[0.25, 0.5], val_x=[7.0, 8.0]))
    entry = best()
    names = ("monitor", "mode", "best_score", "best_epoch")
    assert expected == (entry and tuple(entry[name] for name in names))
    lines = [record.getMessage() for record in caplog.records if "best.ckpt" in record.getMessage()]
    assert lines == ([said] if said else [])


def fit_with(arguments: dict[str, Any], module: LightningModule, *callbacks: Callback, **options: Any) -> Any:
    keeper = BestAndLast(every_minutes=None, **arguments)
    return fit(module, foreign.Data(), *callbacks, keeper=keeper, **options)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({}, "the validation logs nothing to watch"),
        ({"val_b": [1, 2], "val_a": [1, 2]}, "give `callbacks.checkpoint.monitor` to watch one of val_a, val_b"),
    ],
)
def test_without_an_obvious_quantity_there_is_no_best(
    values: Any, why: str, workspace: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "lightning_template")
    fit_with({}, Logs(**values))
    assert best() is None
    (line,) = [record.getMessage() for record in caplog.records if "best.ckpt" in record.getMessage()]
    assert line == f"no best.ckpt, last.ckpt alone: {why}"


@pytest.mark.parametrize("module", [Logs, Other])
def test_a_monitor_that_is_not_logged_leaves_a_checkpoint(module: type[Logs], workspace: Path) -> None:
    arguments = {} if module is Other else {"monitor": "val_acc"}
    with pytest.raises(
        ValueError, match=r"`monitor` must be one of the logged quantities \(a, train_loss, val_x\), got val_acc"
    ):
        fit_with(arguments, module(val_x=[1.0, 2.0], a=[1.0, 2.0]))
    checkpoint = torch.load(RUN / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 3


def test_a_monitor_whose_name_says_nothing_needs_a_mode(workspace: Path) -> None:
    with pytest.raises(ValueError, match="`mode` must be given, min or max: the name of `monitor` val_x does not tell"):
        fit_with({"monitor": "val_x"}, Logs(val_x=[1.0, 2.0]))
    assert not RUN.exists()


def test_resume_keeps_the_choice_and_the_best(workspace: Path) -> None:
    values = {"val_acc": [0.5, 0.25, 0.375, 0.75]}
    events = fit_with({}, Logs(**values), Dashboard(graph=False))
    assert [event.value for event in events.Scalars("best/val_acc")] == [0.5, 0.5]
    assert best() == {"monitor": "val_acc", "mode": "max", "best_score": 0.5, "best_epoch": 0, "best_step": 3}
    last = RUN / "checkpoints" / "last.ckpt"
    events = fit_with({}, Logs(**values), Dashboard(graph=False), max_epochs=3, ckpt_path=last)
    resumed = RUN.with_name("version_1")
    assert not (resumed / "checkpoints" / "best.ckpt").exists()  # the best is that of the run before
    assert [event.value for event in events.Scalars("best/val_acc")] == [0.5]
    fit_with({}, Logs(**values), Dashboard(graph=False), max_epochs=4, ckpt_path=last)
    entry = best(RUN.with_name("version_2"))
    assert entry == {"monitor": "val_acc", "mode": "max", "best_score": 0.75, "best_epoch": 3, "best_step": 12}


def test_the_best_of_another_quantity_is_forgotten(workspace: Path) -> None:
    values = {"val_loss": [0.5, 0.25, 0.375], "val_acc": [0.75, 0.5, 0.125]}
    fit_with({"monitor": "val_acc"}, Logs(**values))
    fit_with({"monitor": "val_loss"}, Logs(**values), max_epochs=3, ckpt_path=RUN / "checkpoints" / "last.ckpt")
    entry = best(RUN.with_name("version_1"))
    assert entry is not None
    assert (entry["monitor"], entry["best_score"], entry["best_epoch"]) == ("val_loss", 0.375, 2)
