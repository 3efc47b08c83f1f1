"""Further sound tasks and data, each close to a mistake that a check looks for."""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from sound import Loaders, MacroAccuracy, Sequences, Sound, Views, clouds
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LinearLR, OneCycleLR, SequentialLR, StepLR
from torch.utils.data import DataLoader, Dataset, TensorDataset


class Texts(Loaders):
    """Sequences of words; each is its own target."""

    def samples(self, number: int, seed: int) -> Dataset[Any]:
        start = torch.randint(10, (number, 1), generator=torch.Generator().manual_seed(seed))
        words = (start + torch.arange(7)) % 10
        return TensorDataset(words, words)


class LanguageModel(LightningModule):
    """Predicts the next word; its perplexity is the mean over batches; its output layer has the embedding's weight."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 8)
        self.recurrent = nn.GRU(8, 8, batch_first=True)
        self.head = nn.Linear(8, 10)
        self.head.weight = self.embed.weight

    def forward(self, words: Tensor) -> Tensor:
        scores: Tensor = self.head(self.recurrent(self.embed(words))[0])
        return scores

    def loss(self, batch: Any) -> Tensor:
        words, following = batch
        scores = self(words)[:, :-1]
        return F.cross_entropy(scores.reshape(-1, 10), following[:, 1:].reshape(-1))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.loss(batch)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        loss = self.loss(batch)
        self.log_dict({"val_loss": loss, "val_perplexity": loss.exp()})

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), 1e-2)
        warm_up = LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 10))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": warm_up, "interval": "step"}}


class MaskedWords(LanguageModel):
    """Hides words at random, in validation too; targets of the others are -100."""

    def loss(self, batch: Any) -> Tensor:
        words = batch[0]
        hidden = torch.rand(words.shape, device=words.device) < 0.4
        hidden[:, 0] = True
        scores = self(words.masked_fill(hidden, 9))
        return F.cross_entropy(scores.transpose(1, 2), words.masked_fill(~hidden, -100))


class ShowsPictures(MacroAccuracy):
    """Hands figures to its logger, and stops where accuracy does not rise."""

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        super().validation_step(batch, batch_idx)
        logger: Any = self.logger
        logger.experiment.add_histogram("outputs", self(batch[0]), self.global_step)

    def configure_callbacks(self) -> Any:
        return [EarlyStopping("val_acc", mode="max", patience=50), ModelCheckpoint(monitor="val_loss", save_top_k=1)]


class Accumulates(MacroAccuracy):
    """Manual optimization: steps after each second batch, and steps its schedule itself."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        optimizer, schedule = self.optimizers(), self.lr_schedulers()
        loss = F.cross_entropy(self(batch[0]), batch[1]) / 2
        self.manual_backward(loss)
        if batch_idx % 2:
            optimizer.step()  # type: ignore[union-attr]
            optimizer.zero_grad()  # type: ignore[union-attr]
            schedule.step()  # type: ignore[union-attr]
        return loss

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), 1e-2)
        return [optimizer], [StepLR(optimizer, 5)]


class SecondOrder(MacroAccuracy):
    def configure_optimizers(self) -> Any:
        return torch.optim.LBFGS(self.parameters(), lr=0.1, max_iter=3)


def pretrained() -> nn.Module:
    """Return a network whose weights are always the same, as those of a file are."""
    torch.manual_seed(7)
    return nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU())


