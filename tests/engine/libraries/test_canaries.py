"""What `engine/libraries` assumes of the installed libraries; who breaks an assumption reads here which one it was."""

import hashlib
import inspect
import re
import sys
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from jsonargparse import ArgumentError, _typehints
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch import cli as lightning_cli
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.core import module as lightning_module
from lightning.pytorch.core.mixins import hparams_mixin
from lightning.pytorch.loops import fetchers, fit_loop, training_epoch_loop, utilities
from lightning.pytorch.loops.optimization import automatic
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.trainer import call, trainer
from lightning.pytorch.trainer.connectors import checkpoint_connector, signal_connector
from lightning.pytorch.trainer.connectors.logger_connector import logger_connector, result
from lightning.pytorch.trainer.states import RunningStage
from lightning.pytorch.utilities.combined_loader import CombinedLoader
from tensorboard.summary.writer import event_file_writer
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, SequentialLR
from torch.utils.data._utils import signal_handling
from torch.utils.tensorboard import SummaryWriter
from torchmetrics import CatMetric, MeanMetric, Metric

from lightning_template.engine import libraries
from lightning_template.engine.libraries import (
    jsonargparse_private,
    lightning_loops,
    tensorboard_private,
    torch_private,
    torchmetrics_private,
)
from private_access import private_accesses

Break = Callable[[pytest.MonkeyPatch], None]
HEALTH_CHECK = "_accelerator_graph_capture_health_check"


class Assumption(NamedTuple):
    """What is assumed, how to see whether it holds, and a way in which it may cease to."""

    text: str
    holds: Callable[[], object]
    broken: Break


def new_trainer() -> Trainer:
    options: dict[str, Any] = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    return Trainer(accelerator="cpu", log_every_n_steps=1, **options)


def exchanged(owner: object, name: str, value: Any) -> Break:
    return lambda patch: patch.setattr(owner, name, value)


def has(owner: Any, name: str, *parameters: str) -> Assumption:
    """Return the assumption that something has a method or property, which takes certain arguments."""

    def holds() -> bool:
        found = inspect.getattr_static(owner, name)
        return isinstance(found, property) or [*parameters] == [*inspect.signature(found).parameters][: len(parameters)]

    return Assumption(f"{owner.__name__} has `{name}`", holds, lambda patch: patch.delattr(owner, name))


def sets(path: str, owner: Any, name: str) -> Assumption:
    """Return the assumption that part of a new trainer has an attribute that its class does not define."""

    def holds() -> bool:
        part: Any = new_trainer()
        for word in path.split("."):
            part = getattr(part, word) if word else part
        return name in vars(part)

    def rename(patch: pytest.MonkeyPatch) -> None:
        def __setattr__(self: object, key: str, value: object) -> None:  # noqa: N807
            object.__setattr__(self, "renamed" if key == name else key, value)

        patch.setattr(owner, "__setattr__", __setattr__, raising=False)
        patch.setattr(owner, name, None, raising=False)  # for its own methods, which would fail

    return Assumption(f"{owner.__name__} sets `{name}`", holds, rename)


def uses(function: Any, owner: Any, name: str) -> Assumption:
    return Assumption(
        f"{function.__qualname__} uses `{name}`",
        lambda: name in inspect.getattr_static(owner, function.__name__).__code__.co_names,
        exchanged(owner, function.__name__, lambda self: None),
    )


def unchanged(function: Any, digest: str) -> Assumption:
    """Return the assumption that a function, which an inner step stands in for, is as it was but for comments.

    Where it is not: read what changed, change `lightning_loops` where that matters, and take the new digest.
    """
    owner = getattr(sys.modules[function.__module__], function.__qualname__.split(".")[0])
    name = function.__name__

    def holds() -> bool:
        lines = [line.strip() for line in inspect.getsource(getattr(owner, name)).splitlines()]
        code = "\n".join(line for line in lines if line and not line.startswith("#"))
        return hashlib.sha256(code.encode()).hexdigest()[:12] == digest

    return Assumption(f"{function.__qualname__} is as it was", holds, exchanged(owner, name, unchanged))


