"""Sound tasks and data of many kinds, as users of plain Lightning write them: none may fail a check."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, random_split
from torchmetrics import Accuracy, MeanSquaredError, R2Score
from torchmetrics.classification import BinaryAUROC, MultilabelF1Score


def clouds(number: int, seed: int, num_classes: int = 3) -> tuple[Tensor, Tensor]:
    """Return points of four dimensions and their classes, in an order by chance."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(num_classes, (number,), generator=generator)
    return torch.randn(number, 4, generator=generator) + 2 * F.one_hot(labels, 4), labels


class Loaders(LightningDataModule):
    """Training, validation, test and prediction sets of the tensors that `samples` makes."""

    collate: Any = None

    def __init__(self, batch_size: int = 8) -> None:
        super().__init__()
        self.batch_size = batch_size

    def samples(self, number: int, seed: int) -> Dataset[Any]:
        return TensorDataset(*clouds(number, seed))

    def setup(self, stage: str) -> None:
        self.sets = {name: self.samples(n, seed) for seed, (name, n) in enumerate(SIZES.items())}

    def loader(self, name: str, shuffle: bool = False) -> Any:
        return DataLoader(self.sets[name], self.batch_size, shuffle=shuffle, collate_fn=type(self).collate)

    def train_dataloader(self) -> Any:
        return self.loader("train", shuffle=True)

    def val_dataloader(self) -> Any:
        return self.loader("val")

    def test_dataloader(self) -> Any:
        return self.loader("test")

    def predict_dataloader(self) -> Any:
        return self.loader("test")


SIZES = {"train": 44, "val": 20, "test": 12}


class MacroAccuracy(LightningModule):
    """torchmetrics' default for several classes is the mean over classes."""

    def __init__(self, lr: float = 1e-2) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        self.train_acc = Accuracy(task="multiclass", num_classes=3, average="macro")
        self.val_acc = Accuracy(task="multiclass", num_classes=3, average="macro")

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.model(x)
        return out

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        logits = self(x)
        loss = F.cross_entropy(logits, y)
        self.train_acc(logits, y)
        self.log_dict({"train_loss": loss, "train_acc": self.train_acc}, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        logits = self(x)
        self.val_acc(logits, y)
        self.log_dict({"val_loss": F.cross_entropy(logits, y), "val_acc": self.val_acc}, prog_bar=True)

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=self.hparams["lr"])


class Tags(Loaders):
    """Sequences of words, with a tag for each word."""

    def samples(self, number: int, seed: int) -> Dataset[Any]:
        words = torch.randint(10, (number, 6), generator=torch.Generator().manual_seed(seed))
        return TensorDataset(words, words % 3)


