"""Samples a second of a run's task, of its `torch.export` program and of its ONNX file, in turns.

./scripts/run python scripts/benchmark_export.py lightning_logs/shapes_segmentation/version_0
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from benchmarking import machine, take_turns
from lightning_template.engine.sharing import formats
from lightning_template.engine.sharing.predictor import prediction_of
from lightning_template.engine.sharing.samples import samples_of
from lightning_template.load import load_run


def main() -> int:
    """Measure, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each measurement")
    args = parser.parse_args()
    print("| run | batch | task | `torch.export` | ONNX |\n|---|---|---|---|---|")
    for name in args.runs:
        run = load_run(name)
        prediction = prediction_of(run.task, samples_of(run))
        program = formats.program_of(prediction)
        names = {"inputs": prediction.inputs, "outputs": prediction.outputs}
        metadata = {kind: [{"name": name} for name in found] for kind, found in names.items()}
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            contenders: dict[str, Callable[..., object]] = {
                "task": partial(call, prediction.module),
                "torch.export": formats.write_program(program, Path(folder) / "model.pt2", metadata),
                "ONNX": formats.write_onnx(program, Path(folder) / "model.onnx", metadata),
            }
            for size in (1, 64):
                tensors = [tensor[:size].contiguous() for tensor in prediction.inputs.values()]
                timed = {kind: partial(speed, read, tensors, args.seconds) for kind, read in contenders.items()}
                cells = [f"{max(v):,.0f}" for v in take_turns(timed, args.rounds).values()]
                number = len(tensors[0])
                print(f"| {Path(name).parent.name} | {number} | {' | '.join(cells)} |", flush=True)
    print(f"\nSamples a second, the best of {args.rounds} rounds; {machine()}.")
    return 0


def call(module: torch.nn.Module, tensors: list[torch.Tensor]) -> object:
    """Call a module."""
    return module(*tensors)


def speed(read: Callable[..., object], tensors: list[torch.Tensor], seconds: float) -> float:
    """Return the number of samples a second."""
    read(tensors)
    start, batches = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        read(tensors)
        batches += 1
    return batches * len(tensors[0]) / (time.perf_counter() - start)


if __name__ == "__main__":
    sys.exit(main())