def logged_names() -> bool:
    return "callback" in new_trainer().fit_loop.epoch_loop.val_loop._results.metrics(on_step=False)


def traces() -> bool:
    with lightning_module._jit_is_scripting():
        return LightningModule().trainer is None  # an error otherwise


def saves_instantiator() -> bool:
    class Module(LightningModule):
        def __init__(self, size: int = 1) -> None:
            super().__init__()
            self.given = hparams_mixin._given_hyperparameters.get()
            self.save_hyperparameters()

    with hparams_mixin._given_hyperparameters_context(hparams={"size": 2}, instantiator="a.b"):
        module = Module()
    given = {"size": 2, "_instantiator": "a.b"}
    return module.given == given and dict(module.hparams) == given and Module().given is None


def runs_own_method() -> bool:
    ran: list[str] = []
    cli: Any = SimpleNamespace(
        trainer=SimpleNamespace(fit=lambda: ran.append("trainer")), fit=lambda: ran.append("own")
    )
    cli._prepare_subcommand_kwargs = lambda _: {}
    LightningCLI._run_subcommand(cli, "fit")
    return ran == ["own"]


def keeps_dump() -> bool:
    cli: Any = SimpleNamespace(config_dump={})
    LightningCLI._dump_config(cli)  # an error otherwise: there is no parser
    return bool(cli.config_dump == {})


def plain_loops() -> bool:
    loop = new_trainer().fit_loop
    kinds = (fit_loop._FitLoop, training_epoch_loop._TrainingEpochLoop, automatic._AutomaticOptimization)
    return (type(loop), type(loop.epoch_loop), type(loop.epoch_loop.automatic_optimization)) == kinds


def counts_batches() -> bool:
    loaders = CombinedLoader([1, 2, 3])
    fetcher = fetchers._PrefetchDataFetcher()
    fetcher.setup(loaders)
    iter(fetcher)
    assert loaders._iterator is not None
    before = (loaders._iterator._idx, fetcher.fetched)
    next(fetcher)
    after = (loaders._iterator._idx, fetcher.fetched)
    return loaders.iterables is loaders.flattened[0] and after == (before[0] + 1, before[1] + 1)


def fetcher_of_iterator() -> object:
    class Module(LightningModule):
        def training_step(self, dataloader_iter: Any) -> None: ...

    made = new_trainer()
    made.strategy.connect(Module())
    with warnings.catch_warnings(action="ignore"):  # it is experimental
        return utilities._select_data_fetcher(made, RunningStage.TRAINING)


def takes_handed_metrics() -> bool:
    connector = new_trainer()._logger_connector
    connector._callback_metrics.update({"a": torch.ones(())})
    return list(connector.callback_metrics) == ["a"]


def sees_hooks() -> bool:
    modules = [nn.Linear(1, 1) for _ in range(3)]
    modules[1].register_forward_hook(print)
    modules[2].register_forward_pre_hook(print)
    return [torch_private.has_forward_hooks(module) for module in modules] == [False, True, True]


def sees_parts_of_schedules() -> bool:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters())
    parts = [torch.optim.lr_scheduler.ConstantLR(optimizer), torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)]
    in_turn = torch.optim.lr_scheduler.SequentialLR(optimizer, [*parts], [2])
    chained = torch.optim.lr_scheduler.ChainedScheduler([*parts])
    return [torch_private.parts_of_schedule(s) for s in (in_turn, chained, parts[0])] == [
        [in_turn, *parts],
        [chained, *parts],
        parts[:1],
    ]


def loss_of_ones() -> object:
    outputs = torch.zeros(2, requires_grad=True)
    return nn.functional.mse_loss(outputs, torch.ones(2)).grad_fn


def derives(kind: type, name: str) -> bool:
    return issubclass(kind, getattr(torch_private, name))


def keeps_precision() -> bool:
    part = torch_private.KeepsPrecision()
    part.register_buffer("total", torch.zeros(()))
    layer = nn.Linear(1, 1)
    nn.Sequential(layer, part).half().to("meta")
    (total,) = part.buffers()
    return (layer.weight.dtype, total.dtype, total.is_meta) == (torch.float16, torch.float32, True)


