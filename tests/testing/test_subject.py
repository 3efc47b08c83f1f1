"""What is checked, and the Trainer that it is run through: quiet, repeatable, and with the hooks of a real run."""

import copy
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import ModelSummary
from lightning.pytorch.loggers.logger import DummyLogger
from mutants import Classifier, Points
from torch import Tensor, nn

from lightning_template.testing.batches import first_batches
from lightning_template.testing.callbacks import LossRecorder, SameNumbers, SameWeights
from lightning_template.testing.checks.comparing import state
from lightning_template.testing.construction import construct_again
from lightning_template.testing.exceptions import CheckFailed, CheckSkipped
from lightning_template.testing.isolation import undisturbed
from lightning_template.testing.subject import Subject
from lightning_template.testing.trainers import quiet_trainer


def test_the_trainer_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SLURM_NTASKS": "2", "SLURM_JOB_NAME": "job", "SLURM_NTASKS_PER_NODE": "2"}.items():
        monkeypatch.setenv(name, value)
    with undisturbed():
        trainer, other = quiet_trainer(), quiet_trainer(num_sanity_val_steps=5, max_epochs=3)
        assert trainer.default_root_dir == tempfile.gettempdir()
    connector = trainer._accelerator_connector
    assert isinstance(trainer.accelerator, CPUAccelerator)
    assert isinstance(connector.cluster_environment, LightningEnvironment)
    assert (trainer.num_devices, connector.use_distributed_sampler, trainer.num_sanity_val_steps) == (1, False, 0)
    assert [type(logger) for logger in trainer.loggers] == [DummyLogger]  # what a task gives it, it takes
    assert (trainer.checkpoint_callback, trainer.progress_bar_callback) == (None, None)
    assert not any(isinstance(callback, ModelSummary) for callback in [*trainer.callbacks])  # type: ignore[attr-defined]
    assert (other.num_sanity_val_steps, other.max_epochs) == (5, 3)


def test_nothing_is_printed_or_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    subject = Subject(Classifier, Points)
    with undisturbed():
        task = subject.task()
        subject.fit(task, subject.train_batches)
        assert subject.validate(task, subject.val_batches).keys() == {"val_loss", "val_accuracy"}
    assert capfd.readouterr() == ("", "")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("batch_size", "sizes", "num_val"),
    [(20, [16, 16, 12], 19), (10, [10, 10, 10], 23), (52, [16], 16), (4, [4] * 3, 12)],
)
def test_some_samples_of_some_batches_are_looked_at(batch_size: int, sizes: list[int], num_val: int) -> None:
    subject = Subject(Classifier, lambda: Points(batch_size))
    assert [len(inputs) for inputs, _ in subject.train_batches] == sizes
    assert len(subject.train_samples[0]) == sum(sizes)
    assert len(subject.val_samples[1]) == num_val


class Recorded(Points):
    """Keeps what was called, and the numbers drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.drawn = (torch.rand(1).item(), np.random.default_rng(np.random.randint(10**6)).random())

    def prepare_data(self) -> None:
        self.calls.append("prepare")

    def setup(self, stage: str) -> None:
        self.calls.append(stage)
        super().setup(stage)

    def test_dataloader(self) -> Any:
        return [super().val_dataloader()]


def test_data_are_made_anew_by_a_seed() -> None:
    subject = Subject(Classifier, Recorded)
    one, same, other = (subject.new_data(seed) for seed in (0, 0, 1))
    assert isinstance(one, Recorded)
    assert isinstance(same, Recorded)
    assert isinstance(other, Recorded)
    assert one.calls == ["prepare", "fit"]
    assert one.drawn == same.drawn
    assert one.drawn[0] != other.drawn[0]
    assert one.drawn[1] != other.drawn[1]
    assert len(subject.loader(one, "test")) == 2  # type: ignore[arg-type]
    subject.loader(one, "val")
    subject.loader(one, "predict")
    assert one.calls == ["prepare", "fit", "test", "predict"]
    given = Subject(Classifier, one).new_data()
    assert isinstance(given, Recorded)
    assert (given.calls[-2:], one.calls[-1]) == (["prepare", "fit"], "predict")


class Hooks(Classifier):
    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return [batch[0] * 2 + dataloader_idx, batch[1]]

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return [batch[0] + 1 + dataloader_idx, batch[1]]


class HooksOfData(Points):
    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return [batch[0] * 10 + dataloader_idx, batch[1]]


@pytest.mark.parametrize(
    ("task", "data", "expected"), [(Hooks, Points, 7.0), (Hooks, HooksOfData, 31.0), (Classifier, HooksOfData, 30.0)]
)
def test_hooks_of_the_data_come_before_those_of_the_task(task: Any, data: Any, expected: float) -> None:
    seen, _ = Subject(task, data).transferred(task(), [torch.tensor(3.0), 0])
    assert seen == expected


class Noisy(Classifier):
    """Has batch normalisation and dropout, draws a number in each step, and returns more than tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.dropout = nn.BatchNorm1d(4), nn.Dropout(0.5)
        self.drawn: list[tuple[float, float]] = []

    def forward(self, inputs: Tensor) -> Any:
        return {"outputs": super().forward(self.norm(inputs)), "size": len(inputs)}

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.drawn.append((torch.rand(1).item(), np.random.random()))
        return self.loss(self(batch[0])["outputs"], batch[1])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        pass


