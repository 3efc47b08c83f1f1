"""Exchange of a Trainer's loops for those that resume exactly and make several steps per execution."""

from lightning.pytorch import Trainer
from lightning.pytorch.plugins.precision import DoublePrecision

from lightning_template.engine.libraries.lightning_trainer import known_version, report_unknown_version
from lightning_template.engine.loops.connectors import take_over_signals


def make_resumable(trainer: Trainer) -> bool:
    """Make a trainer, which is about to fit, able to stop and resume exactly; an execution is one step.

    Returns:
        Whether it is. Where Lightning's version is unknown, its own loops stay, and one line says so.
    """
    if not known_version():
        if trainer.is_global_zero:
            report_unknown_version()
        return False
    from lightning_template.engine.libraries.lightning_loops import DirectOptimization
    from lightning_template.engine.loops.execution import ExecutionLoop
    from lightning_template.engine.loops.resumable import FitLoop

    if not isinstance(trainer.fit_loop, FitLoop):
        epoch_loop = trainer.fit_loop.epoch_loop
        trainer.fit_loop.__class__ = FitLoop  # with all that the loops have by now, such as the source of their data
        epoch_loop.__class__ = ExecutionLoop
        epoch_loop.automatic_optimization.__class__ = DirectOptimization
        take_over_signals(trainer)
    if isinstance(trainer.precision_plugin, DoublePrecision):  # Lightning would load a checkpoint's doubles into floats
        trainer.lightning_module.double()
    return True


def run_in_executions(trainer: Trainer, steps_per_execution: int) -> None:
    """Make a trainer, which is about to fit, go through the training batches in executions.

    Args:
        trainer: Trainer whose loops are made resumable too.
        steps_per_execution: Largest number of steps in an execution.
    """
    if make_resumable(trainer):
        from lightning_template.engine.loops.execution import ExecutionLoop

        assert isinstance(trainer.fit_loop.epoch_loop, ExecutionLoop)
        trainer.fit_loop.epoch_loop.steps_per_execution = steps_per_execution
