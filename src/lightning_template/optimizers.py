"""Optimizers that torch does not have."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

__all__ = ["Muon"]

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration, largest slope at 0: Jordan's post
_EPS = 1e-7


class Muon(Optimizer):
    """Makes the steps of matrices and filters orthogonal, and steps everything else by Nesterov's momentum.

    `torch.optim.Muon` takes matrices alone, so that a network needs two optimizers. Here, the filters of a convolution
    `(out, in, height, width)` are the rows of a matrix `(out, in * height * width)`. Parameters of at most one
    dimension are stepped as `torch.optim.SGD` does. On matrices it agrees with `torch.optim.Muon`.

    Args:
        params: Parameters or groups of them.
        lr: Learning rate of what is made orthogonal; a schedule changes both rates by the same factor.
        sgd_lr: Learning rate of the others, as a multiple of `lr`.
        momentum: Momentum in [0, 1).
        weight_decay: Fraction of a weight that is taken off in a step, as a multiple of its learning rate.
        orthogonal: Whether parameters of two and more dimensions are made orthogonal; false suits the first and the
            last layer, for which `optimizer_groups` can say so.

    Raises:
        ValueError: If a number is out of its bounds.

    Source: Jordan et al., Muon, https://kellerjordan.github.io/posts/muon/
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.02,
        sgd_lr: float = 10.0,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        orthogonal: bool = True,
    ) -> None:
        for name, value in (("lr", lr), ("sgd_lr", sgd_lr), ("weight_decay", weight_decay)):
            if not 0 <= value < math.inf:
                raise ValueError(f"`{name}` must be finite and at least 0, got {value}")
        if not 0 <= momentum < 1:
            raise ValueError(f"`momentum` must lie in [0, 1), got {momentum}")
        defaults = {"lr": lr, "sgd_lr": sgd_lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, {**defaults, "orthogonal": orthogonal})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Make a step, and return what `closure` returned, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._step(weight, weight.grad, group)
        return loss

    def _step(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state, momentum = self.state[weight], group["momentum"]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        buffer = state["momentum_buffer"]
        if group["orthogonal"] and weight.ndim >= 2:
            rate = group["lr"]
            buffer.lerp_(gradient, 1 - momentum)
            direction = gradient.lerp(buffer, momentum)
            step = orthogonalize(direction.flatten(1)).view(weight.shape)
            factor = math.sqrt(max(1.0, len(weight) / weight[0].numel()))  # outputs of tall matrices change alike
        else:
            rate, factor = group["lr"] * group["sgd_lr"], 1.0
            buffer.mul_(momentum).add_(gradient)
            step = gradient.add(buffer, alpha=momentum)
        weight.mul_(1 - rate * group["weight_decay"]).add_(step, alpha=-rate * factor)


def orthogonalize(matrix: Tensor, iterations: int = 5) -> Tensor:
    """Return the nearest matrix with orthogonal rows or columns `(m, n)`, roughly: singular values lie in [0.5, 1.3].

    It is computed by matrix products alone, on a GPU in bfloat16. Few CPUs are fast at that: there it is float32.

    Args:
        matrix: Any matrix `(m, n)`.
        iterations: Number of Newton-Schulz iterations.
    """
    a, b, c = _COEFFICIENTS
    result = matrix.to(torch.bfloat16 if matrix.is_cuda else torch.float32)
    is_tall = len(matrix) > matrix.shape[1]
    if is_tall:
        result = result.T
    result = result / result.norm().clamp(min=_EPS)
    for _ in range(iterations):
        gram = result @ result.T
        result = torch.addmm(result, torch.addmm(gram, gram, gram, beta=b, alpha=c), result, beta=a)
    return (result.T if is_tall else result).to(matrix.dtype)