def test_outputs_are_tensors_drawn_by_a_seed() -> None:
    subject = Subject(Noisy, Points)
    task, batch = subject.task(), subject.train_batches[0]
    (one,), (same,), (other,) = (subject.outputs(task, batch, training=True, seed=seed) for seed in (0, 0, 1))
    assert task.training
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert not one.requires_grad
    (one,), (other,) = (subject.outputs(task, batch, seed=seed) for seed in (0, 1))
    assert not task.training
    assert torch.equal(one, other)


@pytest.mark.parametrize("callback", [SameNumbers, SameWeights])
def test_steps_draw_the_same_numbers(callback: type[Callback]) -> None:
    subject = Subject(Noisy, Points)
    task, losses = subject.task(), LossRecorder()
    before = state(task)
    subject.fit(task, *[[subject.train_batches[0]] * 2] * 2, callbacks=[callback(), losses])
    assert isinstance(task, Noisy)
    assert len(task.drawn) == 4
    assert len(set(task.drawn)) == 1
    unchanged = {name for name, tensor in state(task).items() if torch.equal(tensor, before[name])}
    assert unchanged == (before.keys() if callback is SameWeights else set())
    assert (len(set(losses.values)) == 1) == (callback is SameWeights)


class Counter(Callback):
    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.validated: list[int] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.epochs.append(int(trainer.num_training_batches))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.validated.append(sum(trainer.num_val_batches))  # type: ignore[arg-type]


@pytest.mark.parametrize(("val", "validated"), [(None, [1, 1]), ([], []), ([2], [2, 2])])
def test_a_fit_has_its_epochs_and_validations(val: list[int] | None, validated: list[int]) -> None:
    subject, counter = Subject(Classifier, lambda: Points(8)), Counter()
    given = None if val is None else [subject.val_batches[:number] for number in val]
    with undisturbed():  # Lightning warns of no validation
        subject.fit(subject.task(), subject.train_batches, subject.train_batches, val=given, callbacks=[counter])
    assert (counter.epochs, counter.validated) == ([3, 3], validated)
    assert len(subject.losses(subject.task(), subject.train_batches)) == 3


class Named(Classifier):
    """Takes further arguments, which are saved beside another one."""

    def __init__(self, hidden: int = 8, **kwargs: Any) -> None:
        super().__init__(hidden)
        self.kwargs = kwargs
        self.save_hyperparameters({"hidden": hidden, **kwargs})


class Fixed(Classifier):
    def __init__(self, hidden: int = 8) -> None:
        super().__init__(hidden)
        self.save_hyperparameters({"hidden": hidden, "note": ["a"]})


def instantiate(kind: type[LightningModule], hparams: dict[str, Any]) -> LightningModule:
    hparams["note"].append("b")  # of a copy
    task = kind(hparams["hidden"] + 1)
    task.given = hparams  # type: ignore[assignment]
    return task


def test_a_task_is_constructed_again_from_what_it_saved() -> None:
    again = construct_again(Fixed(5))
    assert again.first.out_features == 5  # type: ignore[union-attr]
    task = Named(5, lr=0.5, other=3)
    made = construct_again(task)
    assert isinstance(made, Named)
    assert (made.first.out_features, made.kwargs) == (5, {"lr": 0.5, "other": 3})
    fixed = Fixed(5)
    fixed.hparams["_instantiator"] = f"{__name__}.instantiate"
    made_by = construct_again(fixed)
    assert made_by.first.out_features == 6  # type: ignore[union-attr]
    assert made_by.given == {"hidden": 5, "lr": 0.05, "note": ["a", "b"]}
    assert fixed.hparams["note"] == ["a"]
    assert "_instantiator" in fixed.hparams


def test_a_task_given_is_constructed_again_by_a_seed() -> None:
    torch.manual_seed(7)
    given = Classifier(hidden=5)
    subject = Subject(given, Points)
    one, same, other = (subject.constructed_task(seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(one["first.weight"], same["first.weight"])
    assert not torch.equal(one["first.weight"], other["first.weight"])
    assert not torch.equal(one["first.weight"], given.first.weight)
    assert torch.equal(subject.task().state_dict()["first.weight"], given.first.weight)
    given.hparams["network"] = nn.Linear(1, 1)
    with pytest.raises(CheckSkipped, match="its arguments have weights already"):
        Subject(given, Points).constructed_task()


def test_several_loaders_are_combined_as_in_a_run() -> None:
    loaders = {"a": [1, 2, 3], "b": [10]}
    assert first_batches(loaders, 2) == [{"a": 1, "b": 10}, {"a": 2, "b": 10}]
    assert first_batches([[1, 2], [3]], 5) == [[1, 3], [2, 3]]
    assert first_batches([], 2) == []
    assert first_batches(iter([4, 5, 6]), 2) == [4, 5]


def test_a_training_set_without_batches_is_a_mistake() -> None:
    class Empty(Points):
        def train_dataloader(self) -> Any:
            return []

    with pytest.raises(CheckFailed, match="the training set has no batches"):
        _ = Subject(Classifier, Empty).train_batches


def test_what_is_given_stays_as_it_is() -> None:
    task, data = Classifier(), Points()
    before = copy.deepcopy(task.state_dict())
    subject = Subject(task, data)
    task.first.weight.data.zero_()
    made = subject.task()
    assert torch.equal(made.state_dict()["first.weight"], before["first.weight"])
    made.state_dict()["first.weight"].zero_()
    assert torch.equal(subject.task().state_dict()["first.weight"], before["first.weight"])
    data.batch_size = 1
    assert len(subject.train_batches[0][0]) == 16
