"""The model card of an exported task, in Markdown."""

import html
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

_USE = {
    "model.onnx": (
        "python",
        """\
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
outputs = session.run(None, {inputs})
session.get_modelmeta().custom_metadata_map  # classes, configuration and more""",
    ),
    "model.pt2": (
        "python",
        'import torch\n\nmodel = torch.export.load("model.pt2").module()\noutputs = model({names})',
    ),
    "model.safetensors": (
        "python",
        'from safetensors.torch import load_file\n\nweights = load_file("model.safetensors")  # model.json: of what',
    ),
}


def card(metadata: Mapping[str, Any], files: Sequence[str], source: str) -> str:
    """Return the text of the card.

    Args:
        metadata: As `describe` returns it. Names in it may hold anything, and are escaped.
        files: Names of the files beside the card.
        source: What the files were compared on.
    """
    environment = metadata["environment"]
    packages = environment.get("packages")
    facts = {
        "task": metadata["task"],
        "network": metadata["network"],
        "data": metadata["data"] or "served by the task",
        "run": f"{metadata['run']}, {metadata['checkpoint']}",
        "trained": f"{environment.get('started', 'unknown')}, commit {environment.get('git_commit') or 'unknown'}",
        "packages": ", ".join(f"{k} {v}" for k, v in packages.items()) if isinstance(packages, Mapping) else "unknown",
        "exported": f"{datetime.now(UTC):%Y-%m-%d}, compared with the task on {source}",
    }
    parts = [f"# {_escaped(metadata['run'])}", _table([("", ""), *facts.items()]), "## Inputs and outputs"]
    rows = [[kind, e["name"], e["dtype"], _shape(e)] for kind in ("inputs", "outputs") for e in metadata[kind]]
    parts.append(_table([("", "name", "dtype", "shape"), *([kind.removesuffix("s"), *rest] for kind, *rest in rows)]))
    parts.append("Inputs are as the data store them: normalisation is part of the model, and so are probabilities.")
    for name in ("classes", "columns", "categories", "image"):
        if metadata[name]:
            parts += [f"{name.capitalize()}:", _block("json", json.dumps(metadata[name], indent=1))]
    scores = [(stage, name, f"{v:.6g}") for stage, values in metadata["metrics"].items() for name, v in values.items()]
    parts += ["## Results", _table([("of", "metric", "value"), *scores]) if scores else "None were recorded."]
    parts += ["## Use"]
    parts += [_block(language, _filled(text, metadata)) for name, (language, text) in _USE.items() if name in files]
    parts += ["## Limits", "Not stated yet: what it is for, on whose data it may fail, and what an error costs."]
    parts += ["## Configuration", _block("yaml", metadata["configuration"].rstrip("\n"))]
    return "\n\n".join(parts) + "\n"


def _shape(entry: Mapping[str, Any]) -> str:
    return f"({', '.join(map(str, entry['shape']))}{',' * (len(entry['shape']) == 1)})"


def _filled(text: str, metadata: Mapping[str, Any]) -> str:
    names = [entry["name"] for entry in metadata["inputs"]]
    values = ["values" if len(names) == 1 else f"values_{number}" for number in range(len(names))]
    feed = ", ".join(f"{json.dumps(name)}: {value}" for name, value in zip(names, values, strict=True))
    return text.replace("{inputs}", f"{{{feed}}}").replace("{names}", ", ".join(values))


def _table(rows: Sequence[Sequence[Any]]) -> str:
    first, *rest = (f"| {' | '.join(_escaped(str(cell)) for cell in row)} |" for row in rows)
    return "\n".join([first, "|" + "---|" * len(rows[0]), *rest])


def _escaped(text: str) -> str:
    """Return a text on one line that Markdown takes for nothing else."""
    return re.sub(r"([\\`*_\[\]|~])", r"\\\1", html.escape(" ".join(text.split()), quote=False))


def _block(language: str, text: str) -> str:
    """Return a block of code whose fence is longer than any in the text."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"
