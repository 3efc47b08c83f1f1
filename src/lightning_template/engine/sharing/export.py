"""`lightning-template export`: a run as files that other programs load. Torch is imported once the options are read."""

import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_template.engine.cli.commands.parser import CommandParser
from lightning_template.engine.cli.commands.printing import print_lines, print_table
from lightning_template.engine.cli.commands.runs import find
from lightning_template.engine.runs.files import make_folder, put_in_place, refusal

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule

    from lightning_template.engine.prediction import Run
    from lightning_template.engine.sharing.predictor import Prediction

NEEDED = {"onnx": ("onnx", "onnxruntime", "onnxscript"), "torch": (), "safetensors": ("safetensors",)}
"""Packages that each format needs beside torch."""
FILES = {"onnx": "model.onnx", "torch": "model.pt2", "safetensors": "model.safetensors"}
CARD = "README.md"
HELP = """\
usage: lightning-template export RUN [--format FORMAT]... [--output FOLDER] [--root DIR]

Writes a run's best weights as files that other programs load, and a model card. Each file is read again, and must
predict real samples as the task does; otherwise nothing is written.

  onnx          model.onnx: batches of any size, with normalisation and softmax, classes and configuration inside
  torch         model.pt2: the same for torch.export.load
  safetensors   model.safetensors: the weights alone, and model.json with the configuration

  RUN              a run directory, EXPERIMENT/version_N, EXPERIMENT for its newest run, or a checkpoint file
  --format FORMAT  write this format alone; can be given several times
  --output FOLDER  where to write; export in the run's directory if not given
  --root DIR       folder that holds lightning_logs/
"""


def main(args: Sequence[str]) -> int:
    """Run the command.

    Args:
        args: What follows `export` on the command line.

    Raises:
        ValueError: If there is no such run, or it cannot be exported. Nothing is written then.
    """
    if "-h" in args or "--help" in args:
        sys.stdout.write(HELP)
        return 0
    options = _parser().parse_args(args)
    formats = list(dict.fromkeys(options.format or FILES))
    if missing := [name for kind in formats for name in NEEDED[kind] if find_spec(name) is None]:
        raise ValueError(f"`export` needs {', '.join(missing)}: pip install 'lightning-template[export]'")
    where = Path(options.run)
    where = where if where.is_file() else find(Path(options.root), options.run)
    from lightning_template.engine.cli.terminal import quieten  # takes seconds: imports torch
    from lightning_template.engine.runs.resolve import resolve_checkpoint
    from lightning_template.load import load_run

    quieten()
    checkpoint = resolve_checkpoint(str(where), Path(), "")
    run = load_run(checkpoint)
    assert run.directory is not None
    folder = Path(options.output) if options.output else run.directory / "export"
    above = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not above.is_dir() or (reason := refusal(above)):
        raise ValueError(f"cannot write into {folder}: {'a file is there' if not above.is_dir() else reason}")
    with tempfile.TemporaryDirectory(prefix=".export-", dir=above) as beside:  # of the same file system
        rows, source = _write(run, checkpoint, formats, Path(beside))
        make_folder(folder)
        for part in sorted(Path(beside).iterdir()):
            put_in_place(part, folder / part.name)
    print_table([["file", "MB", "largest difference"], *([str(folder / name), *cells] for name, *cells in rows)])
    print_lines(f"each was read again and compared with the task on {source}; {folder / CARD} says how to use them")
    return 0


def _parser() -> CommandParser:
    parser = CommandParser("export")
    parser.add_argument("run")
    parser.add_argument("--format", action="append", choices=FILES)
    parser.add_argument("--output")
    parser.add_argument("--root", default=".")
    return parser


def _write(run: "Run", checkpoint: Path, formats: Sequence[str], folder: Path) -> tuple[list[list[str]], str]:
    """Write the files, and return a row of cells for each, and what they were compared on.

    Raises:
        ValueError: If a file cannot be written, or differs from the task.
    """
    from lightning_template.engine.sharing import formats as files
    from lightning_template.engine.sharing.card import card
    from lightning_template.engine.sharing.metadata import describe
    from lightning_template.engine.sharing.predictor import prediction_of
    from lightning_template.engine.sharing.samples import samples_of

    samples = samples_of(run)
    prediction = prediction_of(run.task, samples)
    program = _program(prediction, formats)
    numbers = len(prediction.inputs), len(prediction.outputs)
    axes = files.moving_axes(program) if program is not None else ([[0]] * numbers[0], [[0]] * numbers[1])
    metadata = describe(run, checkpoint, samples, prediction, axes)
    rows = []
    for name in formats:
        path = folder / FILES[name]
        try:
            if name == "safetensors":
                read = files.write_weights(prediction, _fresh(run), path, metadata)
            else:
                read = (files.write_onnx if name == "onnx" else files.write_program)(program, path, metadata)
            difference = files.check(read, prediction, axes[0])
        except files.ExportError as error:
            raise ValueError(f"no {name} file, and so none at all: {error}{_others(name, formats)}") from error
        rows.append([path.name, f"{path.stat().st_size / 1e6:.3f}", f"{difference:.1e}" if difference else "none"])
    (folder / CARD).write_text(card(metadata, [FILES[name] for name in formats], samples.source), "utf-8")
    return rows, f"{len(next(iter(prediction.inputs.values())))} {samples.source}"


def _fresh(run: "Run") -> "LightningModule":
    """Return an untrained task of the run's configuration."""
    from lightning_template.load import load_config

    assert run.directory is not None
    task, _ = load_config(run.directory / "config.yaml")
    task.configure_model()
    return task


def _program(prediction: "Prediction", formats: Sequence[str]) -> Any:
    """Return the program of `torch.export` that ONNX too is made from; None if nothing needs it."""
    from lightning_template.engine.sharing.formats import ExportError, program_of

    if formats == ["safetensors"]:
        return None
    try:
        return program_of(prediction)
    except ExportError as error:
        raise ValueError(f"the task cannot be exported: {error}; --format safetensors takes the weights") from error


def _others(name: str, formats: Sequence[str]) -> str:
    others = [f"--format {other}" for other in formats if other != name]
    return f"; to write the others: {' '.join(others)}" if others else ""
