"""Modules of others, from a YAML of three lines: each does here what it does with Lightning alone, to the bit."""

import copy
import json
import pkgutil
import signal
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
import torch
import yaml
from lightning.pytorch import Trainer, seed_everything
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from torch import Tensor

from conftest import Command
from foreign_modules import TakesNetwork
from lightning_template.engine.libraries.lightning_loops import BaseEpochLoop
from lightning_template.engine.loops.resumable import EpochLoop
from lightning_template.load import load_run

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning warns of small loaders, of what is not overridden ...

BORING = "lightning.pytorch.demos.boring_classes."
STRICT = {"class_path": "foreign_modules.StrictStages", "init_args": {"batch_size": 4}}
AVERAGING = {"class_path": "lightning.pytorch.callbacks.EMAWeightAveraging"}


class Case(NamedTuple):
    """What the YAML says under `model` and `data`, and further options of the Trainer."""

    model: str
    data: Any = "PairData"
    trainer: Mapping[str, Any] = MappingProxyType({})
    stops_at: int = 8
    """Number of batches after which it is stopped; most epochs have six."""


CASES = {
    case.model if case.model not in ("Classifier", "Buffered") else f"{case.model}-{name}": case
    for name, case in {
        "boring": Case(f"{BORING}BoringModel", f"{BORING}BoringDataModule", {"limit_train_batches": 6}),
        "boring without data": Case(f"{BORING}ManualOptimBoringModel", None, {"limit_train_batches": 6}),
        "plain": Case("Classifier"),
        "lstm": Case("LSTM", None, stops_at=6),
        "transformer": Case("TransformerDemo", None, stops_at=6),
        "lists": Case("SeveralSets", "ListData"),
        "no index of loaders": Case("ValidationList", "ListData"),
        "dict": Case("ValidationDict", "DictData"),
        "combined": Case("Combined", "CombinedData"),
        "dict of loaders": Case("DictOfLoadersModule", "DictOfLoaders"),
        "stream": Case("Classifier", "StreamData"),
        "workers": Case("Classifier", "WorkersData"),
        "wrong length": Case("Classifier", "WrongLengthData"),
        "synthetic": Case("Classifier", "SyntheticData"),
        "reloaded": Case("Classifier", "Growing", {"reload_dataloaders_every_n_epochs": 1}),
        "strict": Case("Classifier", STRICT),
        "dict batches": Case("DictBatch", "DictBatches"),
        "graphs": Case("GraphModule", "GraphData"),
        "padded": Case("Recurrent", "Padded"),
        "views": Case("SimCLR", "Views"),
        "gan": Case("GAN"),
        "accumulation": Case("ManualAccumulation"),
        "schedules": Case("TwoSchedules"),
        "plateau": Case("Plateau"),
        "lbfgs": Case("LBFGS"),
        "warm-up": Case("WarmUp"),
        "clipping": Case("Clipping"),
        "callbacks": Case("OwnCallbacks"),
        "average": Case("Averaged"),
        "own average": Case("OwnEMA"),
        "later": Case("LayersLater"),
        "setup": Case("LayersInSetup"),
        "skips": Case("Skips"),
        "logs": Case("ManyLogs"),
        "names": Case("SameNames"),
        "silent": Case("Silent"),
        "metrics": Case("Metrics"),
        "outputs": Case("Outputs"),
        "checkpoint": Case("OwnCheckpoint"),
        "nested": Case("Nested"),
        "iterator": Case("DataIterator"),
        "list": Case("PredictsList"),
        "text": Case("PredictsText"),
        "nothing": Case("PredictsNothing"),
        "monitored": Case("Monitored"),
        "pictures": Case("Pictures"),
        "game": Case("Buffered", None, {"limit_train_batches": 6}),
        "half": Case("Classifier", trainer={"val_check_interval": 0.5}),
        "steps": Case("Classifier", trainer={"max_steps": 9, "max_epochs": None}),
        "averaging": Case("Classifier", trainer={"callbacks": AVERAGING}),
    }.items()
}
FAST = {"Classifier-stream", "LSTM"}
"""Those that differ most; the others take a minute together."""
TRAIN = "(train|training|trn)"
STAGES = ("fit", "validate", "test", "predict")


