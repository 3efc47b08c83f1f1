"""Seconds that an epoch of training and validation takes: the template beside loops written by hand.

The epochs of each contender alternate with those of a bare loop, so that a machine that speeds up or slows down favours
neither. Both start from the same weights and see the same batches, so the weights at the end are compared too. With the
template everything is on: progress bar, TensorBoard, checkpoints, loss and metrics of training and validation.
"""

import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torchmetrics
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision.transforms.functional import to_tensor

from benchmarking import (
    ROOT,
    Alternation,
    EpochClock,
    as_in_a_terminal,
    machine,
    parser,
    print_rows,
    ratio,
    run_command,
)
from lightning_template.datamodules import FashionMNISTDataModule
from lightning_template.engine.batches import BatchOrder
from lightning_template.networks import MLP, ConvNet

Weights = dict[str, Tensor]
BARE = "bare loop, tensors in memory"


@dataclass(frozen=True)
class Recipe:
    """What a loop written by hand needs to do what a configuration says."""

    network: Callable[[], nn.Module]
    optimizer: Callable[[Any], torch.optim.Optimizer]
    data: dict[str, Any]
    max_lr: float | None = None


RECIPES = {
    "mlp": Recipe(
        partial(MLP, 784, [512, 512], 10),
        partial(torch.optim.SGD, lr=1e-3),
        {"batch_size": 64, "shuffle": False, "val_fraction": 0.0, "val_on_test": True},
    ),
    "mlp_batch_norm": Recipe(
        partial(MLP, 784, [64, 128, 64], 10, batch_norm=True),
        partial(torch.optim.Adam, lr=1e-3),
        {"batch_size": 128, "val_fraction": 1 / 12, "normalize": True},
    ),
    "cnn": Recipe(
        partial(ConvNet, 1, [24, 48, 96], 10, 28),
        partial(torch.optim.AdamW, lr=2e-3, weight_decay=0.05),
        {"batch_size": 128, "normalize": True},
        max_lr=6e-3,
    ),
}
"""Recipes by the name of their file in configs/fashion_mnist/."""


