"""Trains the recipes of docs/records.md over several seeds, and writes their table and its plot.

    scripts/run python scripts/reproduce.py
    scripts/run python scripts/reproduce.py records/fashion_mnist_90.yaml --seeds 3 --data_dir data

Each round trains the tutorial's loop once, and each recipe with the next seed: all are measured in turns. Recipes for a
number of epochs or a GPU have to be named; the tutorial's loop is left out where there are no others. What is done is
kept in a JSON file and not made again, and a run that was stopped goes on. So the script can be stopped and called
again.
"""

import argparse
import json
import re
import statistics
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import nn
from torch.utils.data import DataLoader

from benchmark_training import PILImages
from benchmarking import machine
from lightning_template.datamodules import FashionMNISTDataModule
from lightning_template.engine.runs import directories as runs
from lightning_template.engine.runs.files import write_text
from scores import ROOT, percent_right, train

PAGE = ROOT / "docs" / "records.md"
TUTORIAL = "the tutorial's loop"


@dataclass(frozen=True)
class Aim:
    """What a recipe is for.

    Attributes:
        accuracy: Test accuracy in percent.
        within: What it may take, in words.
        share: The same as a share of the tutorial's seconds; None where another measure counts.
        needs_gpu: Whether it is for a GPU.
    """

    accuracy: float
    within: str
    share: float | None = None
    needs_gpu: bool = False


AIMS = {
    "records/fashion_mnist_72.yaml": Aim(71.7, "T/60", 1 / 60),
    "records/fashion_mnist_90.yaml": Aim(90.0, "T/15", 1 / 15),
    "records/fashion_mnist_93.yaml": Aim(92.7, "T/4", 1 / 4),
    "records/fashion_mnist_94.yaml": Aim(94.0, "T", 1.0),
    "records/fashion_mnist_5_epochs.yaml": Aim(94.0, "5 epochs"),
    "records/fashion_mnist_20_epochs.yaml": Aim(95.2, "20 epochs"),
    "records/fashion_mnist_50_epochs.yaml": Aim(95.8, "50 epochs"),
    "records/fashion_mnist_gpu_94.yaml": Aim(94.0, "1 s on a GPU", needs_gpu=True),
    "records/fashion_mnist_gpu_95.yaml": Aim(95.0, "3 s on a GPU", needs_gpu=True),
    "records/fashion_mnist_gpu_96.yaml": Aim(96.0, "30 s on a GPU", needs_gpu=True),
}
"""What was set for each recipe before it was made; T is the tutorial's seconds on the same machine."""
TABLE = re.compile(r"(?<=<!-- table -->\n).*?(?=<!-- end -->)", re.DOTALL)
Result = dict[str, Any]


