"""Private parts of torchmetrics. tests/engine/libraries holds what is assumed of the installed version.

`Metric.metric_state` and `Metric.update_count` are public, and can only be read.
"""

from typing import Any

from torchmetrics import Metric

BESIDE_STATES = ("_update_count", "_computed")
"""Attributes of a metric beside its states: how often it was updated, and the result that `compute` keeps."""


def set_update_count(metric: Metric, count: int) -> None:
    """Set how often a metric was updated: with 0, `compute` warns, and averages over updates are wrong."""
    metric._update_count = count


def attributes(metric: Metric) -> dict[str, Any]:
    """Return all that an update of a metric changes, by the names of the attributes."""
    return {**metric.metric_state, **{name: getattr(metric, name) for name in BESIDE_STATES}}
