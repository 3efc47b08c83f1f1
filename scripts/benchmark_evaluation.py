"""Seconds that `test` takes for the 10,000 images of the test set, beside a loop written by hand with large batches."""

import tempfile
import time
from functools import partial
from pathlib import Path

import torch
from torch import nn

from benchmark_training import RECIPES
from benchmarking import ROOT, TestClock, as_in_a_terminal, machine, parser, print_table, run_command, take_turns
from lightning_template.datamodules import FashionMNISTDataModule


def bare(network: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> float:
    """Measure loss and accuracy over tensors of floats in memory."""
    start = time.perf_counter()
    network.eval()
    total, correct = torch.zeros(()), torch.zeros(())
    with torch.inference_mode():
        for x, y in zip(torch.split(inputs, 1000), torch.split(targets, 1000), strict=True):
            logits = network(x)
            total += nn.functional.cross_entropy(logits, y) * len(y)
            correct += (logits.argmax(1) == y).sum()
    _ = total.item() / len(targets), correct.item() / len(targets)
    return time.perf_counter() - start


def template(recipe: str, data_dir: str) -> float:
    """Run `test`, and time it from the first hook of the test to the last."""
    with tempfile.TemporaryDirectory() as folder, as_in_a_terminal():
        run_command(
            "test",
            f"--config={ROOT / 'configs' / 'fashion_mnist' / recipe}.yaml",
            f"--data.data_dir={data_dir}",
            "--allow_untrained",
            "--trainer.accelerator=cpu",
            f"--trainer.default_root_dir={folder}",
            "--trainer.callbacks=benchmarking.TestClock",
        )
    start, end = TestClock.times
    return end - start


def main() -> None:
    """Run the benchmark and print its tables."""
    args = parser(__doc__, rounds=7).parse_args()
    data_dir = str(Path(args.data_dir).absolute())
    print(machine())
    for name in ("mlp", "cnn"):
        recipe = RECIPES[name]
        data = FashionMNISTDataModule(data_dir, **recipe.data)
        data.prepare_data()
        data.setup("test")
        assert data.test_set is not None
        inputs, targets = data.transform(data.test_set.inputs), data.test_set.targets
        contenders = {
            "bare loop, tensors in memory": partial(bare, recipe.network(), inputs, targets),
            "template": partial(template, name, data_dir),
        }
        for run in contenders.values():
            run()  # warms up
        print(f"{name}: seconds for 10,000 images, {args.rounds} rounds")
        print_table(take_turns(contenders, args.rounds), "s", "bare loop, tensors in memory")


if __name__ == "__main__":
    main()
