"""What a validation logged."""

from lightning.pytorch import Trainer


def logged_in_validation(trainer: Trainer) -> list[str]:
    """Return the names of what the latest validation of a fit logged as callbacks see it."""
    results = trainer.fit_loop.epoch_loop.val_loop._results
    return list(results.metrics(on_step=False)["callback"])
