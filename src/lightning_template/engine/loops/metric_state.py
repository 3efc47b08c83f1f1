"""The states of the metrics within a module, saved and restored as plain values."""

from typing import Any

import torch
from torch import nn
from torchmetrics import Metric, MetricCollection

from lightning_template.engine.libraries.torchmetrics_private import set_update_count


def dump_metrics(module: nn.Module) -> dict[str, Any]:
    """Return the states of the metrics within a module, by the names of the metrics."""
    for part in module.modules():
        if isinstance(part, MetricCollection):
            part.items()  # brings metrics that share their sums with another up to date
    return {
        name: _dump(part) if isinstance(part, Metric) else part.dump_waiting()
        for name, part in module.named_modules()
        if isinstance(part, Metric) or hasattr(part, "dump_waiting")
    }


def _dump(metric: Metric) -> dict[str, Any]:
    state = {name: _on_cpu(getattr(metric, name)) for name in metric.metric_state}
    state[""] = metric.update_count
    return state


def load_metrics(module: nn.Module, states: dict[str, Any]) -> None:
    """Restore what `dump_metrics` returned."""
    for name, state in states.items():
        part = module.get_submodule(name)
        if isinstance(part, Metric):
            set_update_count(part, state.pop(""))
            for key, value in state.items():
                setattr(part, key, _to(value, part.device))
        else:
            part.load_waiting(state)  # type: ignore[operator]


def _on_cpu(value: Any) -> Any:
    return _to(value, torch.device("cpu"))


def _to(value: Any, device: torch.device) -> Any:
    return [_to(part, device) for part in value] if isinstance(value, list) else value.to(device, copy=True)
