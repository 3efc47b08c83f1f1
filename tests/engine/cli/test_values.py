"""Values that every type takes and that make no sense are refused before anything is built."""

import functools
import os
import re
from typing import Any

import pytest
from torch import nn

from lightning_template.engine.cli.values import MAX_PROCESSES_PER_CORE, check_values

LARGE = 10**30
CORES = os.cpu_count() or 1
MOST = MAX_PROCESSES_PER_CORE * CORES


class Data:
    """A datamodule of somebody's, with types of many kinds."""

    def __init__(  # type: ignore[no-untyped-def]
        self,
        batch_size: int = 64,
        fraction: float | None = 0.1,
        loss: nn.Module = nn.MSELoss(),  # noqa: B008  # as people write it
        old_style: int = None,  # type: ignore[assignment]  # noqa: RUF013
        untyped=1,  # noqa: ANN001
        names: list[str] = [],  # noqa: B006
        quoted: "int" = 3,
        num_workers: int = 0,
        **kwargs: Any,
    ) -> None: ...


class Derived(Data):
    def __init__(self, width: int = 3, **kwargs: Any) -> None: ...


def of_class(name: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": f"{__name__}.{name}", "init_args": arguments}


TRAINER_MISTAKES: dict[str, tuple[Any, str]] = {
    "accumulate_grad_batches": (0, "must be at least 1, got 0"),
    "check_val_every_n_epoch": (0, "must be at least 1, got 0"),
    "devices": (-2, f"must be -1 for all, or lie in [1, {MOST}], got -2"),
    "gradient_clip_val": (-1.0, "must be at least 0, got -1.0"),
    "limit_train_batches": (0, "must be greater than 0, or nothing is trained, got 0"),
    "log_every_n_steps": (-1, "must be at least 0, got -1"),
    "max_epochs": (0, "must be at least 1, or -1 for no limit, got 0"),
    "max_steps": (-2, "must be at least 1, or -1 for no limit, got -2"),
    "max_time": ("00:00:00:00", "must be DD:HH:MM:SS and greater than 0, got 00:00:00:00"),
    "min_epochs": (-1, "must be at least 0, got -1"),
    "min_steps": (-1, "must be at least 0, got -1"),
    "num_nodes": (0, "must be at least 1, got 0"),
    "num_sanity_val_steps": (-2, "must be at least -1, which stands for all batches, got -2"),
    "val_check_interval": (0, "must be greater than 0, got 0"),
}
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    **{
        name: ({"trainer": {name: value}}, f"`trainer.{name}` {text}")
        for name, (value, text) in TRAINER_MISTAKES.items()
    },
    "NaN": ({"trainer": {"gradient_clip_val": float("nan")}}, "`trainer.gradient_clip_val` must be a number, got nan"),
    "NaN of a callback": (
        {"callbacks": {"c": of_class("Data", every_minutes=float("nan"))}},
        "`callbacks.c.every_minutes` must be a number, got nan",
    ),
    "more devices than sense": ({"trainer": {"devices": MOST + 1, "accelerator": "cpu"}}, f"got {MOST + 1}"),
    "devices as text": ({"trainer": {"devices": "5000", "accelerator": "auto"}}, "got 5000"),
    "devices as words": ({"trainer": {"devices": "all"}}, "must be a number, a list of numbers or auto, got all"),
    "a time without format": ({"trainer": {"max_time": "1 hour"}}, "`trainer.max_time` must be DD:HH:MM:SS"),
    "negative seed": ({"seed_everything": -1}, "`seed_everything` must lie in [0, 2^32), got -1"),
    "large seed": ({"seed_everything": 2**32}, "`seed_everything` must lie in [0, 2^32), got 4294967296"),
    "large number": (
        {"data": of_class("Data", batch_size=LARGE)},
        f"`data.batch_size` must lie in [-2^63, 2^63), got {LARGE}",
    ),
    "small number": (
        {"data": of_class("Data", batch_size=-LARGE)},
        f"`data.batch_size` must lie in [-2^63, 2^63), got {-LARGE}",
    ),
    "large number in a list": (
        {"model": of_class("Data", sizes=[1, LARGE])},
        "`model.sizes` must lie in [-2^63, 2^63)",
    ),
    "null": ({"data": of_class("Data", batch_size=None)}, "`data.batch_size` must be int, got null"),
    "null of a base class": ({"data": of_class("Derived", batch_size=None)}, "`data.batch_size` must be int, got null"),
    "null of a module": ({"model": of_class("Data", loss=None)}, "`model.loss` must be Module, got null"),
    "null of a list": ({"data": of_class("Data", names=None)}, "`data.names` must be list[str], got null"),
    "null of a quoted type": ({"data": of_class("Data", quoted=None)}, "`data.quoted` must be int, got null"),
    "null within": ({"model": of_class("Data", net=of_class("Derived", width=None))}, "`model.net.width` must be int"),
    "null within a list": (
        {"data": of_class("Data", a=[of_class("Derived", width=None)])},
        "`data.a.width` must be int",
    ),
    "null of the Trainer": ({"trainer": {"accelerator": None}}, "`trainer.accelerator` must be "),
    "workers": (
        {"data": of_class("Data", num_workers=MOST + 1)},
        f"`data.num_workers` must lie in [0, {MOST}] on this",
    ),
    "negative workers": ({"data": of_class("Data", num_workers=-1)}, "`data.num_workers` must lie in [0, "),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_nonsense_is_refused(mistake: str) -> None:
    config, message = MISTAKES[mistake]
    with pytest.raises(ValueError, match=re.escape(message)):
        check_values(config, "fit")


SENSE: list[dict[str, Any]] = [
    {"trainer": {"accumulate_grad_batches": 1, "check_val_every_n_epoch": None, "devices": -1, "max_epochs": -1}},
    {"trainer": {"devices": "auto", "max_steps": 1, "max_time": "00:00:00:01", "num_sanity_val_steps": -1}},
    {"trainer": {"devices": MOST, "accelerator": "cpu", "gradient_clip_val": 0, "log_every_n_steps": 0}},
    {"trainer": {"devices": [0, 1], "val_check_interval": "00:01:00:00", "limit_train_batches": 0.1}},
    {"trainer": {"devices": "0, 1", "max_time": {"hours": 1}, "val_check_interval": {"hours": 1}}},
    {"trainer": {"devices": MOST + 1, "accelerator": "gpu"}},  # Lightning knows how many there are
    {"trainer": {"max_epochs": None, "logger": None, "precision": None}},
    {"seed_everything": True, "trainer": None},
    {"seed_everything": 2**32 - 1},
    {"data": of_class("Data", batch_size=2**63 - 1, num_workers=MOST, fraction=None, old_style=None, untyped=None)},
    {"data": of_class("Data", fill_value=float("nan"), unknown=None)},
    {"data": {"class_path": "nowhere.Data", "init_args": {"batch_size": None}}},
    {"model": of_class("Data", factory=functools.partial(print))},
]


@pytest.mark.parametrize("config", SENSE)
def test_what_makes_sense_is_taken(config: dict[str, Any]) -> None:
    check_values(config, "fit")


def test_how_long_is_trained_matters_to_fit_alone() -> None:
    for subcommand in ("validate", "test", "predict"):
        check_values({"trainer": {"max_epochs": 0, "max_steps": 0, "limit_train_batches": 0}}, subcommand)