class UsualModule(LightningModule):
    """A LightningModule as tutorials write it."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.network = recipe.network()
        self.recipe = recipe
        self.train_accuracy = torchmetrics.Accuracy("multiclass", num_classes=10)
        self.val_accuracy = torchmetrics.Accuracy("multiclass", num_classes=10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.network(x)
        return logits

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return and log the loss, and log the accuracy."""
        x, y = batch
        logits = self(x)
        loss = nn.functional.cross_entropy(logits, y)
        self.train_accuracy(logits, y)
        self.log("train/loss", loss, on_step=True, on_epoch=True, prog_bar=True)
        self.log("train/accuracy", self.train_accuracy, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log loss and accuracy."""
        x, y = batch
        logits = self(x)
        self.val_accuracy(logits, y)
        self.log("val/loss", nn.functional.cross_entropy(logits, y), prog_bar=True)
        self.log("val/accuracy", self.val_accuracy, prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer."""
        return self.recipe.optimizer(self.parameters())


class PILImages(Dataset[tuple[Tensor, int]]):
    """FashionMNIST as torchvision's `FashionMNIST` with `ToTensor` has it, image by image."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images = images
        self.labels = labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return an image `(1, 28, 28)` in [0, 1] and its label."""
        return to_tensor(Image.fromarray(self.images[index].numpy(), mode="L")), int(self.labels[index])


class Bench:
    """The contenders for one recipe.

    Args:
        name: Name of the recipe.
        data_dir: Folder that holds FashionMNIST/raw/.
        device: Device to train on.
        epochs: Epochs that count; one more comes before them to warm up.
        compile_mode: What the last contenders' networks are compiled with, if at all.
    """

    def __init__(self, name: str, data_dir: str, device: str, epochs: int, compile_mode: str | None) -> None:
        self.name = name
        self.recipe = RECIPES[name]
        self.data_dir = data_dir
        self.device = torch.device("cuda" if device == "gpu" else device)
        self.accelerator = device
        self.epochs = epochs
        self.differences: dict[str, float] = {}
        data = FashionMNISTDataModule(data_dir, **self.recipe.data)
        data.prepare_data()
        data.setup("fit")
        assert data.train_set is not None
        assert data.val_set is not None
        self.stored_train, self.stored_val = (
            (part.inputs[part.indices], part.targets[part.indices]) for part in (data.train_set, data.val_set)
        )
        self.train, self.val = (
            (part.transform(part.inputs[part.indices]).to(self.device), part.targets[part.indices].to(self.device))
            for part in (data.train_set, data.val_set)
            if part.transform
        )
        self.order = BatchOrder(len(self.train[0]), data.batch_size, shuffle=data.shuffle)
        self.contenders: dict[str, Callable[[Alternation], Weights]] = {}
        if name == "mlp":
            self.contenders["the tutorial's loop"] = self.tutorial
        if self.recipe.max_lr is None:
            self.contenders["usual LightningModule, tensors in memory"] = self.usual
        self.contenders["template, 1 step per execution"] = lambda alternation: self.template(
            alternation, "--callbacks.executions.steps=1"
        )
        self.contenders["template"] = self.template
        if compile_mode:
            compiled = f"--callbacks.executions.compile_mode={compile_mode}"
            self.contenders[f"template, network compiled: {compile_mode}"] = lambda alternation: self.template(
                alternation, compiled
            )
            self.contenders[f"template, step compiled: {compile_mode}"] = lambda alternation: self.template(
                alternation, compiled, "--callbacks.executions.compiled_part=step", "--model.optimizer.fused=true"
            )

    def compare(self) -> tuple[dict[str, list[float]], dict[str, float]]:
        """Return the seconds of each epoch of each contender, and its ratio to the bare loop.

        The largest difference of a weight from the bare loop's goes to `differences`.
        """
        results: dict[str, list[float]] = {BARE: []}
        ratios = {BARE: 1.0}
        for name, train in self.contenders.items():
            sys.stderr.write(f"\r{self.name}: {name:<60}")
            bare = self._new_network()
            alternation = Alternation(self.bare(bare))
            weights = train(alternation)
            seconds, bare_seconds = alternation.seconds[1:], alternation.other_seconds[1:]
            results[name] = seconds
            results[BARE] += bare_seconds
            ratios[name] = ratio(seconds, bare_seconds)
            self.differences[name] = max(
                (weights[key].double() - value.double()).abs().max().item() for key, value in bare.state_dict().items()
            )
        sys.stderr.write(f"\r{'':<80}\r")
        return results, ratios

    def _new_network(self) -> nn.Module:
        torch.manual_seed(0)
        return self.recipe.network().to(self.device)

    def bare(self, network: nn.Module) -> Iterator[None]:
        """Train with a loop written by hand, over tensors of floats, an epoch for each value asked for."""
        optimizer = self.recipe.optimizer(network.parameters())
        num_steps = (self.epochs + 1) * len(self.order)
        schedule = self.recipe.max_lr and torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.recipe.max_lr, total_steps=num_steps
        )
        (x, y), (x_val, y_val) = self.train, self.val
        size = self.order.batch_size
        for epoch in range(self.epochs + 1):
            network.train()
            total, correct = torch.zeros((), device=self.device), torch.zeros((), device=self.device)
            self.order.set_epoch(epoch)
            order = self.order._epoch_order().to(self.device) if self.order.shuffle else None
            for first in range(0, len(x), size):
                if order is None:
                    inputs, targets = x[first : first + size], y[first : first + size]
                else:
                    part = order[first : first + size]
                    inputs, targets = x[part], y[part]
                logits = network(inputs)
                loss = nn.functional.cross_entropy(logits, targets)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                if schedule:
                    schedule.step()
                total += loss.detach() * len(targets)
                correct += (logits.detach().argmax(1) == targets).sum()
            _ = total.item() / len(x), correct.item() / len(x)
            network.eval()
            with torch.inference_mode():
                total.zero_()
                correct.zero_()
                for inputs, targets in zip(torch.split(x_val, 1000), torch.split(y_val, 1000), strict=True):
                    logits = network(inputs)
                    total += nn.functional.cross_entropy(logits, targets) * len(targets)
                    correct += (logits.argmax(1) == targets).sum()
                _ = total.item() / len(x_val), correct.item() / len(x_val)
            yield

    def tutorial(self, alternation: Alternation) -> Weights:
        """Train as PyTorch's tutorial does: PIL images, `ToTensor`, DataLoader, a line every 100 batches."""
        network = self._new_network()
        optimizer = self.recipe.optimizer(network.parameters())
        train, test = (DataLoader(PILImages(*part), batch_size=64) for part in (self.stored_train, self.stored_val))
        loss_fn = nn.CrossEntropyLoss()
        for _ in range(self.epochs + 1):
            alternation.start_epoch()
            network.train()
            for number, (images, labels) in enumerate(train):
                loss = loss_fn(network(images), labels)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                if number % 100 == 0:
                    _ = loss.item()
            network.eval()
            total, correct = 0.0, 0.0
            with torch.no_grad():
                for images, labels in test:
                    logits = network(images)
                    total += loss_fn(logits, labels).item()
                    correct += (logits.argmax(1) == labels).float().sum().item()
        alternation.end_epoch()
        return network.state_dict()

    def usual(self, alternation: Alternation) -> Weights:
        """Train a usual LightningModule with everything on; its data are in memory, as tensors of floats."""
        seed_everything(0, verbose=False)
        EpochClock.alternation = alternation
        data = self.recipe.data
        train, val = (TensorDataset(*(part.cpu() for part in parts)) for parts in (self.train, self.val))
        with tempfile.TemporaryDirectory() as folder, as_in_a_terminal():
            trainer = Trainer(
                max_epochs=self.epochs + 1,
                accelerator=self.accelerator,
                devices=1,
                logger=TensorBoardLogger(folder),
                callbacks=[EpochClock()],
            )
            module = UsualModule(self.recipe)
            loaders = (
                DataLoader(train, data["batch_size"], shuffle=data.get("shuffle", True)),
                DataLoader(val, 1000),
            )
            trainer.fit(module, *loaders)
        return dict(EpochClock.weights)

    def template(self, alternation: Alternation, *options: str) -> Weights:
        """Train with `fit`."""
        EpochClock.alternation = alternation
        with tempfile.TemporaryDirectory() as folder, as_in_a_terminal():
            run_command(
                "fit",
                f"--config={ROOT / 'configs' / 'fashion_mnist' / self.name}.yaml",
                f"--data.data_dir={self.data_dir}",
                f"--data.on_device={self.accelerator == 'gpu'}",
                f"--trainer.max_epochs={self.epochs + 1}",
                f"--trainer.accelerator={self.accelerator}",
                f"--trainer.default_root_dir={folder}",
                "--trainer.callbacks=benchmarking.EpochClock",
                "--callbacks.figures=null",  # benchmark_figures.py has what drawing costs, which few epochs do
                *options,
            )
        return dict(EpochClock.weights)


