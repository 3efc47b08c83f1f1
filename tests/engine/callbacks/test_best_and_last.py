"""Which checkpoints a run keeps, when it writes them, and what never takes the place of a good one."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightning_template.callbacks import BestAndLast, FiniteLoss
from lightning_template.engine.callbacks import best_and_last
from lightning_template.engine.loops import Boundary
from lightning_template.engine.runs.checkpoints import WholeCheckpointIO
from lightning_template.engine.runs.digests import SealedArchive, is_whole
from lightning_template.engine.runs.directories import read_json

STEPS = 4
"""Steps of an epoch."""


class Scored(LightningModule):
    """Counts its steps in a weight, and gets a given score in each epoch."""

    def __init__(self, scores: list[float], losses: Callable[[int], float] = lambda step: 1.0) -> None:
        super().__init__()
        self.scores = scores
        self.losses = losses
        self.count = nn.Parameter(torch.zeros(()))
        self.unused = nn.Parameter(torch.zeros(2))

    def training_step(self, batch: Tensor, index: int) -> Tensor:
        return self.losses(self.global_step) - self.count + self.count.detach()

    def validation_step(self, batch: Tensor, index: int) -> None:
        self.log("val/loss", torch.tensor(self.scores[self.current_epoch]))

    def train_dataloader(self) -> DataLoader[Tensor]:
        return DataLoader(range(STEPS))  # type: ignore[arg-type]

    def val_dataloader(self) -> DataLoader[Tensor]:
        return DataLoader([0])  # type: ignore[arg-type]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([self.count], lr=1.0)


class At(Boundary):
    """Does something at the boundary after a number of steps, before a checkpoint is written there."""

    def __init__(self, step: int, action: Callable[[], object]) -> None:
        self.step = step
        self.action = action

    def on_boundary(self, trainer: Trainer, pl_module: LightningModule, epoch_ended: bool, stops: bool) -> None:
        if trainer.global_step == self.step and epoch_ended:
            self.action()


def fit(folder: Path, module: LightningModule, *callbacks: Callback, epochs: int = 1, **options: Any) -> Trainer:
    trainer = Trainer(
        default_root_dir=folder,
        max_epochs=epochs,
        callbacks=list(callbacks),
        plugins=[WholeCheckpointIO()],
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(module)
    return trainer


def load(folder: Path, name: str) -> dict[str, Any]:
    assert is_whole(folder / "checkpoints" / f"{name}.ckpt")
    loaded: dict[str, Any] = torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
    return loaded


def steps_of(folder: Path, name: str) -> int:
    """Return after how many steps a checkpoint was written, by its weights."""
    content = load(folder, name)
    assert content["global_step"] == content["state_dict"]["count"]
    return int(content["global_step"])


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("mode", "scores", "best"),
    [
        ("min", [3.0, 2.0, 2.0, 5.0], 1),
        ("max", [3.0, 5.0, 5.0, 2.0], 1),
        ("min", [NAN, 3.0, NAN, 2.0, 4.0], 3),
        ("max", [NAN, INF, 3.0, NAN], 2),
        ("min", [-INF, 3.0], 1),
    ],
)
def test_the_best_is_that_of_the_best_score(mode: Any, scores: list[float], best: int, tmp_path: Path) -> None:
    fit(tmp_path, Scored(scores), BestAndLast(mode=mode), epochs=len(scores))
    assert steps_of(tmp_path, "best") == STEPS * (best + 1)
    expected = {"monitor": "val/loss", "mode": mode, "best_score": scores[best], "best_epoch": best}
    assert read_json(tmp_path / "metrics.json")["best"] == {**expected, "best_step": STEPS * (best + 1)}
    assert steps_of(tmp_path, "last") == STEPS * len(scores)


@pytest.mark.parametrize("score", [NAN, INF])
def test_no_score_is_no_best(score: float, tmp_path: Path) -> None:
    fit(tmp_path, Scored([score]), BestAndLast())
    assert [path.name for path in tmp_path.rglob("*.*")] == ["last.ckpt"]


def test_a_resumed_run_knows_its_best(tmp_path: Path) -> None:
    fit(tmp_path, Scored([2.0, 3.0]), BestAndLast(), epochs=2)
    callback = BestAndLast()
    trainer = Trainer(
        default_root_dir=tmp_path, max_epochs=3, callbacks=[callback], logger=False, enable_progress_bar=False
    )
    last = tmp_path / "checkpoints" / "last.ckpt"
    trainer.fit(Scored([0.0, 0.0, 2.5]), ckpt_path=last, weights_only=True)
    assert steps_of(tmp_path, "best") == STEPS
    assert (callback.best_score, callback.best_epoch, callback.best_step) == (2.0, 0, STEPS)


def test_the_last_but_one_is_kept(tmp_path: Path) -> None:
    fit(tmp_path, Scored([1.0] * 3), BestAndLast(), epochs=3)
    assert [steps_of(tmp_path, name) for name in ("previous", "last")] == [2 * STEPS, 3 * STEPS]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "best.ckpt",
        "last.ckpt",
        "previous.ckpt",
    ]


@pytest.mark.parametrize("has_links", [True, False])
def test_a_damaged_last_is_not_kept(has_links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_links:

        def refuse(*args: object) -> None:
            raise OSError("no hard links here")

        monkeypatch.setattr(Path, "hardlink_to", refuse)
    last = tmp_path / "checkpoints" / "last.ckpt"

    def damage() -> None:
        content = bytearray(last.read_bytes())
        content[len(content) // 2] ^= 1
        last.write_bytes(content)

    fit(tmp_path, Scored([1.0] * 3), At(3 * STEPS, damage), BestAndLast(), epochs=3)
    assert [steps_of(tmp_path, name) for name in ("previous", "last")] == [STEPS, 3 * STEPS]


def test_a_kill_while_the_last_was_kept_leaves_no_trace(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    last, previous, part = (folder / name for name in ("last.ckpt", "previous.ckpt", f".previous.ckpt.{os.getpid()}"))

    def as_after_a_kill() -> None:  # previous and last are one file, and so is what was to be renamed
        previous.unlink(missing_ok=True)
        for name in (previous, part, tmp_path / "witness"):
            name.hardlink_to(last)
        (tmp_path / "before").write_bytes(last.read_bytes())

    fit(tmp_path, Scored([1.0] * 4), At(2 * STEPS, as_after_a_kill), BestAndLast(), epochs=4)
    assert [steps_of(tmp_path, name) for name in ("previous", "last")] == [3 * STEPS, 4 * STEPS]
    assert (tmp_path / "witness").read_bytes() == (tmp_path / "before").read_bytes()
    assert not list(folder.glob(".*"))


def test_a_kill_while_the_last_was_kept_does_no_harm_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"

    def as_after_a_kill() -> None:
        (folder / "previous.ckpt").unlink(missing_ok=True)
        (folder / "previous.ckpt").hardlink_to(folder / "last.ckpt")

    fit(tmp_path, Scored([1.0] * 2), At(2 * STEPS, as_after_a_kill), BestAndLast(), epochs=2)
    assert [steps_of(tmp_path, name) for name in ("previous", "last")] == [STEPS, 2 * STEPS]
    assert not list(folder.glob(".*"))


def test_what_the_disk_damages_takes_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close = SealedArchive.close

    def damage(self: SealedArchive) -> None:
        path = Path(self.name)
        close(self)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    action = At(2 * STEPS, lambda: monkeypatch.setattr(SealedArchive, "close", damage))
    with pytest.raises(OSError, match=r"^cannot write .*last\.ckpt: .* is damaged: its content does not match"):
        fit(tmp_path, Scored([1.0] * 3), action, BestAndLast(), epochs=3)
    assert steps_of(tmp_path, "last") == STEPS
    assert not list((tmp_path / "checkpoints").glob(".*"))


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the steps after which checkpoints are written, as they come; none gets to the disk."""
    steps: list[int] = []

    def save(self: WholeCheckpointIO, checkpoint: dict[str, Any], path: Path, storage_options: Any = None) -> None:
        steps.append(checkpoint["global_step"])

    monkeypatch.setattr(WholeCheckpointIO, "save_checkpoint", save)
    return steps


