"""Made-up data in the formats that people bring, to try a task before its own data are there."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

NUM_SAMPLES = 160
"""Number of samples."""

SAMPLES = {"csv": "data/{}.csv", "tensors": "data/{}.npz", "image-folder": "data/{}"}
"""Kinds of data, and where those of a name lie."""


def write_samples(kind: str, path: Path, task: str) -> None:
    """Write samples: of four numbers and a target that depends on them, or images of circles and squares.

    Args:
        kind: One of `SAMPLES`: a CSV file with the columns `a`, `b`, `c`, `d` and `target`; a file of the arrays
            `inputs` `(N, 4)` and `targets` `(N,)`; or colour images 32 x 32 as PNG files in a folder for each class.
        path: File or folder to make.
        task: Whether targets are classes, by `classification`, or numbers, by `regression`. Images have classes.
    """
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    if kind == "image-folder":
        _write_images(path, generator)
        return
    inputs = generator.standard_normal((NUM_SAMPLES, 4)).astype(np.float32)
    numbers = generator.normal(inputs @ [1, -2, 0.5, 0], 0.1).astype(np.float32)
    is_high = numbers > 0
    if kind == "tensors":
        np.savez(path, inputs=inputs, targets=is_high.astype(np.int64) if task == "classification" else numbers)
        return
    targets = np.where(is_high, "high", "low") if task == "classification" else numbers.round(4)
    rows = [",".join([*(f"{value:.4f}" for value in row), str(end)]) for row, end in zip(inputs, targets, strict=True)]
    path.write_text("\n".join(["a,b,c,d,target", *rows]) + "\n")


def _write_images(folder: Path, generator: "np.random.Generator") -> None:
    import numpy as np
    from PIL import Image

    y, x = np.mgrid[:32, :32]
    for name in ("circle", "square"):
        (folder / name).mkdir(parents=True)
        for number in range(NUM_SAMPLES // 2):
            (row, column), radius = generator.integers(10, 22, 2), generator.integers(5, 9)
            distances = np.hypot(y - row, x - column) if name == "circle" else np.maximum(abs(y - row), abs(x - column))
            background, color = generator.integers(0, 100, 3), generator.integers(150, 256, 3)
            pixels = np.where((distances <= radius)[..., None], color, background).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number:03}.png")
