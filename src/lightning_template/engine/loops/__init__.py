"""Loops: how training goes through epochs and batches, several steps per execution, and stops where it can resume."""

from lightning_template.engine.loops.connectors import take_over_signals
from lightning_template.engine.loops.execution import resumable_loop, run_in_executions
from lightning_template.engine.loops.logged import logged_in_validation
from lightning_template.engine.loops.resumable import Boundary
from lightning_template.engine.loops.workers import patient_with_workers

__all__ = [
    "Boundary",
    "logged_in_validation",
    "patient_with_workers",
    "resumable_loop",
    "run_in_executions",
    "take_over_signals",
]