def sees_random_numbers() -> bool:
    with torch_private.RandomOperators() as drawn:
        nn.functional.dropout(torch.ones(3)) + torch.randn(3)
    return bool(drawn.names == {"bernoulli_", "randn"})


def leaves_meta() -> bool:
    with torch_private.OnMeta():
        return bool(torch.ones(2, device="meta").to("cpu").eq(0).all())


def covers_changes(kind: type[Metric]) -> bool:
    metric = kind()
    before = dict(vars(metric))
    metric.update(torch.ones(2))
    metric.compute()
    changed = {name for name, value in vars(metric).items() if before[name] is not value}
    return {"_update_count", "_computed"} <= changed <= {*torchmetrics_private.attributes(metric)}


def counts_updates() -> bool:
    metric = MeanMetric()
    torchmetrics_private.set_update_count(metric, 3)
    return metric.update_count == 3 and metric.update_called


def leaves_out() -> bool:
    class Net(nn.Module):
        def __init__(self, size: int, other: int, width: int = 3) -> None: ...

    class Parser(jsonargparse_private.SignatureParser):
        def may_be_left_out(self, owner: object, name: str, kind: object) -> bool:
            return (owner, name, kind) == (Net, "size", int)

    parser = Parser(exit_on_error=False)
    parser.add_class_arguments(Net)
    if parser.left_out != {"size": int}:
        return False
    return bool(parser.parse_object({"other": 2}).as_dict() == {"size": None, "other": 2, "width": 3})


def writes_through_wrapper(folder: Path) -> bool:
    writer: Any = SummaryWriter(folder)
    written: list[Any] = []
    wrapped = SimpleNamespace(write=written.append, flush=lambda: None, close=lambda: written.append("closed"))
    tensorboard_private.wrap_records(writer, lambda _: wrapped)
    thread = writer.file_writer.event_writer._async_writer._worker
    writer.add_scalar("a", 1.0)
    writer.close()
    return len(written) == 2 and written[1] == "closed" and tensorboard_private.is_writer(thread)


def leave_parameter(parser: Any, container: Any, nested_key: Any, param: Any, added_args: Any, **kwargs: Any) -> None:
    """Add a parameter as jsonargparse does, with its own default."""
    super(jsonargparse_private.SignatureParser, parser)._add_signature_parameter(
        container, nested_key, param, added_args, **kwargs
    )


def make(size: int, **kwargs):  # type: ignore[no-untyped-def]  # noqa: ANN003, ANN201  # as people write functions
    options = {"in_features": size, "out_features": 1, **kwargs}
    return nn.Linear(**options)


def parsed(kind: Any, **arguments: Any) -> Any:
    """Return what a parser makes of `make`, with arguments if there are any, for an option of some type."""
    path = f"{__name__}.make"
    parser = jsonargparse_private.SignatureParser(exit_on_error=False)
    parser.add_argument("--a", type=kind)
    try:
        config = parser.parse_object({"a": {"class_path": path, "init_args": arguments} if arguments else path})
    except ArgumentError:
        return None
    return parser.instantiate(config).a


def parsed_one_by_one() -> Any:
    """Return what a parser makes of a function whose arguments come after it."""
    parser = jsonargparse_private.SignatureParser(exit_on_error=False)
    parser.add_argument("--a", type=Callable[[int], nn.Module])
    try:
        config = parser.parse_args([f"--a={__name__}.make", "--a.bias=false"])
    except ArgumentError:
        return nn.Linear(1, 1)
    return parser.instantiate(config).a(1)


def extends_schedules() -> bool:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    parts: Any = [LambdaLR(optimizer, lambda step: 0.5**step) for _ in range(2)]
    schedule = SequentialLR(optimizer, parts, [2])
    optimizer.add_param_group({"params": [torch.ones(1)], "lr": 0.25})
    torch_private.extend_schedule(schedule)
    optimizer.step()
    try:
        schedule.step()
    except ValueError:
        return False
    return schedule.get_last_lr() == [0.25, 0.125]


