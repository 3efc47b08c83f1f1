"""Differences between two configurations, and those that change how a resumed run ends. Imports no torch."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

WITHOUT_EFFECT = (
    r"experiment|callbacks\b.*",
    r"trainer\.(max_epochs|max_steps|max_time|default_root_dir|log_every_n_steps|logger\b.*|callbacks\b.*|profiler\b.*)",
    r"trainer\.(enable_\w+|detect_anomaly|num_sanity_val_steps|plugins\b.*)",
    r"model\.(steps_per_execution|compile_mode)",
    r"data\.(data_dir|num_workers|eval_batch_size|on_device)",
)
"""Options by which a run may change while it goes on: its weights depend on none of them."""


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the options that differ, as they are typed, with their old and new values.

    Example:
        >>> changes({"data": {"init_args": {"batch_size": 64}}}, {"data": {"init_args": {"batch_size": 32}}})
        {'data.batch_size': (64, 32)}
    """
    before, after = flatten(old), flatten(new)
    return {key: (before.get(key), after.get(key)) for key in {**before, **after} if before.get(key) != after.get(key)}


def has_effect(option: str) -> bool:
    """Tell whether a run's weights depend on an option.

    Example:
        >>> has_effect("data.batch_size"), has_effect("trainer.max_epochs")
        (True, False)
    """
    return not any(re.fullmatch(pattern, option) for pattern in WITHOUT_EFFECT)


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with a key for each value, as options are typed.

    Example:
        >>> flatten({"data": {"class_path": "a.Data", "init_args": {"batch_size": 64}}})
        {'data': 'a.Data', 'data.batch_size': 64}
    """
    return {name: value for name, value, _ in _entries(config, "")}


def class_options(config: Mapping[str, Any]) -> set[str]:
    """Return the options whose values name a class.

    Example:
        >>> class_options({"data": {"class_path": "a.Data", "init_args": {"batch_size": 64}}})
        {'data'}
    """
    return {name for name, _, is_class in _entries(config, "") if is_class}


def _entries(config: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any, bool]]:
    """Yield each option of a configuration, its value, and whether that names a class."""
    for key, value in config.items():
        name = prefix if key in ("class_path", "init_args") else f"{prefix}.{key}".lstrip(".")
        if isinstance(value, Mapping) and value:
            yield from _entries(value, name)
        else:
            yield name, value, key == "class_path"
