"""Largest resident set of a training process, and how time and memory grow with the data.

The loop written by hand keeps the images as bytes, as the template does, and imports no more than it needs.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarking import ROOT, machine, parser

BARE = """
import gzip, os, sys, torch
from torch import nn
folder = sys.argv[1] + "/FashionMNIST/raw/"
def read(name, offset):
    path = folder + name + "-ubyte"
    with open(path, "rb") if os.path.exists(path) else gzip.open(path + ".gz") as file:
        return torch.frombuffer(bytearray(file.read()), dtype=torch.uint8, offset=offset)
sets = [(read(p + "-images-idx3", 16).view(-1, 784), read(p + "-labels-idx1", 8).long()) for p in ("train", "t10k")]
network = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
(x, y), (x_test, y_test) = sets
for i in range(0, len(x), 64):
    loss = nn.functional.cross_entropy(network(x[i : i + 64].float() / 255), y[i : i + 64])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
with torch.inference_mode():
    for i in range(0, len(x_test), 1000):
        network(x_test[i : i + 1000].float() / 255)
"""


def largest_resident_set(*args: str) -> float:
    """Return the largest resident set, in MB, of a Python process that is called with `args`."""
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere:
        process = subprocess.Popen([sys.executable, *args], cwd=folder, stdout=nowhere, stderr=nowhere)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{args[:3]} ended with {status}")
    return usage.ru_maxrss / 1024


def growth(factor: int, points: int = 400_000) -> dict[str, float]:
    """Train an epoch on `factor * points` points of the line; return seconds of the epoch and the resident set."""
    code = (
        "import json, resource, sys; sys.path.insert(0, sys.argv.pop(1)); from benchmarking import *;"
        "run_command(*sys.argv[1:]); seconds = EpochClock.alternation.seconds[-1];"
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024;"
        "print(json.dumps({'seconds': seconds, 'MB': peak}))"
    )
    options = [
        f"--config={ROOT}/configs/line/mlp.yaml",
        f"--data.num_points={factor * points}",
        "--data.batch_size=500",
        "--trainer.max_epochs=2",
        "--trainer.accelerator=cpu",
        "--trainer.callbacks=benchmarking.EpochClock",
    ]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", code, str(Path(__file__).parent), "fit", *options]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def main() -> None:
    """Run the benchmark and print its tables."""
    args = parser(__doc__, rounds=3).parse_args()
    data_dir = str(Path(args.data_dir).absolute())
    print(machine())
    fit = ["-m", "lightning_template", "fit", f"--config={ROOT}/configs/fashion_mnist/mlp.yaml"]
    fit += [f"--data.data_dir={data_dir}", "--trainer.max_epochs=1", "--trainer.accelerator=cpu"]
    imports = "import lightning.pytorch.cli, torch.utils.tensorboard"
    peaks = {
        "bare script": min(largest_resident_set("-c", BARE, data_dir) for _ in range(args.rounds)),
        "imports alone: lightning, tensorboard": min(largest_resident_set("-c", imports) for _ in range(args.rounds)),
        "template": min(largest_resident_set(*fit) for _ in range(args.rounds)),
    }
    print(f"largest resident set, smallest of {args.rounds} processes")
    for name, peak in peaks.items():
        print(f"{name:<42}{peak:8.0f} MB {peak - peaks['bare script']:+8.0f} MB")
    print("growth with the data: an epoch of line/mlp.yaml, batches of 500")
    before: dict[str, float] = {}
    for factor in (1, 2, 4, 8):
        runs = [growth(factor) for _ in range(args.rounds)]
        now = {key: sorted(run[key] for run in runs)[len(runs) // 2] for key in ("seconds", "MB")}
        ratio = f"{now['seconds'] / before['seconds']:8.2f}" if before else f"{'':8}"
        print(f"{factor * 400_000:>12,} points {now['seconds']:8.2f} s {ratio} {now['MB']:8.0f} MB")
        before = now


if __name__ == "__main__":
    main()
