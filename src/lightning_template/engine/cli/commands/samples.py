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
    """Write samples: mostly of four numbers and a target that depends on them, or images of circles and squares.

    Args:
        kind: One of `SAMPLES`: a CSV file with the columns `a`, `b`, `c`, `d` and `target`; a file of the arrays
            `inputs` `(N, 4)` and `targets` `(N,)`; or colour images 32 x 32 as PNG files in a folder for each class.
            For `regression`, a table has their sizes.
        path: File or folder to make.
        task: What targets are: classes by `classification`, numbers by `regression`, three of 0 or 1 by `multilabel`.
            `segmentation`, `sequence-labelling` and `pairs` have inputs that suit these tasks.
    """
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    if kind == "image-folder":
        _write_images(path, generator, with_table=task == "regression")
        return
    if task in ("segmentation", "sequence-labelling", "pairs"):
        inputs, targets = _arrays(task, generator)
        np.savez(path, inputs=inputs, targets=targets)
        return
    inputs = generator.standard_normal((NUM_SAMPLES, 4)).astype(np.float32)
    numbers = generator.normal(inputs @ [1, -2, 0.5, 0], 0.1).astype(np.float32)
    is_high = numbers > 0
    columns = "red,green,blue" if task == "multilabel" else "target"
    targets = numbers
    if task != "regression":
        targets = (inputs[:, :3] > 0 if task == "multilabel" else is_high).astype(np.int64)
    if kind == "tensors":
        np.savez(path, inputs=inputs, targets=targets)
        return
    if task == "classification":
        targets = np.where(is_high, "high", "low")
    ends = [",".join(map(str, row)) for row in targets.reshape(NUM_SAMPLES, -1).tolist()]
    rows = [",".join([*(f"{value:.4f}" for value in row), end]) for row, end in zip(inputs, ends, strict=True)]
    path.write_text("\n".join([f"a,b,c,d,{columns}", *rows]) + "\n")


def _arrays(task: str, generator: "np.random.Generator") -> "tuple[np.ndarray, np.ndarray]":
    """Return inputs and targets: a class for each pixel, for each of up to 12 tokens, or two views of each sample."""
    import numpy as np

    if task == "segmentation":
        inputs = generator.standard_normal((NUM_SAMPLES, 1, 16, 16)).astype(np.float32)
        return inputs, (inputs[:, 0] > 0).astype(np.int64)
    if task == "sequence-labelling":
        tokens = -np.sort(-generator.integers(0, 20, (NUM_SAMPLES, 12)))  # 0, which fills up, comes last
        return tokens, np.where(tokens == 0, -100, tokens > 9)
    samples = generator.standard_normal((NUM_SAMPLES, 1, 4))
    views = samples + 0.1 * generator.standard_normal((NUM_SAMPLES, 2, 4))
    return views.astype(np.float32), np.arange(NUM_SAMPLES) % 2


def _write_images(folder: Path, generator: "np.random.Generator", with_table: bool) -> None:
    import numpy as np
    from PIL import Image

    y, x = np.mgrid[:32, :32]
    rows = ["file,size"]
    for name in ("circle", "square"):
        (folder / name).mkdir(parents=True)
        for number in range(NUM_SAMPLES // 2):
            (row, column), radius = generator.integers(10, 22, 2), generator.integers(5, 9)
            distances = np.hypot(y - row, x - column) if name == "circle" else np.maximum(abs(y - row), abs(x - column))
            background, color = generator.integers(0, 100, 3), generator.integers(150, 256, 3)
            pixels = np.where((distances <= radius)[..., None], color, background).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number:03}.png")
            rows.append(f"{name}/{number:03}.png,{2 * radius + 1}")
    if with_table:
        (folder / "table.csv").write_text("\n".join(rows) + "\n")
