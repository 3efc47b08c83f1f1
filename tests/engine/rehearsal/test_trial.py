"""The parts of a rehearsal, one by one: how a batch is tried, and what is asked of monitors and optimizers."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import DeviceStatsMonitor, EarlyStopping, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.plugins.precision import Precision
from torch import Tensor, nn
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR, ReduceLROnPlateau

from lightning_template.callbacks import BestAndLast
from lightning_template.engine.rehearsal import monitors, optimizers, trial
from lightning_template.tasks import ClassificationTask

SGD = functools.partial(torch.optim.SGD, lr=0.5)


class Seen(nn.Linear):
    """Keeps in a list, which copies share, how large batches are and how it is called."""

    def __init__(self, fails: dict[int, Exception] | None = None) -> None:
        super().__init__(3, 4)
        self.seen = SEEN
        self.fails = fails or {}

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = super().forward(inputs)
        SEEN.append((len(inputs), self.training, torch.is_grad_enabled(), self.weight))
        if len(inputs) in self.fails:
            raise self.fails[len(inputs)]
        return outputs


SEEN: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    SEEN.clear()


def task_of(kind: type[ClassificationTask] = ClassificationTask, network: Any = None, **options: Any) -> Any:
    return kind(network or Seen(), nn.CrossEntropyLoss(), num_classes=4, optimizer=SGD, **options)


class Batches:
    """Takes the place of a sampler."""

    def __init__(self, batch_size: int, batch: Any = None) -> None:
        self.batch_size = batch_size
        self.given = batch

    def few(self) -> Any:
        return self.given

    def batch(self, size: int) -> Any:
        return (torch.randn(size, 3), torch.arange(size) % 4) if self.given is None else self.given


def trainer_of(*callbacks: Callback, **fields: Any) -> Any:
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    defaults = {"precision_plugin": Precision(), "strategy": strategy, "lr_scheduler_configs": []}
    return SimpleNamespace(callbacks=list(callbacks), **defaults | fields)


def rehearse(task: Any, stage: str = "train", batch_size: int = 8, batch: Any = None) -> set[str]:
    sampler: Any = Batches(batch_size, batch)
    return trial.rehearse(trainer_of(), task, stage, sampler)


@pytest.mark.parametrize(
    ("batch_size", "fails", "sizes"),
    [
        (8, [], [8]),
        (32, [], [32]),
        (64, [], [32]),
        (64, [32], [32, 64]),
        (0, [], []),
    ],
)
def test_few_samples_are_tried_before_a_whole_batch(batch_size: int, fails: list[int], sizes: list[int]) -> None:
    task = task_of(network=Seen({size: ValueError("no") for size in fails}))
    assert bool(rehearse(task, batch_size=batch_size)) == bool(sizes)
    assert [seen[0] for seen in SEEN] == sizes


class Logs(ClassificationTask):
    def compute_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        self.log("one", 1.0)
        self.log_dict({"two": 2.0, "three": 3.0}, on_step=True)
        return super().compute_loss(outputs, targets)


@pytest.mark.parametrize("stage", ["train", "val", "test"])
def test_a_stage_is_tried_as_it_runs_and_leaves_no_trace(stage: str) -> None:
    task = task_of(Logs)
    before = {name: value.clone() for name, value in task.state_dict().items()}
    logged = {f"{stage}/{name}" for name in ("loss", "accuracy", "precision", "recall", "f1")}
    assert rehearse(task, stage) == logged | {"one", "two", "three"} | ({"train/loss_step"} & {f"{stage}/loss_step"})
    ((_, training, has_gradients, weight),) = SEEN
    assert training == has_gradients == (stage == "train")
    assert weight is task.network.weight  # memory for one network
    torch.testing.assert_close(task.state_dict(), before, rtol=0, atol=0)
    assert all(measures.loss.num_samples == 0 for measures in (task.train_measures, task.val_measures))
    assert "log" not in vars(task)


def test_nothing_is_compiled_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stances: list[str] = []

    @contextmanager
    def set_stance(stance: str) -> Iterator[None]:
        stances.append(stance)
        yield

    monkeypatch.setattr(torch.compiler, "set_stance", set_stance)
    assert "train/loss" in rehearse(task_of())
    assert stances == ["force_eager"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("full"), None),
        (AttributeError("no logger"), None),
        (ValueError("odd"), "`model.network` does not take inputs torch.float32 of shape (8, 3): odd"),
        (RuntimeError("a\nb"), "`model.network` does not take inputs torch.float32 of shape (8, 3): a b"),
        (IndexError("x"), "`model.network` does not take inputs torch.float32 of shape (8, 3): x"),
    ],
)
def test_an_error_that_the_run_would_have_is_told(error: Exception, expected: str | None) -> None:
    task = task_of(network=Seen({8: error}))
    if expected is None:
        assert rehearse(task) == set()
    else:
        with pytest.raises(ValueError, match=r"^`model.network` does not take") as raised:
            rehearse(task)
        assert str(raised.value) == expected


NO_PAIR = r"^a batch is a {}, not a pair of inputs and targets: define `unpack\(self, batch\)` in Classifica"


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (torch.zeros(8, 3), NO_PAIR.format("Tensor")),
        ([1], NO_PAIR.format("list of 1")),
        ((1, 2, 3), NO_PAIR.format("tuple of 3")),
        ({"x": torch.zeros(8, 3)}, NO_PAIR.format("dict")),
        (("words", torch.zeros(8)), "^`model.network` does not take inputs str: linear"),
        ((torch.zeros(8, 3), "words"), "^`network` must return outputs of shape"),
        (
            ({"x": torch.zeros(8, 3)}, "y"),
            r"^`model.network` does not take inputs {x: torch.float32 of shape \(8, 3\)}",
        ),
    ],
)
def test_a_batch_that_the_task_does_not_take_is_named(batch: Any, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        rehearse(task_of(), batch=batch)


def unpacked(function: Any) -> Any:
    return task_of(type("Own", (ClassificationTask,), {"unpack": lambda self, batch: function(batch)}))


@pytest.mark.parametrize(
    ("unpack", "expected"),
    [
        (lambda batch: (batch["x"], batch["z"]), r"`Own.unpack` does not take a batch {.*}: no key 'z'"),
        (lambda batch: (batch.x, batch.y), r"`Own.unpack` .*: 'dict' object has no attribute 'x'"),
        (lambda batch: (batch[0], batch[1]), r"`Own.unpack` .*: no key 0"),
        (lambda batch: batch["x"], r"`Own.unpack` .*: it must return inputs and targets, got torch.float32 of shape"),
        (lambda batch: (batch, batch["y"]), r"`model.network` does not take inputs {x: .*, y: .*}: linear"),
    ],
)
def test_a_wrong_hook_is_named(unpack: Any, expected: str) -> None:
    batch = {"x": torch.zeros(8, 3), "y": torch.zeros(8).long()}
    with pytest.raises(ValueError, match=expected):
        rehearse(unpacked(unpack), batch=batch)
    assert rehearse(unpacked(lambda batch: (batch["x"], batch["y"])), batch=batch)


@pytest.mark.parametrize(
    ("batch", "expected"),
    [({"x": torch.zeros(8, 3)}, NO_PAIR.format("dict")), ((torch.zeros(8, 7), "odd"), None), (None, None)],
)
def test_a_batch_of_unknown_size_is_taken_apart_alone(batch: Any, expected: str | None) -> None:
    if expected is None:
        assert rehearse(task_of(), batch_size=0, batch=batch) == set()
    else:
        with pytest.raises(ValueError, match=expected):
            rehearse(task_of(), batch_size=0, batch=batch)
    assert rehearse(unpacked(lambda batch: 1 / 0), batch_size=0, batch=batch) == set()


def test_targets_may_be_missing_in_prediction() -> None:
    sampler: Any = Batches(8, {"x": torch.zeros(8, 3)})
    hint = "; return None"
    with pytest.raises(ValueError, match=r"^`Own.unpack` does not take a batch {x: .*}: no key 'y'; return None$"):
        trial.check_unpack(unpacked(lambda batch: (batch["x"], batch["y"])), sampler, hint)
    trial.check_unpack(unpacked(lambda batch: (batch["x"], batch.get("y"))), sampler, hint)
    trial.check_unpack(unpacked(lambda batch: 1 / 0), sampler, hint)  # the run itself will tell


class Heads(nn.Linear):
    def forward(self, inputs: Tensor) -> Any:
        return {"logits": super().forward(inputs)}


def test_outputs_that_the_task_does_not_take_are_named() -> None:
    with pytest.raises(
        ValueError, match=r"^`ClassificationTask.check_shapes` does not take outputs {logits: t"
    ) as raised:
        rehearse(task_of(network=Heads(3, 4)))
    assert str(raised.value).endswith("; `forward(self, inputs)` may return a part of what the network returns")


def test_a_batch_that_the_data_set_holds_is_not_changed() -> None:
    """A `collate_fn` may return what is stored, and `unpack` may take the targets out of it."""
    batch = {"x": torch.zeros(8, 3), "y": torch.zeros(8).long()}

    def take_out(batch: Any) -> tuple[Tensor, Tensor]:
        targets = batch.pop("y")
        batch["x"] += 1
        return batch["x"], targets

    assert rehearse(unpacked(take_out), batch=batch)
    assert batch["x"].sum() == 0
    assert "y" in batch


@pytest.mark.parametrize("part", ["forward", "check_shapes", "compute_loss", "predict"])
def test_code_of_others_may_fail_for_want_of_what_comes_later(part: str) -> None:
    def fail(*_: Any) -> None:
        raise TypeError("not yet")

    assert rehearse(task_of(type("Own", (ClassificationTask,), {part: fail}))) == set()
    assert trial._certain_errors(task_of()) == (ValueError, RuntimeError, KeyError, TypeError, IndexError)


@pytest.mark.parametrize("register", ["register_forward_hook", "register_forward_pre_hook"])
def test_a_network_with_hooks_is_not_copied(register: str) -> None:
    task = task_of(network=nn.Sequential(Seen()))
    getattr(task.network[0], register)(lambda *_: None)
    assert rehearse(task) == set()
    assert not SEEN


def test_a_loss_that_takes_no_such_outputs_is_named() -> None:
    task = task_of()
    task.loss = nn.L1Loss()
    with pytest.raises(
        ValueError, match=r"^`model.loss` does not take outputs torch.float32 of shape \(8, 4\) and tar"
    ):
        rehearse(task)
    task.loss = Three()
    with pytest.raises(ValueError, match=r"^`model.loss` must return one number for a batch, got float$"):
        rehearse(task)
    with pytest.raises(ValueError, match=r"^targets must be classes from 0 to 3, got 0 to 9$"):
        rehearse(task_of(), batch=(torch.zeros(2, 3), torch.tensor([0, 9])))


class Three(nn.Module):
    def forward(self, outputs: Tensor, targets: Tensor) -> float:
        return 3.0


class Mine(Callback):
    """May log anything."""


class Hooked(ClassificationTask):
    def on_train_epoch_end(self) -> None:
        """May log anything."""


class Stepped(ClassificationTask):
    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        raise NotImplementedError


STOPPING = EarlyStopping("x")


@pytest.mark.parametrize(
    ("task", "callbacks", "logged", "validates", "expected"),
    [
        (ClassificationTask, [STOPPING], {"a", "train/loss"}, True, ["EarlyStopping", "x"]),
        (ClassificationTask, [STOPPING], {"a", "x"}, True, None),
        (ClassificationTask, [STOPPING], set(), True, None),  # nothing is known
        (Hooked, [STOPPING], {"a"}, True, None),
        (Stepped, [STOPPING], {"a"}, True, None),
        (ClassificationTask, [STOPPING, Mine()], {"a"}, True, None),
        (ClassificationTask, [STOPPING, LearningRateMonitor()], {"a"}, True, None),
        (ClassificationTask, [STOPPING, DeviceStatsMonitor()], {"a"}, True, None),
        (ClassificationTask, [EarlyStopping("x", strict=False)], {"a"}, True, None),
        (ClassificationTask, [EarlyStopping("val/loss")], {"a"}, True, None),
        (ClassificationTask, [EarlyStopping("val/f1")], {"a"}, True, None),
        (ClassificationTask, [EarlyStopping("val/f1", check_on_train_epoch_end=False)], {"a"}, False, None),
        (
            ClassificationTask,
            [EarlyStopping("val/f1", check_on_train_epoch_end=True)],
            {"a"},
            False,
            ["EarlyStopping", "val/f1"],
        ),
        (ClassificationTask, [ModelCheckpoint(monitor="y")], {"a"}, True, ["ModelCheckpoint", "y"]),
        (ClassificationTask, [ModelCheckpoint()], {"a"}, True, None),
        (ClassificationTask, [BestAndLast("y")], {"a"}, True, ["BestAndLast", "y"]),
        (ClassificationTask, [BestAndLast("y")], {"a"}, False, None),
        (ClassificationTask, [BestAndLast()], {"a"}, True, None),
    ],
)
def test_what_is_watched_must_be_logged(
    task: Any, callbacks: list[Any], logged: set[str], validates: bool, expected: list[str] | None
) -> None:
    given = trainer_of(*callbacks)
    if expected is None:
        monitors.check_monitors(given, task_of(task), logged, validates)
        return
    of_validation = {f"val/{name}" for name in ("loss", "accuracy", "precision", "recall", "f1")}
    with pytest.raises(ValueError, match=r"^`monitor` of ") as raised:
        monitors.check_monitors(given, task_of(task), logged, validates)
    known = ", ".join(sorted(logged | of_validation if validates else logged))
    assert str(raised.value) == (
        f"`monitor` of {expected[0]} must be one of the logged quantities ({known}), got {expected[1]}"
    )


@pytest.mark.parametrize(("on_plateau", "strict"), [(True, True), (True, False), (False, True)])
def test_what_a_plateau_schedule_watches_must_be_logged(on_plateau: bool, strict: bool) -> None:
    config = SimpleNamespace(scheduler="a schedule", monitor="z", reduce_on_plateau=on_plateau, strict=strict)
    found = monitors._watched(trainer_of(lr_scheduler_configs=[config]), validates=True)
    assert found == ([("str", "z")] if on_plateau and strict else [])


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ({"lr": 0}, None),
        ({"lr": 0.1, "momentum": torch.inf, "name": "x"}, None),
        ({"lr": torch.tensor(-1.0)}, None),
        ({}, None),
        ({"lr": -0.1}, "`model.made` gives a learning rate of -0.1: it must be finite and at least 0"),
        ({"lr": torch.inf}, "`model.made` gives a learning rate of inf: it must be finite and at least 0"),
        ({"lr": torch.nan}, "`model.made` gives a learning rate of nan: it must be finite and at least 0"),
        ({"eps": torch.nan}, "`model.optimizer.eps` must be a number, got nan"),
    ],
)
def test_rates_are_finite_and_not_negative(group: dict[str, Any], expected: str | None) -> None:
    if expected is None:
        optimizers._check_rates([group], "made")
        return
    with pytest.raises(ValueError, match="`model") as raised:
        optimizers._check_rates([{"lr": 0.1}, group], "made")
    assert str(raised.value) == expected


class Uncopied(LambdaLR):
    def __deepcopy__(self, memo: Any) -> Any:
        raise RuntimeError("one of a kind")


def falls(error: Exception) -> Any:
    """Return a factor of the learning rate that cannot be computed after the start."""

    def factor(step: int) -> float:
        if step:
            raise error
        return 1.0

    return factor


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda optimizer: ExponentialLR(optimizer, 0.5), None),
        (lambda optimizer: ReduceLROnPlateau(optimizer, patience=0), None),
        (lambda optimizer: Uncopied(optimizer, falls(ValueError("late"))), None),
        (lambda optimizer: ExponentialLR(optimizer, -1.0), "`model.lr_scheduler` gives a learning rate of -0.5: it"),
        *(
            (lambda optimizer, kind=kind: LambdaLR(optimizer, falls(kind("a\nb"))), "in its first step: a b")
            for kind in (ArithmeticError, ValueError, TypeError, IndexError)
        ),
    ],
)
def test_a_schedule_is_tried_on_a_copy(make: Any, expected: str | None) -> None:
    task = task_of()
    optimizer = SGD(task.parameters())
    schedule = make(optimizer)
    state = {name: value for name, value in schedule.state_dict().items() if isinstance(value, int | float | list)}
    given = trainer_of(optimizers=[optimizer], lr_scheduler_configs=[SimpleNamespace(scheduler=schedule)])
    if expected is None:
        optimizers.check_optimizers(given, task)
    else:
        with pytest.raises(ValueError, match=expected):
            optimizers.check_optimizers(given, task)
        optimizers.check_optimizers(given, nn.Identity())  # type: ignore[arg-type]  # of others nothing is certain
    assert optimizer.param_groups[0]["lr"] == 0.5
    after = schedule.state_dict()
    assert {name: after[name] for name in state} == state


@pytest.mark.parametrize("has_schedule", [True, False])
def test_a_wrong_rate_is_that_of_what_set_it(has_schedule: bool) -> None:
    optimizer = SGD(nn.Linear(1, 1).parameters())
    optimizer.param_groups[0]["lr"] = -1.0
    given = trainer_of(optimizers=[optimizer], lr_scheduler_configs=[1] if has_schedule else [])
    who = "lr_scheduler" if has_schedule else "optimizer"
    with pytest.raises(ValueError, match=f"^`model.{who}` gives a learning rate of -1.0"):
        optimizers.check_optimizers(given, nn.Identity())  # type: ignore[arg-type]
