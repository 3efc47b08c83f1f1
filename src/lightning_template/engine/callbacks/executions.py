"""Training in executions of several steps."""

from typing import Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from lightning_template.engine.loops import CompiledStep, check_compiled_step, run_in_executions


class Executions(Callback):
    """Makes several training steps in an execution, which ends with hooks, log and progress bar.

    Weights, logged values and checkpoints are those of single steps; small networks train several times faster. Where
    a callback or the task has to see each step, an execution is one step, and a line says why. A callback may
    be content with calls of `on_train_batch_start` and `on_train_batch_end` for the last step of an execution. It says
    so by a class attribute `every_execution = True`. With an attribute `every_n_steps` too, executions end at
    multiples of it.

    Args:
        steps: Largest number of steps in an execution.
        compile_mode: How `torch.compile` compiles the task, if at all; "reduce-overhead" uses CUDA graphs.
        compiled_part: What it compiles. "step" is forward pass, loss and backward pass of training in one graph.

    Raises:
        ValueError: If `steps` is less than 1, or a part is to be compiled in no mode.
    """

    def __init__(
        self,
        steps: int = 50,
        compile_mode: Literal["default", "reduce-overhead", "max-autotune"] | None = None,
        compiled_part: Literal["network", "step"] = "network",
    ) -> None:
        if steps < 1:
            raise ValueError(f"`steps` must be at least 1, got {steps}")
        self.steps = steps
        if compiled_part == "step" and compile_mode is None:
            raise ValueError("`compiled_part` needs a `compile_mode`, such as default")
        self.compile_mode = compile_mode
        self.compiled_part = compiled_part
        self._compiled: nn.Module | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Prepare network and loops.

        Raises:
            ValueError: If there is no `network` to compile, or the step is not one that can be compiled.
        """
        if self.compile_mode is not None and self.compiled_part == "network":
            self._compile(pl_module)
        if stage == "fit":
            if self.compiled_part == "step":
                check_compiled_step(trainer, pl_module)
            run_in_executions(trainer, self.steps)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compile the step."""
        if self.compiled_part == "step":
            vars(pl_module)["loss_and_outputs"] = CompiledStep(pl_module, str(self.compile_mode))

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the task its own step back."""
        vars(pl_module).pop("loss_and_outputs", None)

    def _compile(self, module: LightningModule) -> None:
        network = getattr(module, "network", None)
        if not isinstance(network, nn.Module):
            raise ValueError(f"`compile_mode` compiles `network`, which {type(module).__name__} does not have")
        if network is not self._compiled:
            network.compile(mode=self.compile_mode)  # in place: checkpoints are those of the network as it is
            self._compiled = network
