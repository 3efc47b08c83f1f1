"""Mean loss and metrics keep their precision, checked against sums in exact numbers."""

from collections import OrderedDict
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD
from torchmetrics import MeanAbsoluteError, MeanSquaredError, MetricCollection
from torchmetrics.wrappers import MultitaskWrapper

from lightning_template.engine.measures.joining import joined
from lightning_template.engine.measures.mean_loss import MeanLoss
from lightning_template.engine.measures.measures import Measures, num_samples
from lightning_template.engine.nests import tensors_of
from lightning_template.tasks import RegressionTask

HALVES = [torch.float16, torch.bfloat16]


def test_a_loss_is_summed_in_double_precision() -> None:
    losses = [2.0**24, *[1.0] * 300]  # in single precision, 2**24 + 1 is 2**24
    mean = MeanLoss()
    for loss in losses:
        mean.update(torch.tensor([loss]), torch.tensor([1]))
    exact = float(sum(map(Fraction, losses)) / len(losses))
    wrong = 2.0**24 / len(losses)
    assert mean.compute().dtype is torch.float32
    assert mean.compute().item() == pytest.approx(exact, rel=1e-6)
    assert exact != pytest.approx(wrong, rel=1e-6)


def test_samples_are_counted_beyond_single_precision() -> None:
    mean = MeanLoss()
    mean.update(torch.tensor([1.0]), torch.tensor([2**24]))
    for _ in range(200):
        mean.update(torch.tensor([1e5]), torch.tensor([1]))
    exact = Fraction(2**24 + 200 * 100_000, 2**24 + 200)
    assert mean.compute().item() == pytest.approx(float(exact), rel=1e-6)
    assert mean.num_samples.item() == 2**24 + 200


@pytest.mark.parametrize("dtype", HALVES)
def test_metrics_of_a_task_in_half_precision(dtype: torch.dtype) -> None:
    """In bfloat16 a count stops at 256, and in float16 a sum at 65504."""
    task = RegressionTask(nn.Identity(), nn.MSELoss(), partial(SGD, lr=0.1)).to(dtype)
    measures = task.val_measures
    generator = torch.Generator().manual_seed(0)
    outputs, targets = (10 * torch.randn(2, 3000, 1, generator=generator)).to(dtype)
    for batch, target in zip(outputs.split(100), targets.split(100), strict=True):
        measures.update((batch.double() - target.double()).square().mean(), batch, target)
        measures.flush()
    errors = outputs.double() - targets.double()
    found = measures.metrics.compute()
    assert found["val/mae"].item() == pytest.approx(errors.abs().mean().item(), rel=1e-5)
    assert found["val/mse"].item() == pytest.approx(errors.square().mean().item(), rel=1e-5)
    assert measures.loss.compute().item() == pytest.approx(errors.square().mean().item(), rel=1e-5)


@pytest.mark.parametrize("dtype", HALVES)
def test_states_of_metrics_keep_their_precision(dtype: torch.dtype) -> None:
    measures = Measures("val", MetricCollection({"mae": MeanAbsoluteError().set_dtype(torch.float64)}), nn.Identity())
    measures.to(dtype)
    (mae,) = measures.metrics.values()
    assert (mae.sum_abs_error.dtype, measures.loss.total.dtype) == (torch.float64, torch.float64)


def test_states_go_to_the_device_of_the_task() -> None:
    task = RegressionTask(nn.Linear(1, 1), nn.MSELoss(), partial(SGD, lr=0.1)).to("meta")
    for measures in (task.train_measures, task.val_measures, task.test_measures):
        states = [measures.loss.total, measures.loss.num_samples, *measures.metrics.state_dict().values()]
        states += [getattr(metric, name) for metric in measures.metrics.values() for name in metric._defaults]
        assert {state.device.type for state in states} == {"meta"}


def test_ranks_add_their_losses() -> None:
    """The mean over both ranks' samples, with the other rank's sums as they are gathered."""
    mean, other = MeanLoss(), MeanLoss()
    mean.update(torch.tensor([2.0]), torch.tensor([3]))
    other.update(torch.tensor([10.0]), torch.tensor([1]))
    gathered = iter([[mean.total, other.total], [mean.num_samples, other.num_samples]])
    mean.sync(dist_sync_fn=lambda *_, **__: next(gathered), distributed_available=lambda: True)
    assert (mean.total.item(), mean.num_samples.item()) == (3 * 2.0 + 10.0, 4)


