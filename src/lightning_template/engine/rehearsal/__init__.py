"""Rehearsal: a batch goes through task, loss and metrics before a run has a directory, and leaves no trace."""

from lightning_template.engine.rehearsal.callback import Rehearsal

__all__ = ["Rehearsal"]
