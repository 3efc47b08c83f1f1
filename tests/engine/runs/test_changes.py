"""What differs between configurations, which of it matters to a resumed run, and what is not a default."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from jsonargparse import Namespace

from lightning_template.engine.callbacks.optimizer_options import OptimizerOptions
from lightning_template.engine.cli import trainer_cli as cli
from lightning_template.engine.cli.saved_config import config_files, strip_defaults
from lightning_template.engine.cli.trainer_cli import TemplateCLI
from lightning_template.engine.runs.changes import changes, flatten, has_effect

MLP = "lightning_template.networks.MLP"


def test_a_configuration_is_flattened_as_options_are_typed() -> None:
    config = {
        "seed_everything": 0,
        "model": {"class_path": "a.B", "init_args": {"network": {"class_path": "c.D", "init_args": {"width": 3}}}},
        "data": {"init_args": {"sizes": [1, {"x": 2}]}},
        "callbacks": {"monitor": None},
        "empty": {},
    }
    assert flatten(config) == {
        "seed_everything": 0,
        "model": "a.B",
        "model.network": "c.D",
        "model.network.width": 3,
        "data.sizes": [1, {"x": 2}],
        "callbacks.monitor": None,
        "empty": {},
    }


def test_changes_have_the_old_and_the_new_value() -> None:
    old = {"a": 1, "b": {"c": 2, "d": 3}, "gone": 4}
    new = {"a": 1, "b": {"c": 5, "d": 3}, "new": 0}
    assert changes(old, new) == {"b.c": (2, 5), "gone": (4, None), "new": (None, 0)}
    assert changes(old, old) == {}


@pytest.mark.parametrize(
    "option",
    [
        *("experiment", "callbacks", "callbacks.monitor", "callbacks.checkpoint.every_minutes", "data.data_dir"),
        *(f"trainer.{name}" for name in ("max_epochs", "max_steps", "max_time", "default_root_dir", "logger.save_dir")),
        *(f"trainer.{name}" for name in ("log_every_n_steps", "enable_progress_bar", "detect_anomaly", "plugins")),
        *(f"trainer.{name}" for name in ("callbacks", "profiler", "num_sanity_val_steps")),
        *("model.steps_per_execution", "model.compile_mode", "data.num_workers", "data.eval_batch_size"),
        "data.on_device",
    ],
)
def test_these_change_nothing_of_the_weights(option: str) -> None:
    assert not has_effect(option)


@pytest.mark.parametrize(
    "option",
    [
        *(
            "model",
            "data",
            "seed_everything",
            "model.optimizer.lr",
            "data.batch_size",
            "data.seed",
            "data.val_fraction",
        ),
        *("trainer.precision", "trainer.accumulate_grad_batches", "trainer.gradient_clip_val", "trainer.devices"),
        *("trainer.limit_train_batches", "trainer.max_epochs_of_mine", "model.callbacks", "experiments"),
    ],
)
def test_these_may_change_them(option: str) -> None:
    assert has_effect(option)


STRIPPED: list[tuple[Any, Any]] = [
    (3, 3),
    ([{"class_path": "torch.nn.ReLU", "init_args": {"inplace": False}}, 1], [{"class_path": "torch.nn.ReLU"}, 1]),
    ({"class_path": "torch.nn.ReLU", "init_args": {"inplace": True}}, None),
    ({"class_path": "torch.nn.ReLU"}, None),
    ({"class_path": "torch.nn.ReLU", "init_args": {}}, {"class_path": "torch.nn.ReLU"}),
    ({"max_epochs": 3, "inplace": False}, None),  # no class: what the defaults are is for others to know
    (
        {"class_path": MLP, "init_args": {"in_features": 1, "batch_norm": False, "unknown": 5}},
        {"class_path": MLP, "init_args": {"in_features": 1, "unknown": 5}},
    ),
    (
        {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1, "momentum": 0, "nesterov": True}},
        {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1, "nesterov": True}},
    ),
    (
        {"class_path": "torchvision.models.resnet18", "init_args": {"weights": None, "progress": False}},
        {"class_path": "torchvision.models.resnet18", "init_args": {"progress": False}},
    ),
    (
        {"model": {"class_path": MLP, "init_args": {"net": {"class_path": "torch.nn.ReLU", "init_args": {}}}}},
        {"model": {"class_path": MLP, "init_args": {"net": {"class_path": "torch.nn.ReLU"}}}},
    ),
]


@pytest.mark.parametrize(("config", "expected"), STRIPPED)
def test_defaults_are_left_out(config: Any, expected: Any) -> None:
    assert strip_defaults(config) == (config if expected is None else expected)


@pytest.mark.parametrize(
    ("subcommand", "origin", "allowed", "said"),
    [
        ("fit", "", False, ["model.optimizer.lr was 0.1 and is 0.2", "trainer.max_epochs was 3 and is 5"]),
        ("fit", "of its run", True, ["model.optimizer.lr was 0.1 and is 0.2", "trainer.max_epochs was 3 and is 5"]),
        ("test", "", False, ["model.optimizer.lr was 0.1 and is 0.2"]),
        ("test", "of its run", False, []),
    ],
)
def test_a_checkpoint_is_taken_after_its_changes_were_said(
    subcommand: str,
    origin: str,
    allowed: bool,
    said: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "lightning_template")
    (tmp_path / "config.yaml").write_text("trainer: {max_epochs: 3}\nmodel: {optimizer: {lr: 0.1}}\n")
    now = "trainer: {max_epochs: 5}\nmodel: {optimizer: {lr: 0.2}}\n"
    ran: list[dict[str, Any]] = []
    trainer = SimpleNamespace(callbacks=[], **{subcommand: lambda **arguments: ran.append(arguments)})
    given: dict[str, Any] = {"run": tmp_path, "origin": origin}
    template = object.__new__(TemplateCLI)
    state = {"command_line": SimpleNamespace(**given), "subcommand": subcommand, "model": None, "trainer": trainer}
    vars(template).update(state, files={"config.yaml": now}, run_directory=SimpleNamespace(run=None), inputs=None)
    template.config = {subcommand: {"ckpt_path": "x.ckpt", "allow_changes": allowed}}
    monkeypatch.setattr(cli, "check_weights", lambda *_: None)
    if subcommand == "fit" and not allowed:
        with pytest.raises(ValueError, match=r"^`model.optimizer.lr` was 0.1 and is 0.2, .* add --allow_changes"):
            template.run_subcommand(model=None)
        assert ran == []
    else:
        template.run_subcommand(model=None)
        assert ran == [{"model": None, "weights_only": True}]
    assert sorted(message.removeprefix("changed: ") for message in caplog.messages) == said
    assert [type(callback) for callback in trainer.callbacks] == [OptimizerOptions] * allowed


def test_what_a_command_shall_do_now_is_not_saved_with_its_run() -> None:
    now = "allow_changes allow_untrained ckpt_path config figure input invert output return_predictions test_after_fit"
    config = Namespace(seed_everything=1, **dict.fromkeys([*now.split(), "verbose"], "x"))  # type: ignore[no-untyped-call]
    parser = SimpleNamespace(dump=lambda config, **_: yaml.safe_dump(config.as_dict()))
    for content in config_files(parser, config, config.as_dict()).values():  # type: ignore[arg-type]
        assert yaml.safe_load(content) == {"seed_everything": 1}