class Tagger(LightningModule):
    """Outputs are (N, T, C): a sequence has a score of each tag for each word."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 8)
        self.lstm = nn.LSTM(8, 8, batch_first=True, bidirectional=True)
        self.head = nn.Linear(16, 3)

    def forward(self, words: Tensor) -> Tensor:
        hidden, _ = self.lstm(self.embed(words))
        out: Tensor = self.head(hidden)
        return out

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        words, tags = batch
        loss = F.cross_entropy(self(words).transpose(1, 2), tags)
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        words, tags = batch
        scores = self(words)
        self.log("val/loss", F.cross_entropy(scores.flatten(0, 1), tags.flatten()))
        self.log("val/accuracy", (scores.argmax(-1) == tags).float().mean())

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), lr=1e-2)


class Rows(Loaders):
    """Batches are dictionaries, with names of the samples."""

    class Set(Dataset[Any]):
        def __init__(self, number: int, seed: int) -> None:
            self.x, self.y = clouds(number, seed)

        def __len__(self) -> int:
            return len(self.x)

        def __getitem__(self, index: int) -> Any:
            return {"features": self.x[index], "label": self.y[index], "name": f"sample {index}"}

    def samples(self, number: int, seed: int) -> Dataset[Any]:
        return self.Set(number, seed)


class DictClassifier(LightningModule):
    """`forward` takes the whole batch and returns a dictionary."""

    def __init__(self, hidden: int = 8) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, hidden), nn.Tanh(), nn.Linear(hidden, 3))

    def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        logits = self.net(batch["features"])
        return {"logits": logits, "probs": logits.softmax(-1)}

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        out = self(batch)
        return {"loss": F.cross_entropy(out["logits"], batch["label"]), **{k: v.detach() for k, v in out.items()}}

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", F.cross_entropy(self(batch)["logits"], batch["label"]), batch_size=len(batch["label"]))

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        return {"name": batch["name"], **self(batch)}

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


class Pairs:
    """A batch of a class of its own, which Lightning moves with its `to`."""

    def __init__(self, samples: Any) -> None:
        inputs, targets = zip(*samples, strict=True)
        self.inputs, self.targets = torch.stack(inputs), torch.stack(targets)

    def to(self, device: Any, non_blocking: bool = False) -> "Pairs":
        self.inputs = self.inputs.to(device, non_blocking=non_blocking)
        self.targets = self.targets.to(device, non_blocking=non_blocking)
        return self


class BatchesOfAClass(Loaders):
    collate = Pairs


class TakesBatchClass(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, batch: Pairs) -> Tensor:
        out: Tensor = self.layer(batch.inputs)
        return out

    def training_step(self, batch: Pairs, batch_idx: int) -> Tensor:
        loss = F.cross_entropy(self(batch), batch.targets)
        self.log("loss", loss, batch_size=len(batch.inputs))
        return loss

    def validation_step(self, batch: Pairs, batch_idx: int) -> None:
        self.log("val_loss", F.cross_entropy(self(batch), batch.targets), batch_size=len(batch.inputs))

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=0.01)


@dataclass
class Ragged:
    """Sequences padded to the longest, with their lengths."""

    values: Tensor
    lengths: Tensor
    targets: Tensor


def pad(samples: Any) -> Ragged:
    sequences, targets = zip(*samples, strict=True)
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    return Ragged(nn.utils.rnn.pad_sequence(list(sequences), batch_first=True), lengths, torch.stack(targets))


class Sequences(Loaders):
    collate = pad

    class Set(Dataset[Any]):
        def __init__(self, number: int, seed: int) -> None:
            self.number, self.seed = number, seed

        def __len__(self) -> int:
            return self.number

        def __getitem__(self, index: int) -> Any:
            generator = torch.Generator().manual_seed(1000 * self.seed + index)
            sequence = torch.randn(2 + index % 4, 3, generator=generator)
            return sequence, sequence.sum()

    def samples(self, number: int, seed: int) -> Dataset[Any]:
        return self.Set(number, seed)


class PackedLSTM(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 8, batch_first=True)
        self.head = nn.Linear(8, 1)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(values, lengths.cpu(), batch_first=True, enforce_sorted=False)
        out: Tensor = self.head(self.lstm(packed)[1][0][-1]).squeeze(1)
        return out

    def training_step(self, batch: Ragged, batch_idx: int) -> Tensor:
        return F.mse_loss(self(batch.values, batch.lengths), batch.targets)

    def validation_step(self, batch: Ragged, batch_idx: int) -> None:
        loss = F.mse_loss(self(batch.values, batch.lengths), batch.targets)
        self.log("val_mse", loss, batch_size=len(batch.targets))

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=0.01)


class Views(Loaders):
    """No targets: points alone."""

    def samples(self, number: int, seed: int) -> Dataset[Any]:
        return TensorDataset(clouds(number, seed)[0])


class SimCLR(LightningModule):
    """The loss of a sample depends on the others in its batch, as is meant."""

    def __init__(self, temperature: float = 0.5) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.encoder = nn.Sequential(nn.Linear(4, 16), nn.ReLU())
        self.projector = nn.Linear(16, 8)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.encoder(x)
        return out

    def info_nce(self, batch: Any, stage: str) -> Tensor:
        (x,) = batch
        views = torch.cat([x + 0.1 * torch.randn_like(x), x + 0.1 * torch.randn_like(x)])
        z = F.normalize(self.projector(self(views)), dim=-1)
        similarity = z @ z.T / self.hparams["temperature"]
        similarity.fill_diagonal_(-1e9)
        loss = F.cross_entropy(similarity, torch.arange(len(z), device=self.device).roll(len(x)))
        self.log(f"{stage}_loss", loss)
        return loss

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.info_nce(batch, "train")

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.info_nce(batch, "val")

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=1e-2)


class GAN(LightningModule):
    """Manual optimization with two optimizers, as in Lightning's tutorial."""

    def __init__(self, latent_dim: int = 3, lr: float = 2e-3) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.generator = nn.Sequential(nn.Linear(latent_dim, 8), nn.ReLU(), nn.Linear(8, 4))
        self.discriminator = nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))

    def forward(self, z: Tensor) -> Tensor:
        out: Tensor = self.generator(z)
        return out

    def training_step(self, batch: Any, batch_idx: int) -> None:
        real, _ = batch
        optimizers: Any = self.optimizers()
        optimizer_g, optimizer_d = optimizers
        z = torch.randn(len(real), self.hparams["latent_dim"]).type_as(real)
        self.toggle_optimizer(optimizer_g)
        fooled = self.discriminator(self(z))
        g_loss = F.binary_cross_entropy_with_logits(fooled, torch.ones_like(fooled))
        self.log("g_loss", g_loss, prog_bar=True)
        self.manual_backward(g_loss)
        optimizer_g.step()
        optimizer_g.zero_grad()
        self.untoggle_optimizer(optimizer_g)
        self.toggle_optimizer(optimizer_d)
        right, fake = self.discriminator(real), self.discriminator(self(z).detach())
        d_loss = F.binary_cross_entropy_with_logits(right, torch.ones_like(right)) / 2
        d_loss = d_loss + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake)) / 2
        self.log("d_loss", d_loss, prog_bar=True)
        self.manual_backward(d_loss)
        optimizer_d.step()
        optimizer_d.zero_grad()
        self.untoggle_optimizer(optimizer_d)

    def configure_optimizers(self) -> Any:
        lr = self.hparams["lr"]
        return [
            torch.optim.Adam(self.generator.parameters(), lr=lr, betas=(0.5, 0.999)),
            torch.optim.Adam(self.discriminator.parameters(), lr=lr, betas=(0.5, 0.999)),
        ], []


