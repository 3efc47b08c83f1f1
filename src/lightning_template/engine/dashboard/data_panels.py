"""Panels of the picture of the data: numbers, samples with their labels, shares of classes, distributions."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from lightning_template.engine.dashboard.data_samples import names_of, sample_panels
from lightning_template.engine.dashboard.data_summary import Split, Summary
from lightning_template.engine.drawing import Panel, grouped_bars, histograms, page, text
from lightning_template.engine.nests import named_tensors
from lightning_template.engine.process.errors import one_line, printable
from lightning_template.engine.process.tables import table_text

MAX_BARS = 40
"""Largest number of classes whose shares are drawn: the first ones."""
MAX_COLUMNS = 60
"""Largest number of columns whose distributions are drawn."""
MAX_TENSORS = 24
"""Largest number of tensors of a batch whose numbers are listed."""


def picture(summary: Summary) -> Any:
    """Return the picture of what a network gets, as bytes `(height, width, 3)`.

    A part that cannot be drawn says why in its place.
    """
    return page([(heading, _guarded(draw)) for heading, draw in panels(summary)])


def panels(summary: Summary) -> Iterator[Panel]:
    """Yield the parts of the picture."""
    yield "a training batch, as the network gets it", lambda: text(numbers(summary))
    try:
        yield from sample_panels(summary)
        yield from _target_panels(summary)
        yield from _column_panels(summary)
    except Exception as error:  # of tensors of a kind that nobody foresaw: the numbers stay
        reason = one_line(error)
        yield "left out", lambda: text(printable(reason))


def numbers(summary: Summary) -> str:
    """Return a table of the tensors of a batch, with range and mean, and a line of the splits."""
    parts = [("inputs", summary.inputs), ("targets", summary.targets)]
    if summary.inputs is None and summary.targets is None:
        parts = [("batch", summary.batch)]
    tensors = [found for name, part in parts for found in named_tensors(part, name)]
    rows = [["", "shape", "type", "smallest", "largest", "mean", "std", ""]]
    rows += [[printable(name), *_numbers(tensor)] for name, tensor in tensors[:MAX_TENSORS]]
    lines = table_text(rows) if tensors else f"no tensors, but {type(summary.batch).__name__}\n"
    if len(tensors) > MAX_TENSORS:
        lines += f"... and {len(tensors) - MAX_TENSORS} other tensors\n"
    sizes = [f"{name} {'?' if split.number is None else split.number}" for name, split in summary.splits.items()]
    lines += f"\nsamples: {', '.join(sizes)}" if sizes else ""
    return lines + "".join(f"\n{name}: {printable(reason):.200}" for name, reason in summary.failures.items())


def _numbers(tensor: Tensor) -> list[str]:
    """Return shape, type, range, mean and standard deviation of a tensor, and what is not finite."""
    cells = [str(tuple(tensor.shape)), str(tensor.dtype).removeprefix("torch.")]
    try:
        values = (tensor.abs() if tensor.is_complex() else tensor).flatten().double()
        finite = values[values.isfinite()]
    except (RuntimeError, NotImplementedError, TypeError):  # of complex, sparse or nested tensors
        return [*cells, "", "", "", "", str(tensor.layout).removeprefix("torch.")]
    lacking = f"{len(values) - len(finite)} not finite" if len(finite) < len(values) else ""
    lacking = f"{lacking} absolute values".lstrip() if tensor.is_complex() else lacking
    if not len(finite):
        return [*cells, "", "", "", "", lacking]
    found = finite.min(), finite.max(), finite.mean(), finite.std(correction=0)
    return [*cells, *(f"{value.item():.4g}" for value in found), lacking]


def _target_panels(summary: Summary) -> Iterator[Panel]:
    """Yield the shares of classes or labels, or the distribution of numbers, in each split."""
    splits = {name: split for name, split in summary.splits.items() if split.targets is not None}
    if not splits and isinstance(summary.targets, Tensor) and summary.targets.ndim:
        splits = {"batch": Split(None, summary.targets)}
    targets = {name: split.targets for name, split in splits.items() if split.targets is not None}
    targets = {name: values for name, values in targets.items() if len(values)}
    kind = names_of(summary).kind
    seen = ", ".join(f"{len(values)} of {name}" for name, values in targets.items())
    if kind in ("class", "classes", "labels") and targets:
        shares = {name: _shares(values, kind, summary.ignored) for name, values in targets.items()}
        longest = max(map(len, shares.values()))
        names = names_of(summary).some(longest)[:MAX_BARS]
        rows = {name: _filled(values, longest)[: len(names)].tolist() for name, values in shares.items()}
        what = {"class": "share of samples", "classes": "share of elements", "labels": "share of samples"}[kind]
        more = f"; the first {MAX_BARS} of {longest}" if longest > MAX_BARS else ""
        yield f"classes in each split{more}", lambda: grouped_bars(rows, names, f"{what} ({seen})")
    elif kind == "numbers" and targets:
        cells: dict[str, dict[str, Tensor]] = {}
        for split, values in targets.items():
            for number, column in enumerate(islice(values.reshape(len(values), -1).T, MAX_COLUMNS)):
                cells.setdefault(f"target {number}", {})[split] = column[column.isfinite()]
        yield "targets in each split", lambda: histograms(cells)


def _shares(targets: Tensor, kind: str, ignored: int) -> Tensor:
    """Return the share of each class or label."""
    if kind == "labels":
        return (targets > 0.5).double().mean(0)
    classes = targets.flatten().long()
    counts = torch.bincount(classes[(classes != ignored) & (classes >= 0)], minlength=1)
    return counts / counts.sum().clamp(min=1)


def _filled(shares: Tensor, length: int) -> Tensor:
    return torch.cat([shares, shares.new_zeros(length - len(shares))])


def _column_panels(summary: Summary) -> Iterator[Panel]:
    """Yield the distribution of each column of a table."""
    if summary.rows is None:
        return
    rows, number = summary.rows, summary.rows.shape[1]
    names = summary.input_names if len(summary.input_names) == number else [f"input {i}" for i in range(number)]
    cells: Mapping[str, Mapping[str, Tensor]] = {
        printable(f"{name:.28}" if names.count(name) == 1 else f"{name:.24} {i}"): {"": column[column.isfinite()]}
        for i, (name, column) in enumerate(zip(names, islice(rows.T, MAX_COLUMNS), strict=False))
    }
    more = f"; the first {MAX_COLUMNS} of {number}" if number > MAX_COLUMNS else ""
    yield f"inputs, of {len(rows)} training samples, as the network gets them{more}", lambda: histograms(cells)


def _guarded(draw: Any) -> Any:
    def drawn() -> Any:
        try:
            return draw()
        except Exception as error:  # of numbers that nobody foresaw: the other parts stay
            return text(printable(f"cannot be drawn: {one_line(error)}"))

    return drawn
