"""Learning rate schedules that a configuration may name, beside torch's."""

from lightning_template.engine.tasks import Warmup

__all__ = ["Warmup"]

Warmup.__module__ = __name__  # a run saves this path, which does not change when the engine does
