"""Signals and checkpoints of SLURM jobs, which a run answers in Lightning's place."""

from functools import partial

from lightning.pytorch import Trainer

from lightning_template.engine.libraries.lightning_trainer import known_version
from lightning_template.engine.loops.workers import stop_on_worker_death


def take_over_signals(trainer: Trainer) -> None:
    """Leave signals to `StopSignals`, and have a trainer load no checkpoint that it was not told to load.

    On SLURM, Lightning answers SIGUSR1 with a checkpoint in the working directory, from which every later run there
    starts (Lightning issue 12369). An unknown version's answers stay.
    """
    if not known_version():
        return
    from lightning_template.engine.libraries.lightning_connectors import exchange_connectors, run_stages_within

    exchange_connectors(trainer)
    # A worker may die in the sanity check or an evaluation too.
    run_stages_within(trainer, partial(stop_on_worker_death, trainer))