class FineTuned(MacroAccuracy):
    """A frozen backbone in evaluation mode, and a head with a rate of its own; the bias has no decay."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = pretrained().requires_grad_(False)
        self.model = nn.Sequential(nn.Linear(16, 3))

    def train(self, mode: bool = True) -> Any:
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.backbone(x))

    def configure_optimizers(self) -> Any:
        head = self.model[0]
        optimizer = torch.optim.AdamW(
            [{"params": [head.weight], "weight_decay": 0.1}, {"params": [head.bias], "weight_decay": 0.0, "lr": 1e-3}],
            lr=1e-2,
        )
        warm_up = LinearLR(optimizer, 0.1, total_iters=2)
        cosine = CosineAnnealingLR(optimizer, max(1, (self.trainer.max_epochs or 1) - 2))
        return [optimizer], [SequentialLR(optimizer, [warm_up, cosine], [2])]


class Distilled(MacroAccuracy):
    """The teacher is hidden in a list, so that no checkpoint has it."""

    def __init__(self) -> None:
        super().__init__()
        self.teacher = [nn.Linear(4, 3)]

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        with torch.no_grad():
            wanted = self.teacher[0].to(self.device)(batch[0]).softmax(1)
        out: Tensor = F.cross_entropy(self(batch[0]), batch[1]) + 0.1 * F.cross_entropy(self(batch[0]), wanted)
        return out


class PairsOfPoints(Loaders):
    """Two points, and whether they have one class."""

    def samples(self, number: int, seed: int) -> Dataset[Any]:
        one, a = clouds(number, seed)
        two, b = clouds(number, seed + 10)
        return TensorDataset(one, two, (a == b).float())


class Siamese(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))

    def forward(self, one: Tensor, two: Tensor) -> Tensor:
        out: Tensor = (self.encoder(one) - self.encoder(two)).norm(dim=1)
        return out

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        distance = self(*batch[:2])
        loss = batch[2] * distance.square() + (1 - batch[2]) * (1 - distance).clamp(min=0).square()
        out: Tensor = loss.mean()
        return out

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_acc", ((self(*batch[:2]) < 0.5) == batch[2].bool()).float().mean())

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), 1e-2)


class Numbers(Loaders):
    """One number, in hundreds, of tables with a mean and a deviation of their own."""

    def samples(self, number: int, seed: int) -> Dataset[Any]:
        x, _ = clouds(number, seed)
        return TensorDataset(x * torch.tensor([1.0, 10.0, 0.1, 50.0]) + 3, 100 * x.sum(1, keepdim=True) + 500)


class Gaussian(LightningModule):
    """A mean and a variance for each sample; a likelihood whose sign is not fixed; targets are scaled by the task."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(self.norm(x))
        return out

    def loss(self, batch: Any) -> Tensor:
        mean, log_var = self(batch[0]).chunk(2, dim=1)
        return F.gaussian_nll_loss(mean, (batch[1] - 500) / 200, log_var.exp() * 1e-2)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = self.loss(batch)
        self.log("train_nll", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_nll", self.loss(batch))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), 1e-2)
        cycle = OneCycleLR(optimizer, 1e-2, total_steps=int(self.trainer.estimated_stepping_batches))
        return [optimizer], [{"scheduler": cycle, "interval": "step"}]


class Denoised(Loaders):
    """Noise is added to inputs each time, in validation too; the target is what they were."""

    class Set(Dataset[Any]):
        def __init__(self, number: int, seed: int) -> None:
            self.x = clouds(number, seed)[0]

        def __len__(self) -> int:
            return len(self.x)

        def __getitem__(self, index: int) -> Any:
            return self.x[index] + 0.1 * torch.randn(4), self.x[index]

    def samples(self, number: int, seed: int) -> Dataset[Any]:
        return self.Set(number, seed)


class Denoiser(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return F.mse_loss(self(batch[0]), batch[1])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_mse", F.mse_loss(self(batch[0]), batch[1]))

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), 1e-2)


class Diffusion(Denoiser):
    """Draws noise and its strength in each step."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        noise, strength = torch.randn_like(batch[0]), torch.rand(len(batch[0]), 1, device=self.device)
        return F.mse_loss(self((1 - strength) * batch[0] + strength * noise), noise)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_mse", self.training_step(batch, batch_idx))


class PaddedWords(Loaders):
    """Words of texts of different lengths, padded with 0."""

    def samples(self, number: int, seed: int) -> Dataset[Any]:
        generator = torch.Generator().manual_seed(seed)
        words = torch.randint(1, 9, (number, 8), generator=generator)
        words[torch.arange(8) >= torch.randint(2, 9, (number, 1), generator=generator)] = 0
        return TensorDataset(words, words[:, 0] % 3)


class Attention(MacroAccuracy):
    """Masks its padding itself, by what the words are."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 4, padding_idx=0)
        self.encoder = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.1, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.encoder(self.embed(x), src_key_padding_mask=x == 0)
        real = (x != 0).float()[..., None]
        return super().forward((hidden * real).sum(1) / real.sum(1))


class MeanOfSteps(LightningModule):
    """A mean over real steps, by lengths; each step has a loss and a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(3, 1)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        mask = torch.arange(values.shape[1], device=values.device) < lengths[:, None]
        out: Tensor = (self.net(values).squeeze(-1) * mask).sum(1) / lengths
        return out

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return F.l1_loss(self(batch.values, batch.lengths), batch.targets)

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), 0.05)


class WholeSorted(Loaders):
    """Samples are sorted by class, in one batch."""

    def samples(self, number: int, seed: int) -> Dataset[Any]:
        x, labels = clouds(number, seed)
        order = labels.argsort()
        return TensorDataset(x[order], labels[order])

    def train_dataloader(self) -> Any:
        return DataLoader(self.sets["train"], 64)


class WithMissing(Loaders):
    """Values are missing, which the task fills."""

    def samples(self, number: int, seed: int) -> Dataset[Any]:
        x, labels = clouds(number, seed)
        x[::4, 2] = torch.nan
        return TensorDataset(x, labels)


class Fills(MacroAccuracy):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.nan_to_num(0.0))


class Doubled(MacroAccuracy):
    """Single precision is not enough for it."""

    def __init__(self) -> None:
        super().__init__()
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.double())


class Centred(MacroAccuracy):
    """Inputs between 0 and 1 are centred by the task."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward((x - 0.5) / 0.5)


class Units(Loaders):
    def samples(self, number: int, seed: int) -> Dataset[Any]:
        x, labels = clouds(number, seed)
        return TensorDataset(x.sigmoid(), labels)