class TwoValidationSets(Loaders):
    def val_dataloader(self) -> Any:
        return [self.loader("val"), self.loader("test")]


class ValidatesTwice(MacroAccuracy):
    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        x, y = batch
        self.log("val_loss", F.cross_entropy(self(x), y))


class Streamed(Loaders):
    """Streams without a length, of batches made by the loader."""

    class Stream(IterableDataset[Any]):
        def __init__(self, number: int, seed: int) -> None:
            self.number, self.seed = number, seed

        def __iter__(self) -> Iterator[Any]:
            yield from zip(*clouds(self.number, self.seed), strict=True)

    def samples(self, number: int, seed: int) -> Dataset[Any]:
        return self.Stream(number, seed)

    def train_dataloader(self) -> Any:
        return self.loader("train")


class Autoencoder(LightningModule):
    """Lightning's first example: the target is the input, and `forward` is the encoder."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.encoder(x)
        return out

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, _ = batch
        x = x.view(x.size(0), -1)
        loss = F.mse_loss(self.decoder(self.encoder(x)), x)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, _ = batch
        self.log("val_loss", F.mse_loss(self.decoder(self.encoder(x)), x))

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def autoencoder() -> LightningModule:
    return Autoencoder(
        nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)),
        nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 4)),
    )


class VAE(LightningModule):
    """Draws its latent numbers in training and in validation; outputs are a tuple."""

    def __init__(self, latent: int = 2, beta: float = 0.1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.encoder = nn.Linear(4, 2 * latent)
        self.decoder = nn.Linear(latent, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_var = self.encoder(x).chunk(2, dim=1)
        z = mean + torch.randn_like(mean) * (0.5 * log_var).exp()
        return self.decoder(z), mean, log_var

    def elbo(self, batch: Any) -> Tensor:
        x = batch[0]
        reconstruction, mean, log_var = self(x)
        kl = -0.5 * (1 + log_var - mean.square() - log_var.exp()).sum(1).mean()
        out: Tensor = F.mse_loss(reconstruction, x) + self.hparams["beta"] * kl
        return out

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = self.elbo(batch)
        self.log("train_elbo", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_elbo", self.elbo(batch))

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=1e-2)


class Labels(Loaders):
    """Three labels, each of which is there or not."""

    def samples(self, number: int, seed: int) -> Dataset[Any]:
        x, _ = clouds(number, seed)
        return TensorDataset(x, (x[:, :3] > 0).float())


class MultiLabel(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))
        self.criterion = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 2.0, 1.0]))
        self.f1 = MultilabelF1Score(num_labels=3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        loss: Tensor = self.criterion(self(x), y)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        logits = self(x)
        self.f1.update(logits, y)
        self.log("val_loss", self.criterion(logits, y))
        self.log("val_accuracy", ((logits > 0) == y.bool()).float().mean())
        self.log("val_f1", self.f1)

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=0.01)


class Line(Loaders):
    """Numbers (N,) of inputs (N, 1)."""

    def samples(self, number: int, seed: int) -> Dataset[Any]:
        x = torch.rand(number, 1, generator=torch.Generator().manual_seed(seed))
        return TensorDataset(x, 3 * x[:, 0] + 2)


class Plateau(LightningModule):
    """A schedule that follows the validation's loss."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 16), nn.ReLU(), nn.Linear(16, 1))
        self.val_mse = MeanSquaredError()
        self.val_r2 = R2Score()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x).squeeze(-1)
        return out

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        return F.huber_loss(self(x), y)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        out = self(x)
        self.val_mse(out, y)
        self.val_r2(out, y)
        self.log_dict({"val_loss": F.huber_loss(out, y), "val_mse": self.val_mse, "val_r2": self.val_r2})

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.05)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=2)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "val_loss"}}


