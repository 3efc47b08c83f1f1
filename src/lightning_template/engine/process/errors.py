"""Turns exceptions into the one line that a user reads."""

import difflib
import importlib
import inspect
import pkgutil
import re
import signal
from collections.abc import Iterable, Mapping

from lightning_template.engine.process.slips import is_like_a_file, meant_option

_MOVED = {
    "steps_per_execution": "callbacks.executions.steps",
    "compile_mode": "callbacks.executions.compile_mode",
    "lightning_template.datamodules.augmentation": "lightning_template.transforms",
}
"""New names of options that tasks had, and of modules."""
# Lines of jsonargparse's messages that repeat what is said elsewhere: every class may also be None, for example.
_NOISE = ("Does not validate", "Subtypes:", "Errors:", "Expected a <class 'NoneType'>", "Given value type:")


class Stopped(SystemExit):
    """A run stopped because of a signal.

    Args:
        number: Number of the signal.
        step: Number of steps after which all ranks stop, if a checkpoint of them was written.
        speaks: Whether this process speaks for all ranks. The others end with 0: their launcher would take anything
            else for a failure, and kill the first rank.
    """

    def __init__(self, number: int, step: int | None = None, speaks: bool = True) -> None:
        super().__init__(128 + number if speaks else 0)
        self.number = number
        self.step = step
        name = signal.Signals(number).name
        self.message = f"stopped by {name}" + (after_step(step) if step is not None else "") if speaks else ""


def after_step(step: int) -> str:
    """Return the part of a message that tells how many steps a checkpoint holds."""
    return f" after step {step}"


def printable(text: str, keep: str = "") -> str:
    r"""Return a text whose characters that steer a terminal are escaped.

    Args:
        text: Text from anywhere, such as a file.
        keep: Characters that stay all the same.

    Example:
        >>> printable("red: \x1b[31m")
        'red: \\x1b[31m'
    """
    if text.isprintable():
        return text
    kept = (char if char.isprintable() or char in keep else char.encode("unicode_escape").decode() for char in text)
    return "".join(kept)


def nearest(word: str, words: Iterable[str]) -> str:
    """Return a hint that names the most similar of `words` but `word` itself, or nothing if none is similar.

    Example:
        >>> nearest("lrr", ["lr", "momentum"])
        ', did you mean lr?'
    """
    matches = difflib.get_close_matches(word, [other for other in words if other != word])
    return f", did you mean {matches[0]}?" if matches else ""


def one_line(error: BaseException) -> str:
    """Return an exception's message on one line, or its type if it has none.

    Of an error in a DataLoader's worker torch's message is a traceback; its first and last lines are taken.
    """
    lines = str(error).splitlines()
    if len(lines) > 2 and lines[1].startswith("Original Traceback"):
        lines = [lines[-1], f"({lines[0].removeprefix('Caught ').removesuffix('.')})"]
    return " ".join(" ".join(lines).split()) or type(error).__name__


def shorten(message: str, options: Mapping[str, str]) -> str:
    """Reduce jsonargparse's account of everything it tried to the cause, with a hint at the nearest name.

    Args:
        message: Text of jsonargparse's error.
        options: Text of the value of every option of the subcommand, such as `trainer.max_epochs`.
    """
    keys: list[str] = []
    class_path, given, depth = "", "", -1
    causes: list[str] = []
    for line in message.splitlines():
        indent = len(line) - len(line.lstrip())
        # a callable's account stands on its type's line: "- Type typing.Callable[...] expects ... class: account"
        line = re.sub(r"^Type .* expects a function or a callable class: ", "", line.strip().removeprefix("- "))
        if match := re.fullmatch(r'Parser key "(.+)":', line):
            keys.append(match[1])
        elif match := re.fullmatch(r"Problem with given class_path '(.+)':", line):
            class_path, depth = match[1], indent
        elif line.startswith("Given value: "):
            inner = re.search(r"class_path'?[=:] ?'([\w.]+)'", line) if indent > depth and not given else None
            class_path = inner[1] if inner else class_path
            given = given or line.removeprefix("Given value: ").split(". Got value: ")[0]  # the innermost comes first
        elif line and not line.startswith(_NOISE) and not re.match("Expected a path but .* either", line):
            causes.append(line)
    return _explain(".".join(keys), class_path, " ".join(causes), given, options)


