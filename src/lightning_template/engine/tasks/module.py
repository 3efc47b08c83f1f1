"""The LightningModule that bases of tasks derive from."""

import re
from abc import ABC
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, NoReturn, Self

from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler

from lightning_template.engine.measures import Measures
from lightning_template.engine.tasks.factories import build_optimizers
from lightning_template.engine.tasks.hooks import complete_hooks

_method_of_class: Callable[[Callable[..., Any]], Any] = type(vars(LightningModule)["load_from_checkpoint"])
"""Lightning's kind of class method: where it is called on an instance, whose weights would stay, it raises an error."""


class NoBackboneError(AttributeError, ValueError):
    """A callback asks for the backbone of a network that has none."""


class TaskModule(LightningModule, ABC):
    """A LightningModule whose subclasses may override hooks without `super()`, and call steps without a Trainer.

    This class and its direct subclasses are bases. The hooks that they define, `setup` and all `on_...`, run before
    those that override them further down. A hook runs twice where it is called by `super()` too, and must allow it.

    The `training_step` of a direct subclass takes a batch and its index and returns the loss.
    """

    monitor: ClassVar[str]
    mode: ClassVar[Literal["min", "max"]]

    optimizer: OptimizerCallable | None = None
    optimizer_groups: Mapping[str, Mapping[str, Any]] | None = None
    lr_scheduler: LRSchedulerCallable | None = None
    lr_scheduler_interval: Literal["epoch", "step"] = "epoch"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if TaskModule in cls.__bases__ and "training_step" in vars(cls):
            cls.training_step.returns_loss = True  # type: ignore[attr-defined]  # an execution calls it directly
        for base in cls.__mro__[1:]:
            if base is TaskModule or TaskModule in base.__bases__:
                complete_hooks(cls, base)

    @_method_of_class
    def load_from_checkpoint(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: N805
        """Return a task with the weights of a checkpoint, as Lightning does.

        Raises:
            TypeError: If the checkpoint does not hold all arguments of the constructor: it holds no objects.
        """
        try:
            return super().load_from_checkpoint(*args, **kwargs)
        except TypeError as error:
            if not re.search(r"__init__\(\) missing \d+ required", str(error)):
                raise
            names = re.findall(r"'(\w+)'", str(error))
            given = ", ".join(f"{name}=..." for name in [*names, *kwargs])
            raise TypeError(
                f"the checkpoint holds plain values alone, and {cls.__name__} was made with objects: give them again, "
                f"{cls.__name__}.load_from_checkpoint(path, {given})"
            ) from error

    def setup(self, stage: str) -> None:
        """Discard what an interrupted run has left in the measures."""
        for part in self.modules():
            if isinstance(part, Measures):
                part.reset()

    def log(self, *args: Any, **kwargs: Any) -> None:
        """Log as Lightning does; without a Trainer, as in a test of a step, do nothing."""
        try:
            self.trainer  # noqa: B018  # raises where there is none
        except RuntimeError:
            return
        super().log(*args, **kwargs)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Make the optimizer and the schedule of the parameters that are trained."""
        return build_optimizers(self)

    def __getattr__(self, name: str) -> Any:
        """Return what is neither attribute nor module: the network's `backbone`, which Lightning's callback needs."""
        if name != "backbone":
            return super().__getattr__(name)
        network: Any = super().__getattr__("network")
        if not hasattr(network, name):
            raise NoBackboneError(f"{type(network).__name__} has no `backbone`: put it into networks.WithHead")
        return network.backbone

    def no_pair(self, batch: Any) -> NoReturn:
        """Refuse a batch that is no pair of inputs and targets.

        Raises:
            ValueError: In any case.
        """
        number = f" of {len(batch)}" if isinstance(batch, tuple | list) else ""
        raise ValueError(
            f"a batch is a {type(batch).__name__}{number}, not a pair of inputs and targets: define "
            f"`unpack(self, batch)` in {type(self).__name__}, which returns both"
        )

    def names_of_classes(self, number: int) -> list[str]:
        """Return the datamodule's names of so many classes, or their numbers where it has no such names."""
        try:
            names = getattr(self.trainer.datamodule, "class_names", None)  # type: ignore[attr-defined]  # it sets it
        except RuntimeError:  # there is no Trainer
            names = None
        return [str(name) for name in names] if names and len(names) == number else [*map(str, range(number))]
