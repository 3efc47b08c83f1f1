"""Limits for YAML from a user: text that repeats or nests itself without end is refused before it is read."""

import yaml

MAX_DEPTH = 100
"""Largest number of lists and mappings within one another; Python's own limit is about 300 of them."""
MAX_VALUES = 100_000
"""Largest number of values, where an alias counts as all that it stands for."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def check_yaml(text: str | bytes, where: str) -> None:
    """Check that the values in a YAML or JSON text are finitely many, and not too many.

    Args:
        text: Any text; what is wrong with it otherwise is left to whoever reads it.
        where: What to call it in a message.

    Raises:
        ValueError: If an anchor contains itself, or the text nests too deeply or stands for too many values.

    Example:
        >>> check_yaml("a: &a [*a]", "loop.yaml")
        Traceback (most recent call last):
            ...
        ValueError: loop.yaml, line 1: &a contains itself
    """
    num_values = 0
    opened: list[tuple[str | None, int]] = []
    sizes: dict[str | None, int] = {}
    try:
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.CollectionEndEvent):
                anchor, before = opened.pop()
                sizes[anchor] = num_values - before
            elif isinstance(event, yaml.AliasEvent):
                if any(anchor == event.anchor for anchor, _ in opened):
                    raise ValueError(f"{where}, {_line(event)}: &{event.anchor} contains itself")
                num_values += sizes.get(event.anchor, 0)
            elif isinstance(event, yaml.NodeEvent):
                if isinstance(event, yaml.CollectionStartEvent):
                    opened.append((event.anchor, num_values))
                else:
                    sizes[event.anchor] = 1
                num_values += 1
            if len(opened) > MAX_DEPTH:
                raise ValueError(f"{where}, {_line(event)}: more than {MAX_DEPTH} lists or mappings within one another")
            if num_values > MAX_VALUES:
                raise ValueError(f"{where}, {_line(event)}: more than {MAX_VALUES} values, with what aliases repeat")
    except yaml.YAMLError:
        return


def _line(event: yaml.Event) -> str:
    return f"line {event.start_mark.line + 1 if event.start_mark else 0}"
