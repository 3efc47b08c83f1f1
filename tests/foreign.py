"""Modules and data that know nothing of the template, or use it in ways that its own tasks do not."""

from collections.abc import Iterator
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset
from torchmetrics.classification import MulticlassAccuracy

NUM_SAMPLES = 12


class Samples(Dataset[Any]):
    """Twelve samples of `kind`."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __len__(self) -> int:
        return NUM_SAMPLES

    def __getitem__(self, index: int) -> Any:
        x = torch.full((4,), index / NUM_SAMPLES) + torch.arange(4.0)
        label = index % 3
        kinds: dict[str, Any] = {
            "pair": (x, label),
            "triple": (x, label, 0.5),
            "alone": x,
            "dict": {"inputs": x, "label": label},
            "words": (x, ("cat", "dog", "bird")[label]),
            "huge": (x, 10**12 + label),
            "negative": (x, -100 if index % 4 == 0 else label),
            "images": (x.repeat(4).view(1, 4, 4), label),
            "number": (x, x.sum()),
        }
        return kinds[self.kind]


class Stream(IterableDataset[Any]):
    """The same without a length."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __iter__(self) -> Iterator[Any]:
        return (Samples(self.kind)[index] for index in range(NUM_SAMPLES))


class Data(LightningDataModule):
    """Three batches of four samples.

    Args:
        kind: Kind of sample.
        streams: Whether the data have no length.
        validates: Whether there is a validation set.
    """

    def __init__(self, kind: str = "pair", streams: bool = False, validates: bool = True) -> None:
        super().__init__()
        self.data: Any = Stream(kind) if streams else Samples(kind)
        self.validates = validates

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.data, batch_size=4)

    def val_dataloader(self) -> Any:
        return DataLoader(self.data, batch_size=4) if self.validates else []

    test_dataloader = train_dataloader


class Foreign(LightningModule):
    """Learns something of any kind of batch, and returns outputs of `kind` from its validation.

    Args:
        outputs: Kind of output.
    """

    def __init__(self, outputs: str = "tensor") -> None:
        super().__init__()
        self.layer = nn.LazyLinear(3)
        self.layer(torch.zeros(1, 4))
        self.outputs = outputs

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x.flatten(1)[:, :4])
        return out

    def predict(self, outputs: Tensor) -> Tensor:
        return outputs.softmax(dim=1)

    def scores(self, batch: Any) -> Tensor:
        x = batch["inputs"] if isinstance(batch, dict) else batch if isinstance(batch, Tensor) else batch[0]
        out: Tensor = self(x)
        return out

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = self.scores(batch).square().mean()
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        scores = self.scores(batch)
        self.log("val_loss", scores.square().mean())
        kinds = {
            "tensor": scores,
            "dict": {"scores": scores},
            "tuple": (scores, scores),
            "scalar": scores.mean(),
            "nan": scores * torch.nan,
            "one": scores[:, 0],
            "wide": scores.repeat(1, 2000),
            "none": None,
        }
        return kinds[self.outputs]

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class GAN(LightningModule):
    """A generator whose `forward` takes noise, and a discriminator, with an optimizer for each."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator = nn.Linear(8, 4)
        self.discriminator = nn.Linear(4, 1)

    def forward(self, noise: Tensor) -> Tensor:
        out: Tensor = self.generator(noise)
        return out

    def predict(self, outputs: Tensor) -> Tensor:
        return outputs

    def training_step(self, batch: Any, batch_idx: int) -> None:
        for optimizer, sign in zip(self.optimizers(), (1, -1), strict=True):
            score = self.discriminator(self(torch.randn(4, 8))).mean() - self.discriminator(batch[0]).mean()
            optimizer.zero_grad()
            self.manual_backward(sign * score)
            optimizer.step()

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(part.parameters(), lr=0.1) for part in (self.generator, self.discriminator)]


class NoForward(Foreign):
    """Has no `forward`, as LightningModules need none."""

    forward = LightningModule.forward

    def scores(self, batch: Any) -> Tensor:
        out: Tensor = self.layer(batch[0])
        return out


class TwoArguments(Foreign):
    """Has a `forward` of two arguments."""

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:  # type: ignore[override]
        out: Tensor = scale * self.layer(x)
        return out

    def scores(self, batch: Any) -> Tensor:
        out: Tensor = self(batch[0], torch.ones(1))
        return out


class FailingFigures(Foreign):
    """Has figures of its own that fail, as they may after an hour of training."""

    def figures(self, *_: Tensor) -> dict[str, Any]:
        raise KeyError("no such thing")


class Meddling(Foreign):
    """Draws random numbers and changes all it can whenever it is called, and fails then.

    Args:
        fails: Whether its own figures and predictions fail.
    """

    def __init__(self, fails: bool = True) -> None:
        super().__init__()
        self.fails = fails
        self.norm = nn.BatchNorm1d(4)
        self.accuracy = MulticlassAccuracy(3)
        self.val_accuracy = MulticlassAccuracy(3)
        self.calls: Tensor
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        out: Tensor = self.layer(nn.functional.dropout(self.norm(x), training=self.training))
        self.accuracy.update(out, torch.zeros(len(x), dtype=torch.long))
        self.log("train_accuracy", self.accuracy, on_step=False, on_epoch=True)
        return out

    def scores(self, batch: Any) -> Tensor:
        if self.training:
            noisy: Tensor = self(batch[0]) + self.calls
            return noisy
        out: Tensor = self.layer(self.norm(batch[0]))
        self.val_accuracy.update(out, batch[1])
        self.log("val_accuracy", self.val_accuracy)
        return out

    def predict(self, outputs: Tensor) -> Tensor:
        self._meddle()
        return super().predict(outputs)

    def figures(self, *_: Tensor) -> dict[str, Any]:
        self._meddle()
        return {}

    def _meddle(self) -> None:
        torch.randn(3)
        self.train()
        self.calls += 1
        self.val_accuracy.reset()
        self.accuracy.tp.add_(1)  # type: ignore[union-attr]
        with torch.inference_mode(False), torch.enable_grad():
            self.layer(torch.ones(1, 4)).sum().backward()
        if self.fails:
            raise RuntimeError("meddled")
