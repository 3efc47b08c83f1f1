"""Loops: how training goes through epochs and batches, several steps per execution, and stops where it can resume."""

from lightning_template.engine.loops.boundary import Boundary
from lightning_template.engine.loops.compiled_step import CompiledStep, check_compiled_step
from lightning_template.engine.loops.connectors import take_over_signals
from lightning_template.engine.loops.exchange import make_resumable, run_in_executions
from lightning_template.engine.loops.workers import ignore_worker_death_on_stop

__all__ = [
    "Boundary",
    "CompiledStep",
    "check_compiled_step",
    "ignore_worker_death_on_stop",
    "make_resumable",
    "run_in_executions",
    "take_over_signals",
]