class EMA(MacroAccuracy):
    """A second network follows the first one, and is evaluated."""

    def __init__(self, lr: float = 1e-2, decay: float = 0.9) -> None:
        super().__init__(lr)
        self.save_hyperparameters()
        self.average = copy.deepcopy(self.model).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = (self.model if self.training else self.average)(x)
        return out

    def on_train_batch_end(self, *_: Any) -> None:
        with torch.no_grad():
            for old, new in zip(self.average.parameters(), self.model.parameters(), strict=True):
                old.lerp_(new, 1 - self.hparams["decay"])


class Dropping(LightningModule):
    """Dropout and batch norm; one file, no validation."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 3))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return F.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.net.parameters(), lr=1e-2)


class TrainingOnly(LightningDataModule):
    """No validation, test or prediction."""

    def train_dataloader(self) -> Any:
        return DataLoader(TensorDataset(*clouds(32, 0)), 8, shuffle=True)


class ModuleWithLoaders(MacroAccuracy):
    """The module has its loaders; there is no datamodule."""

    def setup(self, stage: str) -> None:
        self.parts = random_split(TensorDataset(*clouds(40, 0)), [30, 10])

    def train_dataloader(self) -> Any:
        return DataLoader(self.parts[0], batch_size=8, shuffle=True)

    def val_dataloader(self) -> Any:
        return DataLoader(self.parts[1], batch_size=8)


class Images(Loaders):
    """Images of bytes, whose values the task scales."""

    def samples(self, number: int, seed: int) -> Dataset[Any]:
        generator = torch.Generator().manual_seed(seed)
        images = torch.randint(256, (number, 1, 8, 8), generator=generator, dtype=torch.uint8)
        return TensorDataset(images, (images[:, 0] > 100).long())


class Segmenter(LightningModule):
    """A class for each pixel; accuracy of pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU(), nn.Conv2d(4, 2, 1))
        self.iou = Accuracy(task="multiclass", num_classes=2, average="micro")

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.net(images.float() / 255)
        return out

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = F.cross_entropy(self(batch[0]), batch[1])
        self.log("loss/train", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        scores = self(batch[0])
        self.iou.update(scores, batch[1])
        self.log("loss/val", F.cross_entropy(scores, batch[1]))

    def on_validation_epoch_end(self) -> None:
        self.log("acc/val", self.iou.compute())
        self.iou.reset()

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        out: Tensor = self(batch[0]).argmax(1)
        return out

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=1e-2)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=1e-2, total_steps=max(2, int(self.trainer.estimated_stepping_batches))
        )
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]