class Critic(LightningModule):
    """Two losses of one optimizer, one of them of the gradient with respect to inputs; its value falls below 0."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        real, fake = batch[0], torch.randn_like(batch[0])
        mixed = (0.5 * (real + fake)).requires_grad_()
        (slope,) = torch.autograd.grad(self.net(mixed).sum(), mixed, create_graph=True)
        penalty = (slope.norm(dim=1) - 1).square().mean()
        out: Tensor = self.net(fake).mean() - self.net(real).mean() + 10 * penalty
        return out

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), 1e-3, betas=(0.5, 0.9))


class TwoHeads(LightningModule):
    """Targets are a dictionary: a class and a number."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
        self.heads = nn.ModuleDict({"label": nn.Linear(8, 3), "size": nn.Linear(8, 1)})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        hidden = self.body(x)
        return {name: head(hidden) for name, head in self.heads.items()}

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, wanted = batch
        out = self(x)
        return F.cross_entropy(out["label"], wanted["label"]) + F.mse_loss(out["size"][:, 0], wanted["size"])

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), 1e-2)


class TwoTargets(Loaders):
    class Set(Dataset[Any]):
        def __init__(self, number: int, seed: int) -> None:
            self.x, self.labels = clouds(number, seed)

        def __len__(self) -> int:
            return len(self.x)

        def __getitem__(self, index: int) -> Any:
            return self.x[index], {"label": self.labels[index], "size": self.x[index].sum()}

    def samples(self, number: int, seed: int) -> Dataset[Any]:
        return self.Set(number, seed)


class Boxes(Loaders):
    """Images of different sizes in lists, as for detection."""

    class Set(Dataset[Any]):
        def __init__(self, seed: int) -> None:
            self.seed = seed

        def __len__(self) -> int:
            return 20

        def __getitem__(self, index: int) -> Any:
            image = torch.rand(1, 4 + index % 3, 5, generator=torch.Generator().manual_seed(100 * self.seed + index))
            return image, {"boxes": torch.tensor([[0.0, 0.0, 2.0, 2.0]]), "labels": torch.tensor([index % 2])}

    @staticmethod
    def collate(samples: Any) -> Any:
        return tuple(zip(*samples, strict=True))

    def samples(self, number: int, seed: int) -> Dataset[Any]:
        return self.Set(seed)


class Detector(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.head = nn.Linear(4, 2)

    def forward(self, images: Any) -> Any:
        return [self.head(self.conv(image[None]).mean((2, 3))) for image in images]

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        images, targets = batch
        losses = [F.cross_entropy(o, t["labels"]) for o, t in zip(self(images), targets, strict=True)]
        loss = torch.stack(losses).mean()
        self.log("train_loss", loss, batch_size=len(images))
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.1, momentum=0.9)


class WeightedClasses(MacroAccuracy):
    """Rare classes weigh more, labels are smoothed, and predictions are classes."""

    def __init__(self) -> None:
        super().__init__()
        self.criterion = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5]), label_smoothing=0.1)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss: Tensor = self.criterion(self(batch[0]), batch[1])
        return loss

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        out: Tensor = self(batch[0]).argmax(1)
        return out


class Mixup(MacroAccuracy):
    """Random numbers decide which samples are mixed, so the target of one changes the gradient of another."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        order, share = torch.randperm(len(batch[0])), 0.05 * torch.rand(())
        out = self(share * batch[0] + (1 - share) * batch[0][order])
        loss: Tensor = share * F.cross_entropy(out, batch[1]) + (1 - share) * F.cross_entropy(out, batch[1][order])
        return loss


class PricesOfHouses(Loaders):
    """Targets in the hundreds of thousands, as a table has them."""

    def samples(self, number: int, seed: int) -> Dataset[Any]:
        x, _ = clouds(number, seed)
        return TensorDataset(x, 300_000 + 80_000 * x.sum(1, keepdim=True))


class Prices(LightningModule):
    """Learns targets as they are: the loss is huge, and falls slowly."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return F.mse_loss(self(batch[0]), batch[1])

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), 1e-3)


VARIANTS = {
    "language model": Sound(LanguageModel, Texts),
    "masked words": Sound(MaskedWords, Texts),
    "pictures and callbacks": Sound(ShowsPictures),
    "gradient accumulation": Sound(Accumulates),
    "LBFGS": Sound(SecondOrder),
    "fine-tuning": Sound(FineTuned),
    "hidden teacher": Sound(Distilled),
    "Siamese": Sound(Siamese, PairsOfPoints),
    "Gaussian likelihood": Sound(Gaussian, Numbers),
    "denoising": Sound(Denoiser, Denoised),
    "diffusion": Sound(Diffusion, Views),
    "masked attention": Sound(Attention, PaddedWords),
    "mean of steps": Sound(MeanOfSteps, Sequences),
    "sorted, one batch": Sound(MacroAccuracy, WholeSorted),
    "missing values": Sound(Fills, WithMissing),
    "double precision": Sound(Doubled),
    "centred inputs": Sound(Centred, Units),
    "gradient penalty": Sound(Critic, Views),
    "two heads": Sound(TwoHeads, TwoTargets),
    "detection": Sound(Detector, Boxes),
    "weighted classes": Sound(WeightedClasses),
    "mixup": Sound(Mixup),
    "prices of houses": Sound(Prices, PricesOfHouses),
}
