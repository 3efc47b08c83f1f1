"""Mean loss and metrics that are updated with several batches at once."""

from lightning_template.engine.measures.measures import Measures, per_stage
from lightning_template.engine.measures.pair_accuracy import PairAccuracy
from lightning_template.engine.measures.r2 import R2

__all__ = ["R2", "Measures", "PairAccuracy", "per_stage"]
