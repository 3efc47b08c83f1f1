"""Private parts of torch. tests/engine/libraries holds what is assumed of the installed version."""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten
from torch.utils.data._utils.signal_handling import _set_SIGCHLD_handler

__all__ = [
    "DROPOUT",
    "NORMALIZATION",
    "FirstNotFinite",
    "KeepsPrecision",
    "OnMeta",
    "RandomOperators",
    "expect_no_gpu_graph",
    "extend_schedule",
    "has_forward_hooks",
    "parts_of_schedule",
    "saved_tensor",
    "tree_flatten",
    "tree_leaves",
    "tree_map",
    "tree_unflatten",
    "watch_workers",
]
# The functions on trees go through nested lists, tuples and dictionaries; torch has no public name for them.

DROPOUT = nn.modules.dropout._DropoutNd
"""Base of all kinds of dropout; a list of the public classes would miss new ones."""
NORMALIZATION = nn.modules.batchnorm._NormBase
"""Base of batch and instance normalisation, lazy ones too."""

_PER_GROUP = {"_last_lr", "base_lrs", "base_momentums", "lr_lambdas", "max_lrs", "max_momentums", "min_lrs"}
"""Lists in schedules with an entry for each group of parameters."""
_IN_GROUP = ("base_momentum", "initial_lr", "max_lr", "max_momentum", "min_lr")
"""What schedules write into groups."""
_FLOORS = {"min_lrs", "lr_lambdas", "base_momentums", "max_momentums"}
"""Those of them that are no rates in proportion to a group's own."""


def expect_no_gpu_graph(optimizer: torch.optim.Optimizer) -> None:
    """Have an optimizer of weights on the CPU not ask in each step whether a GPU captures a graph.

    Where torch is built for CUDA and there is no GPU, it looks for the driver each time: a twentieth of a small step.
    """
    vars(optimizer)["_accelerator_graph_capture_health_check"] = lambda: None


def extend_schedule(schedule: Any) -> None:
    """Let a schedule go on where groups were added to its optimizer: they keep their ratio to the first group.

    torch's schedules take as many groups as there were when they were made.
    """
    for part in getattr(schedule, "_schedulers", ()):
        extend_schedule(part)
    groups = schedule.optimizer.param_groups
    lists = {name: values for name, values in vars(schedule).items() if name in _PER_GROUP and isinstance(values, list)}
    for number, group in enumerate(groups):
        ratio = group["lr"] / groups[0]["lr"] if groups[0]["lr"] else 1.0
        for name, values in lists.items():
            if len(values) == number:
                values.append(values[0] if name in _FLOORS else values[0] * ratio)
        for name in _IN_GROUP:
            if name in groups[0]:
                group.setdefault(name, groups[0][name] * (ratio if name.endswith("lr") else 1))


def watch_workers() -> None:
    """Install torch's handler of SIGCHLD, which raises an error where a DataLoader's worker died.

    The first loader that starts workers installs it otherwise, over a handler that was installed before.
    """
    _set_SIGCHLD_handler()


def parts_of_schedule(scheduler: Any) -> list[Any]:
    """Return a schedule, and those that it chains or puts one after the other."""
    return [scheduler, *getattr(scheduler, "_schedulers", [])]


def saved_tensor(node: Any, name: str) -> Tensor | None:
    """Return a tensor that a function of the graph of gradients saved; None if it saved none of this name."""
    saved = getattr(node, f"_saved_{name}", None)
    return saved if isinstance(saved, Tensor) else None


def has_forward_hooks(module: nn.Module) -> bool:
    """Tell whether somebody registered hooks around `forward`; the public functions only add and remove them."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


class KeepsPrecision(nn.Module):
    """A module that moves between devices and keeps its precision.

    `to`, `half`, `double` and the moves of Lightning all end in `_apply`, and not all in a public method.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(lambda tensor: fn(tensor).to(tensor.dtype), recurse)  # type: ignore[no-untyped-call]
        return self


class RandomOperators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records the names of operators that draw random numbers, such as `bernoulli_` for dropout."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call an operator."""
        if torch.Tag.nondeterministic_seeded in func.tags:
            self.names.add(func.name().split("::")[1].split(".")[0])
        return func(*args, **(kwargs or {}))


class FirstNotFinite(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records the first operator that makes numbers which are not finite of numbers that are.

    Args:
        place: Function that returns the line that is running.
    """

    def __init__(self, place: Callable[[], str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.find_place = place
        self.found = self.place = ""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call an operator."""
        outputs = func(*args, **(kwargs or {}))
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor | float)]
        made = [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor) and leaf.is_floating_point()]
        if not self.found and all(map(_finite, given)) and not all(map(_finite, made)) and "empty" not in func.name():
            values = torch.cat([leaf.detach().flatten() for leaf in made]).float()
            wrong = values[~values.isfinite()]
            self.found = f"`{func.name().split('::')[1].split('.')[0]}` in {made[0].dtype} makes {wrong[0].item()}"
            self.place = self.find_place()
        return outputs


def _finite(value: Any) -> bool:
    return not isinstance(value, Tensor) or not value.is_floating_point() or bool(value.isfinite().all())


class OnMeta(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Lets tensors of the meta device be moved to the CPU, where they are 0, so that what follows mixes devices."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call an operator."""
        kwargs = kwargs or {}
        if func is torch.ops.aten._to_copy.default and kwargs.get("device") == torch.device("cpu"):
            return torch.zeros(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        return func(*args, **kwargs)
