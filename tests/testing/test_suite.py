"""What the suite tells, and that it leaves everything as it was."""

import logging
import os
import random
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from multiprocessing.util import get_temp_dir
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.demos.boring_classes import (
    BoringDataModule,
    BoringModel,
    DemoModel,
    ManualOptimBoringModel,
)
from lightning.pytorch.demos.transformer import LightningTransformer
from mutants import Classifier, NoLearningRate, Points, SummedLoss, UnseededWeights
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_template.datamodules import FashionMNISTDataModule, LineDataModule
from lightning_template.networks import MLP, ConvNet
from lightning_template.tasks import ClassificationTask, RegressionTask
from lightning_template.testing import ChecksFailed, check_task, parametrize_checks, suite
from lightning_template.testing.checks import CHECKS
from lightning_template.testing.running import run_check
from lightning_template.testing.subject import Subject

TOO_FAST = {"overfits_one_batch": "a learning rate of 0.1 is too large for one sample of 32 values"}
UNSAVED = {"arguments_are_saved": "it saves no hyper-parameters"}
MASK = {"exports": "torch.nn.Transformer branches on the values of a mask"}
SUM = {"two_ranks_match_one": "its loss is a sum over the samples"}
FEW = ["loss_is_finite", "loss_starts_as_expected", "overfits_one_batch", "steps_per_execution_changes_nothing"]


class Tokens(LightningDataModule):
    """Short texts of 16 words, each with the words that follow."""

    def train_dataloader(self) -> DataLoader[tuple[torch.Tensor, ...]]:
        words = torch.randint(16, (12, 7), generator=torch.Generator().manual_seed(0))
        return DataLoader(TensorDataset(words[:, :-1], words[:, 1:]), batch_size=4)


class WithWorkers(Points):
    def train_dataloader(self) -> DataLoader[tuple[torch.Tensor, ...]]:
        return DataLoader(self.train_set, self.batch_size, num_workers=1)


class OfflineTransformer(LightningTransformer):
    def prepare_data(self) -> None:
        """Download nothing."""


@pytest.fixture
def few_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "CHECKS", {name: CHECKS[name] for name in FEW})


@pytest.mark.usefixtures("few_checks")
def test_expected_failures_are_told_apart() -> None:
    reason = "nothing is to be learned"
    results = check_task(NoLearningRate, Points, {"overfits_one_batch": reason})
    (result,) = (result for result in results if result.outcome == "expected")
    assert (result.check, result.message) == ("overfits_one_batch", reason)


@pytest.mark.usefixtures("few_checks")
def test_failures_are_listed_and_so_is_what_passes_unexpectedly() -> None:
    with pytest.raises(ChecksFailed) as caught:
        check_task(NoLearningRate, Points, {"loss_is_finite": "division by 0"})
    text = str(caught.value).splitlines()
    assert text[0] == "2 of 4 checks failed"
    assert text[1] == "  loss_is_finite: it passes, though it was expected to fail: division by 0"
    assert text[2].startswith("  overfits_one_batch: 20 steps")
    assert len(text) == 3
    assert [result.check for result in caught.value.results] == FEW


def test_a_name_of_no_check_is_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"no check loss_is_finit, did you mean loss_is_finite\?"):
        check_task(Classifier, Points, {"loss_is_finit": ""})


def test_pytest_gets_one_test_for_each_check() -> None:
    (names, tests) = parametrize_checks(SummedLoss, Points, {"resumes_exactly": "none"}).args
    checks = {test.id: test.values[0] for test in tests}
    assert (names, [*checks]) == ("check", [*CHECKS])
    checks["loss_is_finite"]()
    with pytest.warns(UserWarning, match="ln 3"):
        checks["loss_starts_as_expected"]()
    strict = parametrize_checks(SummedLoss, Points, strict=True).args[1]
    with pytest.raises(pytest.fail.Exception, match="ln 3"):
        next(test.values[0] for test in strict if test.id == "loss_starts_as_expected")()
    with pytest.raises(pytest.skip.Exception, match="optimization is automatic"):
        checks["gradients_start_anew_each_step"]()
    with pytest.raises(pytest.fail.Exception, match="it passes, though it was expected to fail: none"):
        checks["resumes_exactly"]()
    expected = parametrize_checks(SummedLoss, Points, {"loss_starts_as_expected": "a sum"}).args[1]
    with pytest.raises(pytest.xfail.Exception, match="a sum"):
        next(test.values[0] for test in expected if test.id == "loss_starts_as_expected")()