def train_tutorial(data_dir: Path | None, seed: int, epochs: int = 10) -> Result:
    """Train as PyTorch's tutorial does, batch by batch from PIL images; return accuracy and seconds of its loop."""
    data = FashionMNISTDataModule(str(data_dir or "data"))
    data.prepare_data()
    stored = data.load()
    train_set, test_set = (DataLoader(PILImages(*part), batch_size=64) for part in stored)
    torch.manual_seed(seed)
    network = nn.Sequential(
        *(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
    )
    optimizer, loss_fn = torch.optim.SGD(network.parameters(), lr=1e-3), nn.CrossEntropyLoss()
    start = time.perf_counter()
    for _ in range(epochs):
        for number, (images, labels) in enumerate(train_set):
            loss = loss_fn(network(images), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            if number % 100 == 0:
                loss.item()
        right = 0
        with torch.no_grad():
            for images, labels in test_set:
                logits = network(images)
                loss_fn(logits, labels).item()
                right += int((logits.argmax(1) == labels).sum())
    return {"accuracy": 100 * right / len(stored[1][1]), "seconds": round(time.perf_counter() - start, 1)}


def train_recipe(config: str, root: Path, data_dir: Path | None, seed: int) -> Result:
    """Train and test a recipe; return the accuracy of its last weights and the seconds of `fit` without the test."""
    run = train(config, root, data_dir, seed)
    return {"accuracy": percent_right(run), "seconds": runs.read_json(run / runs.STATE_FILE)["seconds"]}


def summary(results: list[Result], name: str) -> Result | None:
    """Return mean and spread of a recipe's seeds, and the median of its seconds as a share of the tutorial's."""
    mine = [result for result in results if result["name"] == name]
    if not mine:
        return None
    scores, seconds = [result["accuracy"] for result in mine], [result["seconds"] for result in mine]
    bases = {result["seed"]: result["seconds"] for result in results if result["name"] == TUTORIAL}
    ratios = [result["seconds"] / bases[result["seed"]] for result in mine if result["seed"] in bases]
    return {
        "accuracy": statistics.mean(scores),
        "spread": statistics.stdev(scores) if len(scores) > 1 else 0.0,
        "seeds": len(scores),
        "seconds": statistics.median(seconds),
        "ratio": statistics.median(ratios) if ratios else None,
        "date": max(result["date"] for result in mine),
    }


def table(results: list[Result]) -> str:
    """Return the table in Markdown."""
    lines = ["| config | aim | test accuracy | seeds | seconds of `fit` | of the tutorial's time | date |"]
    lines.append("|---|---|---|---|---|---|---|")
    for name in (TUTORIAL, *AIMS):
        label, aim = (
            (name, "") if name == TUTORIAL else (f"`{name}`", f"{AIMS[name].accuracy} % in {AIMS[name].within}")
        )
        found = summary(results, name)
        if found is None:
            lines.append(f"| {label} | {aim} | not yet measured | 0 | | | |")
            continue
        shown = (
            f"{found['accuracy']:.2f} % ± {found['spread']:.2f}" if found["seeds"] > 1 else f"{found['accuracy']:.2f} %"
        )
        is_timed = name == TUTORIAL or AIMS[name].share is not None
        seconds = f"{found['seconds']:.1f}" if is_timed else ""
        ratio = f"{found['ratio']:.3f}" if is_timed and found["ratio"] is not None else ""
        lines.append(f"| {label} | {aim} | {shown} | {found['seeds']} | {seconds} | {ratio} | {found['date']} |")
    machines = sorted({result["machine"] for result in results})
    return "\n".join([*lines, "", f"Machine: {'; '.join(machines)}.", ""])


def plot(results: list[Result], path: Path) -> None:
    """Draw accuracy against seconds, one point for each run."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name in (TUTORIAL, *AIMS):
        mine = [result for result in results if result["name"] == name]
        if not mine or (name in AIMS and AIMS[name].share is None):
            continue  # its seconds were not measured alone
        seconds, scores = [result["seconds"] for result in mine], [result["accuracy"] for result in mine]
        axes.plot(seconds, scores, "o", label=Path(name).stem, alpha=0.7)
    axes.set(
        xscale="log", xlabel="seconds of training", ylabel="test accuracy in %", title="FashionMNIST, two CPU cores"
    )
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def main() -> int:
    """Train what is missing, and write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument(
        "configs", nargs="*", metavar="CONFIG", help="such as records/fashion_mnist_90.yaml; else all timed ones"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--root", type=Path, default=Path("records"), help="folder of the runs")
    parser.add_argument("--data_dir", type=Path, help="folder that has FashionMNIST")
    parser.add_argument("--results", type=Path, default=PAGE.with_suffix(".json"), help="file of the results")
    parser.add_argument("--page", type=Path, default=PAGE, help="page with the table; its plot lies beside it")
    args = parser.parse_args()
    if unknown := set(args.configs) - AIMS.keys():
        parser.error(f"no such recipe in the table: {', '.join(sorted(unknown))}")
    results: list[Result] = json.loads(args.results.read_text()) if args.results.is_file() else []
    done = {(result["name"], result["seed"]) for result in results}
    names = args.configs or [name for name, aim in AIMS.items() if aim.share is not None]
    if any(AIMS[name].needs_gpu for name in names) and not torch.cuda.is_available():
        parser.error("there is no GPU here, and a recipe is for one")
    is_timed = any(AIMS[name].share is not None for name in names)
    for seed in range(args.seeds):
        for name in [TUTORIAL] * is_timed + names:
            if (name, seed) in done:
                continue
            made = (
                train_tutorial(args.data_dir, seed)
                if name == TUTORIAL
                else train_recipe(name, args.root, args.data_dir, seed)
            )
            result = {"name": name, "seed": seed, **made, "date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine()}
            results.append(result)
            write_text(args.results, json.dumps(results, indent=1) + "\n")
            print(f"{name}, seed {seed}: {made['accuracy']:.2f} % after {made['seconds']} s", flush=True)
    page = args.page.read_text()
    write_text(args.page, TABLE.sub(lambda _: table(results), page))
    plot(results, args.page.with_suffix(".png"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
