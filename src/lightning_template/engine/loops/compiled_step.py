"""Loss, outputs and gradients of a training batch in one compiled graph."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value

from lightning_template.engine.nests import map_tensors

_WITH_CUDA_GRAPHS = ("reduce-overhead", "max-autotune")


class CompiledStep:
    """Takes the place of a task's `loss_and_outputs` in training, and computes the gradients too.

    The forward pass, the loss and the backward pass are one graph, which is called once. `backward()` of the loss then
    hands on gradients that are already there. So optimizer, clipping and accumulation of gradients are as ever. Buffers
    have to be changed in place, as those of batch norm are.

    Args:
        task: Its `loss_and_outputs(inputs, targets)` returns a scalar loss and the outputs.
        mode: Mode of `torch.compile`.
    """

    def __init__(self, task: LightningModule, mode: str) -> None:
        self._task = task
        self._eager: Any = task.loss_and_outputs
        self._loss = _Loss(task)
        self._weights = dict(self._loss.named_parameters())  # once: to walk through all modules takes as long as a step
        self._buffers = dict(self._loss.named_buffers())
        self._copies = mode in _WITH_CUDA_GRAPHS  # these write each result over the last one
        self._compiled = torch.compile(self._with_gradients, mode=mode, fullgraph=True)

    def __call__(self, inputs: Any, targets: Any) -> tuple[Tensor, Any]:
        """Return loss and outputs of a batch."""
        if not (self._task.training and torch.is_grad_enabled()):
            return self._eager(inputs, targets)  # type: ignore[no-any-return]
        trained = {name: weight for name, weight in self._weights.items() if weight.requires_grad}
        rest = self._buffers | {name: weight for name, weight in self._weights.items() if not weight.requires_grad}
        with torch.no_grad():
            values = {name: weight.detach() for name, weight in trained.items()}
            results = self._compiled(values, rest, inputs, targets)
            gradients, loss, outputs = map_tensors(Tensor.clone, results) if self._copies else results
        return _Differentiated.apply(loss, gradients, *trained.values()), outputs

    def _with_gradients(
        self, trained: Mapping[str, Tensor], rest: Mapping[str, Tensor], inputs: Any, targets: Any
    ) -> tuple[list[Tensor], Tensor, Any]:
        def loss_of(trained: Mapping[str, Tensor], rest: Mapping[str, Tensor]) -> tuple[Tensor, Any]:
            loss, outputs = functional_call(self._loss, (dict(trained), dict(rest)), (inputs, targets))
            return loss, outputs

        # Statistics of batch norm are arguments, too: what a transformed function captures, it may not change.
        gradients, (loss, outputs) = grad_and_value(loss_of, has_aux=True)(trained, rest)
        return list(gradients.values()), loss, outputs


class _Loss(nn.Module):
    """A task whose forward pass ends with the loss."""

    def __init__(self, task: LightningModule) -> None:
        super().__init__()
        self.task = task

    def forward(self, inputs: Any, targets: Any) -> Any:
        return type(self.task).loss_and_outputs(self.task, inputs, targets)  # type: ignore[attr-defined]


class _Differentiated(torch.autograd.Function):
    """A loss whose gradients are known."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, gradients: list[Tensor], *trained: Tensor) -> Tensor:
        ctx.gradients = gradients
        return loss.view_as(loss)

    @staticmethod
    def backward(ctx: Any, *scale: Tensor) -> Any:
        gradients, ctx.gradients = ctx.gradients, None
        if not scale[0].is_cpu or scale[0] != 1:  # a GPU would have to be waited for
            gradients = [scale[0] * gradient for gradient in gradients]
        return None, None, *gradients


def check_compiled_step(trainer: Trainer, task: LightningModule) -> None:
    """Refuse what a compiled step cannot do.

    Raises:
        ValueError: If the training step is the user's own, or several processes or 16-mixed are asked for.
    """
    if not getattr(task.training_step, "returns_loss", False):
        raise ValueError(
            f"a compiled step needs the `training_step` of SupervisedTask, and {type(task).__name__} has its own: "
            "compile the network instead"
        )
    if trainer.world_size > 1:
        raise ValueError("a compiled step is for one process: compile the network instead")
    if trainer.precision == "16-mixed":
        raise ValueError("a compiled step does not scale gradients as 16-mixed does: choose bf16-mixed")