def test_instances_are_copied_and_made_again_where_they_can_be() -> None:
    task, data = Classifier(hidden=5), Points()
    before = {name: weight.clone() for name, weight in task.state_dict().items()}
    subject = Subject(task, data)
    for name in ("same_seed_same_weights", "arguments_are_saved", "overfits_one_batch", "sets_are_disjoint"):
        assert run_check(name, subject).outcome == "passed"
    assert not hasattr(data, "train_set")
    for name, weight in task.state_dict().items():
        torch.testing.assert_close(weight, before[name], rtol=0, atol=0)
    result = run_check("same_seed_same_weights", Subject(UnseededWeights(), data))
    assert result.outcome == "failed"
    result = run_check("same_seed_same_weights", Subject(BoringModel(), data))
    assert (result.outcome, "no hyper-parameters" in result.message) == ("skipped", True)


def test_global_state_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Careless(Classifier):
        def setup(self, stage: str) -> None:
            torch.set_default_dtype(torch.float64)
            torch.use_deterministic_algorithms(True)
            torch.set_float32_matmul_precision("medium")
            torch.set_num_threads(2)
            logging.getLogger("lightning.pytorch").setLevel(logging.DEBUG)
            warnings.simplefilter("ignore", UserWarning)
            os.environ["CARELESS"] = "1"
            tempfile.mkdtemp()

    def look() -> list[object]:
        return [
            torch.get_default_dtype(),
            torch.are_deterministic_algorithms_enabled(),
            torch.get_float32_matmul_precision(),
            torch.get_num_threads(),
            logging.getLogger("lightning.pytorch").level,
            warnings.filters[:],
            dict(os.environ),
            random.getstate(),
            np.random.get_state(legacy=False),
            torch.get_rng_state().tolist(),
            sorted(Path(tempfile.gettempdir()).iterdir()),
            [*tmp_path.iterdir()],
        ]

    get_temp_dir()  # multiprocessing's own, which it makes once
    monkeypatch.chdir(tmp_path)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    before = str(look())
    for name in ("batch_fits_task", "sets_are_disjoint", "checkpoint_round_trip", "exports", "two_ranks_match_one"):
        run_check(name, Subject(Careless, Points))
    assert str(look()) == before


def test_workers_of_loaders_serve_one_check_after_the_other() -> None:
    subject = Subject(Classifier, WithWorkers)
    for _ in range(2):
        assert run_check("same_seed_same_batches", subject).outcome == "passed"


def line(network: nn.Module, loss: nn.Module) -> RegressionTask:
    return RegressionTask(network, loss, partial(torch.optim.Adam, lr=1e-2))


def images(network: nn.Module, loss: nn.Module) -> ClassificationTask:
    return ClassificationTask(network, loss, num_classes=10, optimizer=partial(torch.optim.SGD, lr=1e-3))


SHIPPED: dict[str, tuple[Callable[[], LightningModule], type[LightningDataModule], bool]] = {
    "regression, MLP": (lambda: line(MLP(1, [4], 1), nn.L1Loss()), LineDataModule, True),
    "regression, batch norm": (lambda: line(MLP(1, [4], 1, batch_norm=True), nn.MSELoss()), LineDataModule, False),
    "classification, MLP": (lambda: images(MLP(784, [16], 10), nn.CrossEntropyLoss()), FashionMNISTDataModule, True),
    "classification, NLL": (
        lambda: images(ConvNet(1, [4, 4], 10, 28, last_activation=partial(nn.LogSoftmax, dim=1)), nn.NLLLoss()),
        FashionMNISTDataModule,
        True,
    ),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if slow else ()) for name, (*_, slow) in SHIPPED.items()]
)
def test_no_false_alarm_on_what_is_shipped(name: str, fashion_mnist: Path) -> None:
    task, data, _ = SHIPPED[name]
    options = {"data_dir": str(fashion_mnist)} if data is FashionMNISTDataModule else {}
    outcomes = {result.check: result.outcome for result in check_task(task, partial(data, batch_size=16, **options))}
    assert outcomes["resumes_exactly"] == outcomes["exports"] == outcomes["sets_are_disjoint"] == "passed"


@pytest.mark.parametrize(
    ("task", "data", "expected_failures"),
    [
        pytest.param(BoringModel, BoringDataModule, TOO_FAST, marks=pytest.mark.slow),
        pytest.param(ManualOptimBoringModel, BoringDataModule, TOO_FAST, marks=pytest.mark.slow),
        pytest.param(DemoModel, BoringDataModule, UNSAVED | SUM, marks=pytest.mark.slow),
        pytest.param(
            partial(OfflineTransformer, vocab_size=16), Tokens, UNSAVED | MASK, marks=pytest.mark.slow, id="transformer"
        ),
    ],
)
def test_no_false_alarm_on_lightnings_own(
    task: Callable[[], LightningModule], data: type[LightningDataModule], expected_failures: dict[str, str]
) -> None:
    outcomes = {result.check: result.outcome for result in check_task(task, data, expected_failures)}
    assert (outcomes["gradients_start_anew_each_step"] == "passed") == (task is ManualOptimBoringModel)
