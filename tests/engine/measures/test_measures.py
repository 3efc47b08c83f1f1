"""Mean loss and metrics keep their precision, checked against sums in exact numbers."""

from fractions import Fraction
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD
from torchmetrics import MeanAbsoluteError, MetricCollection

from lightning_template.engine.measures.mean_loss import MeanLoss
from lightning_template.engine.measures.measures import Measures
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
