"""Trains the experiments in the table of docs/quick-start.md, and compares their scores with those in the table.

    scripts/run python scripts/scores.py
    scripts/run python scripts/scores.py line/ols.yaml fashion_mnist/mlp_batch_norm.yaml --data_dir data

Prints a table of Markdown, and ends with 1 if a score is off. A run that is over is not made again, and one that was
stopped goes on, so the script can be stopped and called again; `--root` has to be the same folder.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import yaml

from benchmarking import machine
from lightning_template.datamodules import LineDataModule
from lightning_template.engine.runs import directories as runs
from lightning_template.load import load_run

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "quick-start.md"
ROW = re.compile(r"^\| `(\w+/\w+\.yaml)` \| [^|]* \| ([^|]*) \| [^|]* \|$", re.MULTILINE)


def metric(stage: str, name: str) -> Callable[[Path], float]:
    """Return a function that reads a metric of a run."""
    return lambda run: float(runs.read_json(run / runs.METRICS_FILE)[stage][name])


def percent_right(run: Path) -> float:
    """Return the accuracy of a run's test."""
    return 100 * metric("test", "test/accuracy")(run)


def error_of_closed_form(run: Path) -> float:
    """Return the larger error of a trained line's slope and intercept, against numpy's least squares."""
    task, data = load_run(run, prefer="last")
    assert isinstance(data, LineDataModule)
    assert data.train_set is not None
    inputs, targets = data.train_set.inputs, data.train_set.targets
    expected = np.polyfit(inputs.double().numpy().ravel(), targets.double().numpy().ravel(), 1)
    found = [weight.item() for weight in task.parameters()]
    return float(np.abs(np.subtract(found, expected)).max())


@dataclass(frozen=True)
class Score:
    """What a row of the table promises.

    Attributes:
        pattern: Finds the number in the column of what is expected.
        read: Reads it from a run.
        tolerance: How far off it may be: rounding differs between machines, and adds up.
    """

    pattern: str
    read: Callable[[Path], float]
    tolerance: float


ACCURACY = Score(r"([\d.]+) %", percent_right, 1.0)
SCORES = {
    **dict.fromkeys(
        [f"fashion_mnist/{name}.yaml" for name in ("cnn", "cnn_nll", "mlp_batch_norm", "residual")], ACCURACY
    ),
    **dict.fromkeys([f"fashion_mnist/mlp{name}.yaml" for name in ("", "_other_start", "_relu_output")], ACCURACY),
    "line/ols.yaml": Score(r"closed form (to) 1e-3", error_of_closed_form, 1e-3),
    "line/adam.yaml": Score(r"to ([\d.]+)", metric("final", "train/loss"), 0.1),
    "line/mlp.yaml": Score(r"loss ([\d.]+)", metric("final", "train/loss"), 0.1),
    "line/l1_momentum.yaml": Score(r"error ([\d.]+)", metric("final", "train/mae"), 0.002),
}


def rows(page: str) -> dict[str, str]:
    """Return what the table expects, by configuration."""
    return dict(ROW.findall(page))


def expected_score(config: str, text: str) -> float:
    """Return the number that a row promises; an error is expected to be 0.

    Raises:
        ValueError: If the row has none.
    """
    match = re.search(SCORES[config].pattern, text)
    if match is None:
        raise ValueError(f"{config}: no score in {text!r}, which {SCORES[config].pattern} is to find")
    return 0.0 if match[1] == "to" else float(match[1])


def train(config: str, root: Path, data_dir: Path | None, seed: int | None = None) -> Path:
    """Train and test a configuration, as far as that is not done yet; return the run directory."""
    path = ROOT / "configs" / config
    experiment = yaml.safe_load(path.read_text())["experiment"]
    options = ["--test_after_fit", f"--trainer.default_root_dir={root}", "--trainer.enable_progress_bar=false"]
    if data_dir and "fashion_mnist" in config:
        options.append(f"--data.data_dir={data_dir}")
    if seed is not None:
        experiment = f"{experiment}_seed_{seed}"
        options += [f"--experiment={experiment}", f"--seed_everything={seed}", f"--data.seed={seed}"]
    found = runs.find_runs(root, experiment)
    if found and "test" in runs.read_json(found[-1] / runs.METRICS_FILE):
        return found[-1]
    goes_on = found and (found[-1] / "checkpoints" / "last.ckpt").is_file()
    source = [f"--ckpt_path={found[-1]}"] if goes_on else [f"--config={path}"]
    command = [sys.executable, "-m", "lightning_template", "fit", *source, *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return runs.find_runs(root, experiment)[-1]


def main() -> int:
    """Run the script.

    Returns:
        1 if a score is off, otherwise 0.
    """
    expected = rows(PAGE.read_text())
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("configs", nargs="*", metavar="CONFIG", help="such as line/ols.yaml; all if none is given")
    parser.add_argument("--root", type=Path, default=Path("scores"), help="folder of the runs")
    parser.add_argument("--data_dir", type=Path, help="folder that has FashionMNIST")
    args = parser.parse_args()
    if unknown := set(args.configs) - SCORES.keys():
        parser.error(f"no such configuration in the table: {', '.join(sorted(unknown))}")
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine()}\n")
    print("| config | expected | reached | tolerance | seconds | |\n|---|---|---|---|---|---|")
    num_off = 0
    for config in args.configs or SCORES:
        run = train(config, args.root, args.data_dir)
        score, promised, reached = SCORES[config], expected_score(config, expected[config]), SCORES[config].read(run)
        is_off = not abs(reached - promised) <= score.tolerance  # as what is no number is
        num_off += is_off
        seconds = runs.read_json(run / runs.STATE_FILE).get("seconds", "")
        mark = "off" if is_off else "as promised"
        print(f"| `{config}` | {promised:g} | {reached:.4g} | {score.tolerance:g} | {seconds} | {mark} |", flush=True)
    return int(num_off > 0)


if __name__ == "__main__":
    sys.exit(main())