class Triplets(LightningModule):
    """Metric learning: samples of one class are pulled together within a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = F.normalize(self.encoder(x), dim=1)
        return out

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        z = self(x)
        distances = (z[:, None] - z[None]).square().sum(-1)
        same = y[:, None] == y[None]
        loss: Tensor = distances[same].mean() + F.relu(1 - distances[~same]).sum() / (~same).sum().clamp(min=1)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        z = self(x)
        nearest = (torch.cdist(z, z) + 10 * torch.eye(len(z), device=z.device)).argmin(1)
        self.log("val_accuracy", (y[nearest] == y).float().mean())

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=0.01)


class Binary(Loaders):
    def samples(self, number: int, seed: int) -> Dataset[Any]:
        x, y = clouds(number, seed, num_classes=2)
        return TensorDataset(x, y.float())


class BinaryClassifier(LightningModule):
    """One logit for each sample; rare classes weigh more; an AUROC."""

    def __init__(self, lr: float = 0.01, weight_decay: float = 0.1) -> None:
        super().__init__()
        self.save_hyperparameters("lr")
        self.lr, self.weight_decay = lr, weight_decay
        self.linear = nn.Linear(4, 1)
        self.auroc = BinaryAUROC()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(x)[:, 0]
        return out

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return F.binary_cross_entropy_with_logits(self(batch[0]), batch[1])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        logits = self(batch[0])
        self.auroc(logits, batch[1].int())
        self.log("valid_auroc", self.auroc, on_epoch=True)
        self.log("valid_acc", ((logits > 0).float() == batch[1]).float().mean())

    test_step = validation_step

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), lr=self.lr, weight_decay=self.weight_decay)


class Sound(NamedTuple):
    """Functions that make a task and its data; without data the task has loaders of its own."""

    task: Callable[[], LightningModule]
    data: Callable[[], LightningDataModule] | None = Loaders


SOUND = {
    "macro accuracy": Sound(MacroAccuracy),
    "a tag for each word": Sound(Tagger, Tags),
    "dict batches": Sound(DictClassifier, Rows),
    "batch class": Sound(TakesBatchClass, BatchesOfAClass),
    "padded dataclass": Sound(PackedLSTM, Sequences),
    "contrastive loss": Sound(SimCLR, Views),
    "GAN": Sound(GAN),
    "two validation loaders": Sound(ValidatesTwice, TwoValidationSets),
    "stream": Sound(MacroAccuracy, Streamed),
    "autoencoder": Sound(autoencoder),
    "VAE": Sound(VAE),
    "several labels": Sound(MultiLabel, Labels),
    "plateau": Sound(Plateau, Line),
    "EMA": Sound(EMA),
    "no validation": Sound(Dropping, TrainingOnly),
    "own loaders": Sound(ModuleWithLoaders, None),
    "segmentation": Sound(Segmenter, Images),
    "metric learning": Sound(Triplets),
    "binary": Sound(BinaryClassifier, Binary),
}
