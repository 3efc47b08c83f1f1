"""Learning rate schedules that a configuration may name, beside torch's."""

from lightning_template.engine.tasks import Warmup

__all__ = ["Warmup"]