def named(name: Any) -> Any:
    return f"foreign_modules.{name}" if isinstance(name, str) and "." not in name else name


def make(given: Any) -> Any:
    if given is None:
        return None
    config: dict[str, Any] = {"class_path": given} if isinstance(given, str) else given
    return pkgutil.resolve_name(config["class_path"])(**config.get("init_args", {}))


def with_lightning_alone(case: Case) -> tuple[dict[str, bool], dict[str, Any], dict[str, float]]:
    """Return which stages Lightning runs, the weights after training, and its metrics then."""
    options: dict[str, Any] = {"max_epochs": 2, "enable_progress_bar": False, "enable_model_summary": False}
    options |= {"default_root_dir": "alone", **case.trainer}
    options["callbacks"] = make(options.get("callbacks"))
    seed_everything(0, workers=True)
    module, data = make(named(case.model)), make(named(case.data))
    trainer = Trainer(**options)
    runs: dict[str, bool] = {}
    weights: dict[str, Any] = {}
    metrics: dict[str, float] = {}
    for stage in STAGES:
        try:
            getattr(trainer, stage)(module, datamodule=data)
        except Exception:
            runs[stage] = False
        else:
            runs[stage] = True
        if stage == "fit":
            weights = copy.deepcopy(module.state_dict())
            metrics = {name: value.item() for name, value in trainer.callback_metrics.items()}
    return runs, weights, metrics


def weights_of(run: Path) -> dict[str, Any]:
    saved: dict[str, Any] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return saved


def assert_same(weights: dict[str, Any], others: dict[str, Any]) -> None:
    assert weights.keys() == others.keys()
    for name, value in weights.items():
        assert torch.equal(value, others[name]) if isinstance(value, Tensor) else value == others[name], name


def stop_after(batches: int, patch: pytest.MonkeyPatch) -> None:
    """Have this process get SIGTERM once, within the step that makes so many of all epochs."""
    waiting = [batches]

    def signalling(step: Any) -> Any:
        def call(self: Any, data_fetcher: Any) -> None:
            if waiting and self.batch_progress.total.ready >= waiting[0] - (step is inner):
                waiting.clear()
                signal.raise_signal(signal.SIGTERM)
            step(self, data_fetcher)

        return call

    inner, last = BaseEpochLoop.inner_step, EpochLoop.on_advance_end
    patch.setattr(BaseEpochLoop, "inner_step", signalling(inner))
    patch.setattr(EpochLoop, "on_advance_end", signalling(last))


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in FAST)) for name in CASES])
def test_it_does_here_what_it_does_with_lightning_alone(
    name: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    runs, weights, metrics = with_lightning_alone(case)
    assert runs["fit"]
    config = {"model": named(case.model), "data": named(case.data), "trainer": {"max_epochs": 2, **case.trainer}}
    Path("c.yaml").write_text(yaml.safe_dump({key: value for key, value in config.items() if value is not None}))

    assert command("fit", "--config", "c.yaml").status == 0
    run = Path("lightning_logs/c/version_0")
    assert_same(weights_of(run), weights)
    final = json.loads((run / "metrics.json").read_text())["final"]
    assert {key: final[key] for key in metrics} == pytest.approx(metrics, nan_ok=True)
    for stage in STAGES[1:]:
        result = command(stage, "--config", "c.yaml", "--ckpt_path", "last")
        assert (result.status == 0) == runs[stage], (stage, result.err)
    (row,) = json.loads(command("runs", "--json").out)
    assert row["state"] == "finished"
    assert row["final"].keys() == metrics.keys()
    shown = command("runs").out
    assert not metrics or any(key in shown for key in metrics), "no metric of its own is in the table"

    with monkeypatch.context() as patch:
        stop_after(case.stops_at, patch)
        stopped = command("fit", "--config", "c.yaml", "--experiment", "stopped")
    assert stopped.status == 143, stopped.err
    assert command("fit", "--config", "c.yaml", "--experiment", "stopped", "--ckpt_path", "last").status == 0
    assert_same(weights_of(Path("lightning_logs/stopped/version_0")), weights)


@pytest.mark.parametrize(
    ("case", "charts"),
    [
        (Case("Classifier"), {"loss": ["train_loss$", "val_loss$"], "acc": [f"{TRAIN}_acc(_epoch)?$", "val_acc$"]}),
        (Case("DictBatch", "DictBatches"), {"loss": ["training_loss$", "validation_loss$"]}),
        (Case("Combined", "CombinedData"), {"loss": ["loss/train$", "loss/val$"]}),
        (Case("GAN"), {"g_loss": ["g_loss$"], "d_loss": ["d_loss$"]}),
    ],
    ids=lambda value: getattr(value, "model", ""),
)
def test_curves_share_charts_where_their_names_pair_up(
    case: Case, charts: dict[str, list[str]], command: Command
) -> None:
    config = {"model": named(case.model), "data": named(case.data), "trainer": {"max_epochs": 1}}
    Path("c.yaml").write_text(yaml.safe_dump(config))
    assert command("fit", "--config", "c.yaml").status == 0
    events = EventAccumulator("lightning_logs/c/version_0")
    events.Reload()
    layout = Layout.FromString(events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0])
    learning = next(category for category in layout.category if category.title == "learning")
    assert {chart.title: list(chart.multiline.tag) for chart in learning.chart} == charts
    tags = {tag.removesuffix("$") for patterns in charts.values() for tag in patterns if not tag.startswith(TRAIN)}
    assert tags <= set(events.Tags()["scalars"]), "a curve has no point, though epochs are short"