@pytest.mark.parametrize(
    ("options", "seconds", "expected"),
    [
        ({}, 61.0, [10, 20]),  # ten minutes
        ({"every_minutes": 10}, 599.0, [2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22]),
        ({"every_minutes": 0.5}, 7.0, [5, 10, 15, 20]),
        ({"every_minutes": 2}, 20.0, [6, 12, 18]),
        ({"every_minutes": None}, 599.0, []),
    ],
)
def test_every_so_many_minutes(
    options: dict[str, Any],
    seconds: float,
    expected: list[int],
    written: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Clock(Scored):
        def on_train_batch_start(self, *args: object) -> None:
            now = seconds * (self.global_step + 1)
            monkeypatch.setattr(best_and_last, "time", SimpleNamespace(monotonic=lambda: now))

    keeper = BestAndLast(**options)  # the time counts from the start of training
    monkeypatch.setattr(best_and_last, "time", SimpleNamespace(monotonic=lambda: 0.0))
    monkeypatch.setitem(globals(), "STEPS", 24)
    fit(tmp_path, Clock([1.0]), keeper, limit_val_batches=0)
    assert written == [*expected, 24]


@pytest.mark.parametrize(("every_n_steps", "expected"), [(3, [3, 6, 8]), (4, [4, 8]), (None, [4, 8])])
def test_every_so_many_steps(
    every_n_steps: int | None, expected: list[int], written: list[int], tmp_path: Path
) -> None:
    fit(tmp_path, Scored([]), BestAndLast(every_n_steps=every_n_steps), epochs=2, limit_val_batches=0)
    assert written == sorted({*expected, STEPS, 2 * STEPS})


@pytest.mark.parametrize("options", [{"every_n_steps": 0}, {"every_minutes": -1.0}, {"every_minutes": 0}])
def test_intervals_are_positive(options: dict[str, Any]) -> None:
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f"^`{name}` must be greater than 0, got {value}$"):
        BestAndLast(**options)


