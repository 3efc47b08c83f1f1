"""Loops: how training goes through epochs and batches, several steps in one go, and stops where it can resume."""

from lightning_template.loops.execution import is_watched, resumable_loop, run_in_executions
from lightning_template.loops.resumable import Boundary

__all__ = ["Boundary", "is_watched", "resumable_loop", "run_in_executions"]