def test_a_module_without_loaders_needs_data(command: Command) -> None:
    Path("c.yaml").write_text("model: foreign_modules.Classifier\n")
    result = command("fit", "--config", "c.yaml")
    assert result.status == 2
    assert "`data` must be given: Classifier has no `train_dataloader`" in result.err
    assert not Path("lightning_logs").exists()


def test_a_run_without_data_is_loaded(command: Command) -> None:
    Path("c.yaml").write_text("model: foreign_modules.LSTM\ntrainer: {max_epochs: 1}\n")
    assert command("fit", "--config", "c.yaml").status == 0
    run = Path("lightning_logs/c/version_0")
    task, data = load_run(run)
    assert data is None
    assert_same(dict(task.state_dict()), weights_of(run))


def test_a_module_that_saves_its_network_is_loaded_from_a_checkpoint(command: Command) -> None:
    network = {"class_path": "torch.nn.Linear", "init_args": {"in_features": 4, "out_features": 3}}
    model = {"class_path": "foreign_modules.TakesNetwork", "init_args": {"network": network, "lr": 0.2}}
    config = {"model": model, "data": "foreign_modules.PairData", "trainer": {"max_epochs": 1}}
    Path("c.yaml").write_text(yaml.safe_dump(config))
    assert command("fit", "--config", "c.yaml").status == 0
    run = Path("lightning_logs/c/version_0")
    module = TakesNetwork.load_from_checkpoint(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert module.hparams["lr"] == 0.2
    assert_same(dict(module.state_dict()), weights_of(run))


TRULY_WRONG = {
    f"{BORING}BoringModel": "overfits_one_batch",  # diverges
    f"{BORING}ManualOptimBoringModel": "overfits_one_batch",  # likewise
    "ValidationList": "evaluation_takes_batches",  # `test_step` takes no index of the loader, as Lightning says too
    "Buffered-game": "same_seed_same_batches overfits_one_batch",  # it plays: its weights decide on data and targets
}
"""What `check` finds in these modules, and why it may."""


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CASES if "-steps" not in name])
def test_check_finds_nothing_else(name: str, command: Command) -> None:
    case = CASES[name]
    config = {"model": named(case.model), "data": named(case.data)}
    Path("c.yaml").write_text(yaml.safe_dump({key: value for key, value in config.items() if value is not None}))
    results = json.loads(command("check", "--config", "c.yaml", "--json").out)
    failed = {result["check"] for result in results if result["outcome"] == "failed"}
    assert failed <= {*TRULY_WRONG.get(name, "").split()}