def plot(measured: dict[str, tuple[dict[str, list[float]], dict[str, float]]], path: str) -> None:
    """Draw the medians of each recipe's contenders, with their spread and their ratio to the bare loop."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.5 + 0.42 * sum(len(ratios) + 1 for _, ratios in measured.values())), dpi=100)
    heights = [len(ratios) for _, ratios in measured.values()]
    panels = figure.subplots(len(measured), 1, squeeze=False, height_ratios=heights)[:, 0]
    for panel, (recipe, (results, ratios)) in zip(panels, measured.items(), strict=True):
        medians = [statistics.median(values) for values in results.values()]
        spread = [
            [median - min(values) for median, values in zip(medians, results.values(), strict=True)],
            [max(values) - median for median, values in zip(medians, results.values(), strict=True)],
        ]
        colors = ["tab:orange" if name.startswith("template") else "tab:gray" for name in results]
        panel.barh(list(results), medians, xerr=spread, color=colors, ecolor="black", capsize=2)
        for row, (name, seconds) in enumerate(results.items()):
            panel.text(max(seconds), row, f"  {ratios[name]:.2f} x", va="center")
        panel.set(title=f"{recipe}.yaml", xlabel="seconds an epoch", xmargin=0.12)
        panel.title.set_fontsize("medium")
        panel.invert_yaxis()
        panel.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    """Run the benchmark and print its tables."""
    options = parser(__doc__, rounds=10)
    options.add_argument("--recipe", nargs="+", choices=RECIPES, default=["mlp"], help="in configs/fashion_mnist/")
    options.add_argument("--accelerator", choices=["cpu", "gpu"], default="cpu")
    options.add_argument("--compile_mode", help="add the template with its network compiled so")
    options.add_argument("--plot", help="file of a plot to write")
    args = options.parse_args()
    data_dir = str(Path(args.data_dir).absolute())
    measured = {}
    print(machine())
    for recipe in args.recipe:
        bench = Bench(recipe, data_dir, args.accelerator, args.rounds, args.compile_mode)
        measured[recipe] = bench.compare()
        print(f"{recipe}: seconds an epoch, {args.rounds} epochs of each after one to warm up")
        print_rows(measured[recipe][0], "s", measured[recipe][1])
        print("largest difference of a weight from the bare loop's:")
        for name, difference in bench.differences.items():
            print(f"{name:<42}{difference:8.0e}")
    if args.plot:
        plot(measured, args.plot)


if __name__ == "__main__":
    main()