class Renamed(event_file_writer._AsyncWriterThread):  # type: ignore[misc]
    """A thread that `is_writer` does not know."""


FIT, EPOCH, STEP = fit_loop._FitLoop, training_epoch_loop._TrainingEpochLoop, automatic._AutomaticOptimization
LIGHTNING = [
    sets("fit_loop.epoch_loop", EPOCH, "_batches_that_stepped"),
    Assumption(
        "checkpoints of a loop hold `_batches_that_stepped`",
        lambda: new_trainer().fit_loop.epoch_loop.on_save_checkpoint().keys() == {"_batches_that_stepped"},
        exchanged(EPOCH, "on_save_checkpoint", lambda self: {}),
    ),
    has(logger_connector._LoggerConnector, "should_update_logs"),
    has(logger_connector._LoggerConnector, "on_batch_start", "self", "batch"),
    Assumption(
        "`callback_metrics` begins with `_callback_metrics`",
        takes_handed_metrics,
        exchanged(logger_connector._LoggerConnector, "callback_metrics", {}),
    ),
    Assumption(
        "`_results.metrics` of a validation has what callbacks see",
        logged_names,
        exchanged(result._ResultCollection, "metrics", lambda self, on_step: {}),
    ),
    Assumption(
        "EarlyStopping has its argument in `_check_on_train_epoch_end`",
        lambda: EarlyStopping("a", check_on_train_epoch_end=True)._check_on_train_epoch_end,
        exchanged(EarlyStopping, "__init__", lambda self, *_, **__: setattr(self, "_check_on_train_epoch_end", None)),
    ),
    Assumption(
        "a module has no error for a missing trainer within `_jit_is_scripting`",
        traces,
        exchanged(lightning_module, "_jit_is_scripting", nullcontext),
    ),
    Assumption(
        "`save_hyperparameters` takes `_given_hyperparameters`, with `_instantiator`",
        saves_instantiator,
        exchanged(hparams_mixin, "_given_hyperparameters_context", lambda **_: nullcontext()),
    ),
    uses(LightningCLI.__init__, LightningCLI, "_parse_ckpt_path"),
    has(lightning_cli._InstantiatorFn, "__init__", "self", "cli", "key"),
    Assumption(
        "LightningCLI dumps no configuration where there is a `config_dump`",
        keeps_dump,
        exchanged(LightningCLI, "_dump_config", lambda self: setattr(self, "config_dump", {"a": 1})),
    ),
    Assumption(
        "LightningCLI calls a method with the name of the subcommand instead of the Trainer's",
        runs_own_method,
        exchanged(LightningCLI, "_run_subcommand", lambda self, name: getattr(self.trainer, name)()),
    ),
    sets("", Trainer, "_signal_connector"),
    sets("", Trainer, "_checkpoint_connector"),
    has(signal_connector._SignalConnector, "register_signal_handlers", "self"),
    uses(trainer.Trainer._run, Trainer, "register_signal_handlers"),
    has(checkpoint_connector._CheckpointConnector, "_hpc_resume_path"),
    uses(trainer.Trainer._run, Trainer, "_run_stage"),
    Assumption(
        "loops are of these classes, not of others that derive from them",
        plain_loops,
        lambda patch: patch.setattr(trainer, "_FitLoop", type("Other", (FIT,), {})),
    ),
    sets("fit_loop", FIT, "_combined_loader"),
    sets("fit_loop", FIT, "_restarting"),
    sets("fit_loop", FIT, "_last_train_dl_reload_epoch"),
    has(EPOCH, "_on_before_fetch", "self"),
    has(FIT, "_should_reload_train_dl"),
    has(EPOCH, "_should_accumulate", "self"),
    has(EPOCH, "_num_ready_batches_reached", "self"),
    has(EPOCH, "_should_check_val_epoch", "self"),
    has(EPOCH, "_build_kwargs", "self", "kwargs", "batch", "batch_idx"),
    has(Precision, "_clip_gradients", "self", "model", "optimizer", "clip_val", "gradient_clip_algorithm"),
    has(call, "_call_strategy_hook", "trainer", "hook_name"),
    has(LightningModule, "_on_before_batch_transfer", "self", "batch", "dataloader_idx"),
    Assumption(
        "`log` looks at `_current_fx_name`",
        lambda: "_current_fx_name" in LightningModule.log.__code__.co_names,
        exchanged(LightningModule, "log", lambda self: None),
    ),
    Assumption(
        "a step that takes the loader's iterator gets it from a `_DataLoaderIterDataFetcher`, a `_DataFetcher`",
        lambda: (
            lightning_loops.hands_over_iterator(fetcher_of_iterator())  # type: ignore[arg-type]
            and issubclass(fetchers._PrefetchDataFetcher, fetchers._DataFetcher)
        ),
        exchanged(utilities, "_DataLoaderIterDataFetcher", fetchers._PrefetchDataFetcher),
    ),
    sets("", Trainer, "_val_check_time_interval"),
    uses(EPOCH._should_check_val_fx, EPOCH, "_last_val_time"),
    Assumption(
        "a fetcher and its loaders count batches in `fetched` and `_iterator._idx`",
        counts_batches,
        exchanged(fetchers._PrefetchDataFetcher, "__next__", lambda self: None),
    ),
    unchanged(EPOCH.advance, "a89952bfe388"),
    unchanged(EPOCH.on_advance_end, "8edd3ae96599"),
    unchanged(EPOCH.run, "9ff091c84cd7"),
    unchanged(EPOCH.on_run_start, "9ea75a6f963a"),
    unchanged(STEP.run, "2f8e8f756d6b"),
    unchanged(STEP._optimizer_step, "012d5c18bfec"),
    unchanged(fetchers._PrefetchDataFetcher.__next__, "b197e030618b"),
    unchanged(FIT.on_advance_start, "9ff556ee2188"),
    unchanged(FIT.on_advance_end, "8a98b89591ae"),
    unchanged(FIT.setup_data, "002f57671f77"),
]
OTHERS = [
    Assumption(
        "`_set_SIGCHLD_handler` installs a handler that raises `_error_if_any_worker_fails`",
        lambda: "_error_if_any_worker_fails()" in inspect.getsource(signal_handling._set_SIGCHLD_handler),
        exchanged(signal_handling, "_set_SIGCHLD_handler", torch_private.watch_workers),
    ),
    Assumption(
        "a step of Adam asks whether a GPU captures a graph",
        lambda: HEALTH_CHECK in inspect.unwrap(torch.optim.Adam.step).__code__.co_names,
        exchanged(torch.optim.Adam, "step", lambda self: None),
    ),
    Assumption(
        "modules have their hooks in `_forward_hooks` and `_forward_pre_hooks`",
        sees_hooks,
        exchanged(nn.Module, "register_forward_pre_hook", lambda self, hook: None),
    ),
    Assumption(
        "schedules of schedules have them in `_schedulers`",
        sees_parts_of_schedules,
        exchanged(torch_private, "parts_of_schedule", lambda scheduler: [scheduler]),
    ),
    Assumption(
        "losses of numbers keep their targets in `_saved_target`",
        lambda: torch.equal(torch_private.saved_tensor(loss_of_ones(), "target"), torch.ones(2)),  # type: ignore[arg-type]
        exchanged(torch_private, "saved_tensor", lambda node, name: torch.zeros(2)),
    ),
    Assumption(
        "all moves and casts of modules end in `_apply`",
        keeps_precision,
        exchanged(nn.Module, "half", lambda self: self),
    ),
    *(
        Assumption(
            f"{kind.__name__} derives from `{base}`",
            partial(derives, kind, name),
            exchanged(torch_private, name, nn.Linear),
        )
        for name, base, kinds in (
            ("DROPOUT", "_DropoutNd", (nn.Dropout, nn.Dropout3d, nn.AlphaDropout)),
            ("NORMALIZATION", "_NormBase", (nn.BatchNorm1d, nn.SyncBatchNorm, nn.LazyInstanceNorm2d)),
        )
        for kind in kinds
    ),
    Assumption(
        "a mode of `_python_dispatch` sees operators, with a tag if they draw random numbers",
        sees_random_numbers,
        exchanged(torch_private, "RandomOperators", lambda: nullcontext(SimpleNamespace(names=set()))),
    ),
    Assumption(
        "a move from the meta device to the CPU is the operator `_to_copy`",
        leaves_meta,
        exchanged(torch_private, "OnMeta", nullcontext),
    ),
    Assumption(
        "`tree_leaves` of `_pytree` goes through lists, tuples and dictionaries",
        lambda: torch_private.tree_leaves([1, (2, {"a": [3]})]) == [1, 2, 3],
        exchanged(torch_private, "tree_leaves", lambda tree: tree),
    ),
    *(
        Assumption(
            f"{kind.__name__} changes its states, `_update_count` and `_computed`, and nothing else",
            partial(covers_changes, kind),
            exchanged(torchmetrics_private, "BESIDE_STATES", ()),
        )
        for kind in (MeanMetric, CatMetric)
    ),
    Assumption(
        "parsers add each parameter of a signature in `_add_signature_parameter`, which takes a `default`",
        leaves_out,
        exchanged(jsonargparse_private.SignatureParser, "_add_signature_parameter", leave_parameter),
    ),
    *(
        Assumption(
            f"`_typehints` asks `{name}` about functions, which `_util.import_object` finds",
            holds,
            exchanged(_typehints, name, jsonargparse_private.FROM_JSONARGPARSE[name]),
        )
        for name, holds in {
            "is_subclass_or_implements_protocol": lambda: isinstance(parsed(nn.Module, size=1), nn.Linear),
            "function_returns_subclass": lambda: parsed(Callable[[int], nn.Module]) is make,
            "adapt_partial_callable_class": lambda: parsed(Callable[[int], nn.Module], bias=False)(1).bias is None,
            "subclass_spec_as_namespace": lambda: parsed_one_by_one().bias is None,
            "adapt_class_type": lambda: parsed(nn.Module, size=1, bias=False).bias is None,
        }.items()
    ),
    Assumption(
        "schedules have their parts in `_schedulers`, and a rate for each group in `_last_lr`",
        extends_schedules,
        exchanged(torch_private, "extend_schedule", lambda schedule: None),
    ),
    Assumption("a metric counts updates in `_update_count`", counts_updates, exchanged(Metric, "update_count", 0)),
    Assumption(
        "TensorBoard's thread writes through `_record_writer`, closes `_writer`, and its class is `_AsyncWriterThread`",
        lambda: writes_through_wrapper(Path()),
        exchanged(event_file_writer, "_AsyncWriterThread", Renamed),
    ),
]
jsonargparse_private.accept_functions()  # as the module of the parser does, which no test here needs to have imported
ALL = [pytest.param(assumption, id=assumption.text) for assumption in (*LIGHTNING, *OTHERS)]


pytestmark = pytest.mark.usefixtures("workspace")


def holds(assumption: Assumption) -> bool:
    try:
        return bool(assumption.holds())
    except (AttributeError, TypeError, RuntimeError, ImportError):
        return False


@pytest.mark.parametrize("assumption", ALL)
def test_an_assumption_holds(assumption: Assumption) -> None:
    assert holds(assumption), f"no longer true of the installed version: {assumption.text}"


@pytest.mark.parametrize("assumption", ALL)
def test_an_assumption_that_breaks_is_seen(assumption: Assumption, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        assumption.broken(patch)
        assert not holds(assumption)


@pytest.mark.parametrize("file", sorted(Path(libraries.__file__).parent.glob("[!_]*.py")), ids=lambda file: file.stem)
def test_every_private_name_has_its_assumption(file: Path) -> None:
    accesses = private_accesses(file, f"{libraries.__name__}.{file.stem}")
    names = {name for access in accesses for name in re.findall(r"\b_[a-z]\w*", access, re.IGNORECASE)}
    known = set(re.findall(r"\b_[a-z]\w*", Path(__file__).read_text(), re.IGNORECASE))
    assert accesses
    assert names - known == set()