def _explain(key: str, class_path: str, cause: str, given: str, options: Mapping[str, str]) -> str:
    where = f"`{key}`" if key else "the configuration"
    if match := re.search(r"class_path='([\w.]+)'", cause):
        class_path = match[1]
    if match := re.search(r"[Oo]ption '([\w.]+)'|unrecognized arguments: (?:-+([^\s=]+)|(\S+))", cause):
        if match[3]:
            return _explain_positional(match[3], options)
        name = (match[1] or match[2]).replace(".init_args", "")
        return _explain_name(key, name, class_path, options)
    if match := re.search(r"module '([\w.]+)' has no attribute '(\w+)'", cause):
        if new := _MOVED.get(f"{match[1]}.{match[2]}"):
            return f"{where}: {match[1]}.{match[2]} has moved: write {new} instead"
        return f"{where}: no {match[2]} in {match[1]}{nearest(match[2], dir(importlib.import_module(match[1])))}"
    if match := re.search(r"the following arguments are required: (.*)", cause):
        if not key:  # each name begins with the subcommand
            return f"`{'`, `'.join(re.findall(r'[.]([.0-9a-z_]+)', match[1]))}` must be given: add --config FILE"
        return f"{where}: {class_path} needs {match[1]}"
    kinds = re.findall(r"Expected (?:a )?(<class '[\w.]+'>|typing\.Literal\[[^\]]*\])", cause)
    if kinds := [kind for kind in kinds if kind != "<class 'NoneType'>"]:
        got = re.search(r"Got value: (.*?)(?:\. Got value: |$)", cause)
        return f"{where} must be {' or '.join(map(_kind, kinds))}, got {got[1] if got else given}"
    if match := re.search(r"Expected a dot import path string: (.*)", cause):
        return f"{where} must be a full class path such as torch.nn.Linear, got {match[1]}"
    cause = cause.split(". Got value: Namespace(")[0]  # which was said already
    return f"{where}: {cause}" if key else cause


def _explain_name(key: str, name: str, class_path: str, options: Mapping[str, str]) -> str:
    """Say what an option that is not there may be; `key` is that of the class that lacks it, or empty."""
    if not key:
        hint = meant_option(name, options) or nearest(name.split(".")[0], {option.split(".")[0] for option in options})
        return f"`{name}` is not an option{hint}"
    first, known = name.split(".")[0], _parameters(class_path)
    if key == "model" and name in _MOVED:
        hint = f": give `{_MOVED[name]}` instead"
    elif first in known:
        hint = f": it is set in code, where {class_path} is defined or called"
    else:
        hint = meant_option(f"{key}.{name}", options) or nearest(first, known)
    return f"`{key}.{name}` is not an option of {class_path}{hint}"


def _explain_positional(word: str, options: Mapping[str, str]) -> str:
    """Say what a word may be that is neither an option nor the value of one."""
    name, equals, _ = word.partition("=")
    if equals:
        return f"`{word}` is not an option: options begin with two dashes{meant_option(name, options)}"
    hint = f": did you mean --config {word}?" if is_like_a_file(word) else ", nor the value of one"
    return f"`{word}` is not an option{hint}"


def _kind(kind: str) -> str:
    if match := re.fullmatch(r"<class '([\w.]+)'>", kind):
        return match[1]
    return " or ".join(re.sub(r"typing\.Literal\[|\]", "", kind).split(", "))


def _parameters(class_path: str) -> list[str]:
    """Return the names of a class's or function's parameters, those of its bases included."""
    target = pkgutil.resolve_name(class_path)
    functions = [vars(base).get("__init__") for base in target.__mro__[:-1]] if isinstance(target, type) else [target]
    parameters = [p for function in functions if function for p in inspect.signature(function).parameters.values()]
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name != "self"]
