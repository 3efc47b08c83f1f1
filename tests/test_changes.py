"""What differs between configurations, which of it matters to a resumed run, and what is not a default."""

from typing import Any

import pytest

from lightning_template.changes import changes, flatten, has_effect
from lightning_template.overrides import strip_defaults

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
