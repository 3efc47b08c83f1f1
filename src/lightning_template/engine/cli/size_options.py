"""Arguments of a configured task and its network that are sizes of the data."""

import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jsonargparse import Namespace
from torch import nn
from torchmetrics import Metric

from lightning_template.engine.cli.parser import makes_anything, makes_module, signature
from lightning_template.engine.sizes import CLASSES, IMAGENET, OUTPUTS, ROLES, TOKENS

PRETRAINED = ("weights", "pretrained")
"""Arguments with which a network has as many classes as its weights."""


@dataclass
class SizeOption:
    """An argument that is a size, or may be one.

    Attributes:
        part: Class or function of the configuration, with `class_path` and `init_args`.
        key: Option of that part, such as `model.init_args.network`.
        name: Name of the argument.
    """

    part: Namespace
    key: str
    name: str

    @property
    def option(self) -> str:
        """The argument as an option, such as `model.network.init_args.in_features`."""
        return f"{self.key}.init_args.{self.name}".replace("model.init_args.", "model.", 1)

    @property
    def role(self) -> str | None:
        """What it counts, if that is known by its name."""
        return ROLES.get(self.name)

    @property
    def value(self) -> Any:
        """Its value; None if it has none."""
        return vars(self.part.init_args)[self.name]

    @value.setter
    def value(self, value: Any) -> None:
        vars(self.part.init_args)[self.name] = value

    @property
    def is_missing(self) -> bool:
        """Whether it is not given.

        An optional number of classes or tokens of a network is not given where it is None. Neither are the defaults of
        a network for ImageNet, which were chosen for other data.
        """
        known = signature(self.part.class_path)
        if self.name in known.left_out:
            return self.value is None
        default = known.defaults.get(self.name)
        is_pretrained = any(arguments_of(self.part).get(name) for name in PRETRAINED)
        if self.key == "model" or is_pretrained or self.value != default:
            return False
        if default is None:
            return self.role in (CLASSES, TOKENS)
        return known.defaults.get("num_classes") == IMAGENET["num_classes"] and default == IMAGENET.get(self.name)


def size_options(model: Namespace) -> list[SizeOption]:
    """Return the sizes among the arguments of a task, its losses and metrics, and its network, given or not.

    The network is the one module with sizes among the task's arguments. Where it is a wrapper, so is the one within it,
    but for what the wrapper counts itself. Of several modules nobody knows which one reads the inputs, and those in a
    list are layers.
    """
    found = sizes_of(model, "model")
    taken: set[str] = set()
    part, key = model, "model"
    while True:
        inner = [*_modules(part, key)]
        measures = [option for module in inner if _measures(*module) for option in sizes_of(*module)]
        found += [option for option in measures if option.role == CLASSES]
        networks = [module for module in inner if not _measures(*module) and _has_sizes(*module)]
        if len(networks) != 1:
            return found
        ((part, key),) = networks
        options = [option for option in sizes_of(part, key) if option.role not in taken]
        found += options
        roles = {option.role for option in options if option.role}
        taken |= roles | ({CLASSES, OUTPUTS} if roles & {CLASSES, OUTPUTS} else set())


def loss_parts(model: Namespace) -> list[tuple[Namespace, str]]:
    """Return the losses and metrics among the arguments of a task, and their options."""
    return [module for module in _modules(model, "model") if _measures(*module)]


def takes_one_value(part: Any) -> bool:
    """Tell whether a part is a loss that takes one value for each sample of two classes."""
    made = pkgutil.resolve_name(part.class_path) if isinstance(part, Namespace) else None
    return isinstance(made, type) and issubclass(made, nn.BCELoss | nn.BCEWithLogitsLoss)


def sizes_of(part: Namespace, key: str) -> list[SizeOption]:
    """Return the arguments of a class or function that are sizes by their name or because they may be left out."""
    known = signature(part.class_path)
    return [SizeOption(part, key, name) for name in arguments_of(part) if name in ROLES or name in known.left_out]


def arguments_of(part: Namespace) -> dict[str, Any]:
    """Return the arguments of a class or function of a configuration."""
    return vars(part.init_args) if part.get("init_args") else {}


def _modules(part: Namespace, key: str) -> Iterator[tuple[Namespace, str]]:
    """Yield the modules among the arguments of a class or function, and their options."""
    for name, value in arguments_of(part).items():
        is_named = isinstance(value, Namespace) and isinstance(value.get("class_path"), str)
        maker = pkgutil.resolve_name(value.class_path) if is_named else None
        if makes_module(maker) or makes_anything(maker):
            yield value, f"{key}.init_args.{name}"


def _has_sizes(part: Namespace, key: str) -> bool:
    """Tell whether a module or one within it has sizes among its arguments."""
    return bool(sizes_of(part, key)) or any(_has_sizes(*inner) for inner in _modules(part, key))


def _measures(part: Namespace, key: str) -> bool:
    """Tell whether a module is a loss or a metric: it counts classes, and is no network."""
    made = pkgutil.resolve_name(part.class_path)
    is_metric = isinstance(made, type) and issubclass(made, Metric)
    return is_metric or bool(re.search("loss|criterion", f"{key.rsplit('.', 1)[-1]} {part.class_path}", re.IGNORECASE))