@pytest.mark.parametrize(("clocks", "is_over"), [([60.0, 59.0], True), ([59.0, 60.0], True), ([59.0, 59.0], False)])
def test_the_first_clock_of_all_ranks_decides(
    clocks: list[float], is_over: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reduce(decision: bool, all: bool = True) -> bool:  # noqa: A002
        decisions = [decision, clocks[1] >= 60]
        return min(decisions) if all else max(decisions)

    keeper = BestAndLast(every_minutes=1)
    keeper._saved_at = 0.0
    monkeypatch.setattr(best_and_last, "time", SimpleNamespace(monotonic=lambda: clocks[0]))
    trainer: Any = SimpleNamespace(strategy=SimpleNamespace(reduce_boolean_decision=reduce))
    assert keeper._interval_is_over(trainer) == is_over


def test_where_nothing_is_logged_nothing_can_be_watched() -> None:
    with pytest.raises(ValueError, match=r"one of the logged quantities \(nothing\), got val/loss$"):
        BestAndLast("val/loss")._check_monitor(SimpleNamespace(callback_metrics={}))  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [NAN, INF])
def test_a_weight_that_is_not_finite_is_not_saved_though_the_loss_is(value: float, tmp_path: Path) -> None:
    module = Scored([1.0] * 3)
    spoil = At(2 * STEPS, lambda: module.unused.data[1:].fill_(value))
    with pytest.raises(FloatingPointError, match="unused is not finite"):
        fit(tmp_path, module, spoil, BestAndLast(), epochs=3)
    assert steps_of(tmp_path, "last") == STEPS
    assert load(tmp_path, "last")["state_dict"]["unused"].tolist() == [0, 0]


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("step", [2, STEPS - 1])  # one that is logged, and the last
def test_a_loss_that_is_not_finite_ends_a_run_though_the_weights_are(value: float, step: int, tmp_path: Path) -> None:
    module = Scored([1.0], losses=lambda number: value if number == step else 1.0)
    with pytest.raises(FloatingPointError, match=f"after step {step + 1}: lower the learning rate"):
        fit(tmp_path, module, FiniteLoss(), log_every_n_steps=3)
    assert module.count.isfinite()


@pytest.mark.parametrize("ranks", [2, 3])
def test_a_checkpoint_of_another_number_of_ranks_is_refused(ranks: int, tmp_path: Path) -> None:
    fit(tmp_path, Scored([1.0]), BestAndLast())
    content = load(tmp_path, "last")
    state = content["loops"]["fit_loop"]["epoch_loop.state_dict"]
    state["ranks"] *= ranks
    torch.save(content, tmp_path / "other.ckpt")
    trainer = Trainer(default_root_dir=tmp_path, max_epochs=2, callbacks=[BestAndLast()], logger=False)
    with pytest.raises(ValueError, match=f"is of {ranks} processes, and this run has 1"):
        trainer.fit(Scored([1.0]), ckpt_path=tmp_path / "other.ckpt", weights_only=True)