def test_batches_whose_samples_differ_in_shape() -> None:
    measures = Measures("val", MetricCollection({"mae": MeanAbsoluteError()}), nn.Identity())
    generator = torch.Generator().manual_seed(0)
    shapes = [(5, 3), (5, 4), (2, 3)]
    batches = [(torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)) for shape in shapes]
    for outputs, targets in batches:
        measures.update((outputs - targets).abs().mean(), outputs, targets)
    measures.flush()
    errors = torch.cat([(outputs - targets).abs().flatten() for outputs, targets in batches])
    assert measures.metrics.compute()["val/mae"].item() == pytest.approx(errors.mean().item())


class SizeError(MeanAbsoluteError):
    """Takes a part of what it is given."""

    def update(self, predictions: Any, targets: Any) -> None:
        super().update(predictions["size"], targets["size"])


def two(number: int, outputs_of: Any = dict) -> tuple[Any, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(number)
    size, kind, y = torch.randn(3, number, 1, generator=generator)
    return outputs_of(size=size, kind=kind), {"size": y, "kind": (y > 0).long()}


def mean_error(*batches: tuple[Any, dict[str, Tensor]]) -> float:
    errors = [(dict(outputs)["size"] - targets["size"]).abs() for outputs, targets in batches]
    return torch.cat(errors).mean().item()


def of_size() -> Measures:
    return Measures("val", MetricCollection({"size": SizeError()}), nn.Identity())


def test_batches_of_dicts_wait_and_are_measured_together() -> None:
    seen: list[int] = []

    class CountedError(SizeError):
        def update(self, predictions: Any, targets: Any) -> None:
            seen.append(len(predictions["size"]))
            super().update(predictions, targets)

    batches = [two(4), two(4), two(2)]
    measures = Measures("val", MetricCollection({"size": CountedError()}), nn.Identity())
    for number, (outputs, targets) in enumerate(batches):
        measures.update(torch.tensor(float(number)), outputs, targets)
    assert seen == []
    found = measures.results()
    assert seen == [10]
    assert found["val/size"].compute().item() == pytest.approx(mean_error(*batches))
    assert found["val/loss"].compute().item() == pytest.approx((4 * 0 + 4 * 1 + 2 * 2) / 10)


def test_what_waits_is_a_copy_without_gradients() -> None:
    """A CUDA graph uses the memory of its outputs again."""
    measures, (outputs, targets) = of_size(), two(4)
    outputs = {name: value.requires_grad_() for name, value in outputs.items()}
    expected = mean_error((outputs, targets))
    measures.update(torch.tensor(1.0, requires_grad=True), outputs, targets)
    waiting = tensors_of(measures._waiting)
    assert not any(tensor.requires_grad for tensor in waiting)
    with torch.no_grad():
        outputs["size"].fill_(100.0)
    assert measures.results()["val/size"].compute().item() == pytest.approx(expected)


def test_what_metrics_do_not_need_does_not_wait() -> None:
    measures = Measures("val", MetricCollection({"mae": MeanAbsoluteError()}), lambda outputs: outputs["size"])
    outputs, targets = two(4)
    measures.update(torch.tensor(1.0), {**outputs, "hidden": torch.zeros(4, 1000)}, targets["size"])
    assert measures.num_values == 8


def test_waiting_batches_are_saved_as_plain_values(tmp_path: Path) -> None:
    batches = [two(4), two(3)]
    one, other = of_size(), of_size()
    one.update(torch.tensor(2.0), *batches[0])
    torch.save(one.dump_waiting(), tmp_path / "waiting")
    other.load_waiting(torch.load(tmp_path / "waiting", weights_only=True))
    assert other.num_values == one.num_values == 16
    other.update(torch.tensor(3.0), *batches[1])
    found = other.results()
    assert found["val/size"].compute().item() == pytest.approx(mean_error(*batches))
    assert found["val/loss"].compute().item() == pytest.approx(17 / 7)


class Outputs(OrderedDict[str, Tensor]):
    """Of a class that no checkpoint holds."""


def test_what_a_checkpoint_cannot_hold_is_measured_at_once() -> None:
    measures, (outputs, targets) = of_size(), two(4, Outputs)
    measures.update(torch.tensor(1.0), outputs, targets)
    assert measures.dump_waiting()["batches"] == []
    assert measures.results()["val/size"].compute().item() == pytest.approx(mean_error((outputs, targets)))


def test_batches_of_another_structure_may_follow() -> None:
    measures = Measures(
        "val", MetricCollection({"mae": MeanAbsoluteError()}), lambda o: o if isinstance(o, Tensor) else o.mean
    )
    plain, other = torch.randn(2, 3, 1), torch.randn(2, 5, 1)
    measures.update(torch.tensor(1.0), *plain)
    measures.update(torch.tensor(2.0), SimpleNamespace(mean=other[0]), other[1])
    measures.update(torch.tensor(1.0), *plain)
    found = measures.results()
    errors = [(outputs - targets).abs() for outputs, targets in (plain, other, plain)]
    assert found["val/mae"].compute().item() == pytest.approx(torch.cat(errors).mean().item())
    assert found["val/loss"].compute().item() == pytest.approx((6 + 10) / 11)


@pytest.mark.parametrize("nested", [False, True])
def test_each_of_several_heads_has_its_metric(nested: bool) -> None:
    heads: Any = MultitaskWrapper({"size": MetricCollection({"mae": MeanAbsoluteError()}), "kind": MeanSquaredError()})
    measures = Measures("val", MetricCollection({"heads": heads}) if nested else heads, nn.Identity())
    batches = [two(4), two(2)]
    for outputs, targets in batches:
        measures.update(torch.tensor(1.0), outputs, {**targets, "kind": targets["kind"].float()})
    found = measures.results()
    prefix = "val/heads_" if nested else "val/"
    assert list(found) == ["val/loss", f"{prefix}size_mae", f"{prefix}kind"]
    assert found[f"{prefix}size_mae"].compute().item() == pytest.approx(mean_error(*batches))
    squares = torch.cat([(outputs["kind"] - targets["kind"].float()).square() for outputs, targets in batches])
    assert found[f"{prefix}kind"].compute().item() == pytest.approx(squares.mean().item())


@pytest.mark.parametrize(
    ("targets", "outputs", "expected"),
    [
        (torch.zeros(4, 2), None, 4),
        ({"a": torch.zeros(3), "b": torch.zeros(5)}, None, 3),
        (["text", (None, torch.zeros(2))], torch.zeros(7), 2),
        (None, {"z": torch.zeros(6)}, 6),
    ],
)
def test_samples_are_counted_by_the_first_tensor(targets: Any, outputs: Any, expected: int) -> None:
    assert num_samples(targets, outputs) == expected


@pytest.mark.parametrize("targets", [None, torch.tensor(1.0), {"n": torch.tensor(3), "y": torch.zeros(2)}, ["text"]])
def test_what_tells_no_number_of_samples_is_refused(targets: Any) -> None:
    with pytest.raises(ValueError, match=r"^the first tensor of the targets must have samples along dimension 0, "):
        num_samples(targets, ["text"])


@pytest.mark.parametrize(
    ("batches", "number"),
    [
        ([{"a": torch.zeros(2, 3)}, {"a": torch.zeros(1, 3)}], 1),
        ([{"a": torch.zeros(2, 3)}, {"a": torch.zeros(1, 4)}], 2),
        ([{"a": torch.zeros(2)}, {"b": torch.zeros(1)}], 2),
        ([{"a": torch.zeros(2), "n": torch.tensor(1)}, {"a": torch.zeros(1), "n": torch.tensor(1)}], 2),
        ([{"a": torch.zeros(2), "edges": torch.zeros(9, 2)}, {"a": torch.zeros(1), "edges": torch.zeros(9, 2)}], 2),
        ([[torch.zeros(2), "x"], [torch.zeros(1), "x"]], 2),
    ],
)
def test_only_tensors_of_samples_are_joined(batches: Any, number: int) -> None:
    assert len(joined(batches, [2, 1])) == number
