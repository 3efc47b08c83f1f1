"""LightningModules and DataModules as people write them who have never heard of this template."""

# mypy: ignore-errors
# Written as they are found elsewhere: without annotations, and each in its own way.

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint, WeightAveraging
from lightning.pytorch.demos.lstm import LightningLSTM, SequenceSampler, SimpleLSTM
from lightning.pytorch.demos.transformer import LightningTransformer, Transformer
from lightning.pytorch.utilities import CombinedLoader
from torch import nn
from torch.optim.swa_utils import get_ema_avg_fn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

NUM_SAMPLES, NUM_FEATURES, NUM_CLASSES, BATCH_SIZE = 24, 4, 3, 4


def samples(seed, number=NUM_SAMPLES):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(number, NUM_FEATURES, generator=generator)
    return x, x[:, :NUM_CLASSES].argmax(dim=1)


def loader(seed, shuffle=False, **options):
    return DataLoader(TensorDataset(*samples(seed)), batch_size=BATCH_SIZE, shuffle=shuffle, **options)


class PairData(LightningDataModule):
    """The datamodule of every tutorial."""

    def train_dataloader(self):
        return loader(0, shuffle=True)

    def val_dataloader(self):
        return loader(1)

    def test_dataloader(self):
        return loader(2)

    def predict_dataloader(self):
        return loader(3)


class Classifier(LightningModule):
    """The module of every tutorial: `train_loss`, `val_loss`, `val_acc`."""

    def __init__(self, hidden=8, lr=0.1):
        super().__init__()
        self.save_hyperparameters()
        self.model = nn.Sequential(nn.Linear(NUM_FEATURES, hidden), nn.ReLU(), nn.Dropout(0.1))
        self.head = nn.Linear(hidden, NUM_CLASSES)

    def forward(self, x):
        return self.head(self.model(x))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        logits = self(x)
        self.log("val_loss", F.cross_entropy(logits, y), prog_bar=True)
        self.log("val_acc", (logits.argmax(1) == y).float().mean(), prog_bar=True)

    def test_step(self, batch, batch_idx):
        x, y = batch
        self.log("test_loss", F.cross_entropy(self(x), y))

    def predict_step(self, batch, batch_idx):
        return self(batch[0]).argmax(1)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


# Lightning's demos ----------------------------------------------------------------------------------------------------


class Words(Dataset):
    """Sequences of words, in place of the text that the demos download."""

    vocab_size = 12

    def __len__(self):
        return 20

    def __getitem__(self, index):
        words = (torch.arange(6) + index) % self.vocab_size
        return words[:-1], words[1:]


class LSTM(LightningLSTM):
    """The demo with a small vocabulary: loaders of its own, and a hidden state that goes on from batch to batch."""

    def __init__(self):
        super().__init__(vocab_size=Words.vocab_size)
        self.model = SimpleLSTM(Words.vocab_size, ninp=8, nhid=8, nlayers=2)

    def prepare_data(self):
        pass

    def train_dataloader(self):
        return DataLoader(Words(), batch_sampler=SequenceSampler(Words(), batch_size=5))


class TransformerDemo(LightningTransformer):
    """The demo with a small vocabulary: `forward` of two arguments."""

    def __init__(self):
        super().__init__(vocab_size=Words.vocab_size)
        self.model = Transformer(Words.vocab_size, ninp=8, nhead=2, nhid=8, nlayers=1)

    def prepare_data(self):
        pass

    def train_dataloader(self):
        return DataLoader(Words(), batch_size=5)


# Loaders --------------------------------------------------------------------------------------------------------------


class ValidationList(Classifier):
    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        super().validation_step(batch, batch_idx)


class ListData(PairData):
    def val_dataloader(self):
        return [loader(1), loader(4)]

    def test_dataloader(self):
        return [loader(2), loader(5)]

    def predict_dataloader(self):
        return [loader(3), loader(6)]


class SeveralSets(ValidationList):
    def test_step(self, batch, batch_idx, dataloader_idx=0):
        self.log(
            f"test_loss/{('clean', 'noisy')[dataloader_idx]}",
            F.cross_entropy(self(batch[0]), batch[1]),
            add_dataloader_idx=False,
        )

    def predict_step(self, batch, batch_idx, dataloader_idx=0):
        return self(batch[0]).argmax(1)


class ValidationDict(Classifier):
    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        name = ("clean", "noisy")[dataloader_idx]
        self.log(f"val_loss/{name}", F.cross_entropy(self(batch[0]), batch[1]), add_dataloader_idx=False)


class DictData(PairData):
    def val_dataloader(self):
        return {"clean": loader(1), "noisy": loader(4)}


class Combined(Classifier):
    """Trains with a dict of batches of two loaders of different lengths."""

    def training_step(self, batch, batch_idx):
        loss = sum(F.cross_entropy(self(x), y) for x, y in batch.values())
        self.log("loss/train", loss, batch_size=BATCH_SIZE)
        return loss

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        self.log("loss/val", F.cross_entropy(self(batch[0][0]), batch[0][1]), batch_size=BATCH_SIZE)


class CombinedData(PairData):
    def train_dataloader(self):
        short = DataLoader(TensorDataset(*samples(7, 8)), batch_size=BATCH_SIZE, shuffle=True)
        return CombinedLoader({"labelled": loader(0, shuffle=True), "more": short}, mode="max_size_cycle")

    def val_dataloader(self):
        return CombinedLoader([loader(1), loader(4)], mode="min_size")


class DictOfLoaders(PairData):
    def train_dataloader(self):
        return {"a": loader(0, shuffle=True), "b": loader(4, shuffle=True)}


class DictOfLoadersModule(Classifier):
    def training_step(self, batch, batch_idx):
        loss = sum(F.cross_entropy(self(x), y) for x, y in batch.values())
        self.log("train_loss", loss)
        return loss


class Stream(IterableDataset):
    def __init__(self, seed, number=NUM_SAMPLES, noise=0.0):
        self.seed = seed
        self.number = number
        self.noise = noise

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        x, y = samples(self.seed, self.number)
        for index in range(worker.id if worker else 0, self.number, worker.num_workers if worker else 1):
            yield x[index] + self.noise * torch.randn(NUM_FEATURES), y[index]


class StreamData(LightningDataModule):
    def __init__(self, num_workers=0):
        super().__init__()
        self.num_workers = num_workers

    def train_dataloader(self):
        return DataLoader(Stream(0, noise=0.01), batch_size=BATCH_SIZE, num_workers=self.num_workers)

    def val_dataloader(self):
        return DataLoader(Stream(1), batch_size=BATCH_SIZE)

    def test_dataloader(self):
        return DataLoader(Stream(2), batch_size=BATCH_SIZE)

    def predict_dataloader(self):
        return DataLoader(Stream(3), batch_size=BATCH_SIZE)


class WorkersData(StreamData):
    def __init__(self):
        super().__init__(num_workers=2)


class WrongLength(Stream):
    """Promises more samples than it has."""

    def __len__(self):
        return self.number + 6


class WrongLengthData(StreamData):
    def train_dataloader(self):
        return DataLoader(WrongLength(0), batch_size=BATCH_SIZE)


class ForgottenStream(Dataset):
    """Draws its samples itself: nothing in it is the same twice."""

    def __len__(self):
        return NUM_SAMPLES

    def __getitem__(self, index):
        return torch.randn(NUM_FEATURES), torch.randint(NUM_CLASSES, ())


class SyntheticData(LightningDataModule):
    def train_dataloader(self):
        return DataLoader(ForgottenStream(), batch_size=BATCH_SIZE)


class ListOfBatches(LightningDataModule):
    """Loaders that are no DataLoaders."""

    def train_dataloader(self):
        x, y = samples(0)
        return [*zip(x.split(BATCH_SIZE), y.split(BATCH_SIZE), strict=True)]

    def val_dataloader(self):
        return loader(1)


class Growing(PairData):
    """A loader for each epoch."""

    def train_dataloader(self):
        epoch = self.trainer.current_epoch if self.trainer else 0
        return loader(10 + epoch, shuffle=True)


class StrictStages(LightningDataModule):
    """Reads what a stage needs, and nothing else; its constructor takes arguments."""

    def __init__(self, batch_size: int, seed: int = 0):
        super().__init__()
        self.save_hyperparameters()

    def prepare_data(self):
        self.prepared = True

    def setup(self, stage):
        if stage == "fit":
            self.train, self.val = (TensorDataset(*samples(seed)) for seed in (0, 1))
        if stage == "validate":
            self.val = TensorDataset(*samples(1))
        if stage == "test":
            self.test = TensorDataset(*samples(2))
        if stage == "predict":
            self.predict = TensorDataset(*samples(3))

    def teardown(self, stage):
        for name in ("train", "val", "test", "predict"):
            if hasattr(self, name):
                delattr(self, name)

    def train_dataloader(self):
        return DataLoader(self.train, batch_size=self.hparams.batch_size, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.val, batch_size=self.hparams.batch_size)

    def test_dataloader(self):
        return DataLoader(self.test, batch_size=self.hparams.batch_size)

    def predict_dataloader(self):
        return DataLoader(self.predict, batch_size=self.hparams.batch_size)


# Batches --------------------------------------------------------------------------------------------------------------


def named(seed):
    return [{"x": x, "y": y} for x, y in zip(*samples(seed), strict=True)]


class DictBatches(PairData):
    def train_dataloader(self):
        return DataLoader(named(0), batch_size=BATCH_SIZE, shuffle=True)

    def val_dataloader(self):
        return DataLoader(named(1), batch_size=BATCH_SIZE)

    def test_dataloader(self):
        return DataLoader(named(2), batch_size=BATCH_SIZE)

    predict_dataloader = test_dataloader


class DictBatch(Classifier):
    """A step for all stages, and names such as `training_loss`; `forward` takes the batch."""

    def __init__(self):
        super().__init__()
        self.example_input_array = {"x": torch.zeros(2, NUM_FEATURES)}

    def forward(self, x):
        return self.head(self.model(x))

    def step(self, batch, name):
        loss = F.cross_entropy(self(batch["x"]), batch["y"])
        self.log(f"{name}_loss", loss)
        return loss

    def training_step(self, batch):
        return {"loss": self.step(batch, "training"), "name": "any"}

    def validation_step(self, batch):
        return {"val_loss": self.step(batch, "validation")}

    def test_step(self, batch):
        self.step(batch, "test")

    def predict_step(self, batch):
        return {"class": self(batch["x"]).argmax(1), "logits": self(batch["x"])}


@dataclass
class Graph:
    """A batch class with `.to()`, as in PyTorch Geometric."""

    nodes: torch.Tensor
    edges: torch.Tensor
    graph: torch.Tensor
    y: torch.Tensor

    def to(self, device, non_blocking=False):
        return Graph(*(part.to(device) for part in (self.nodes, self.edges, self.graph, self.y)))

    @property
    def num_graphs(self):
        return len(self.y)


def graphs(pairs):
    x, y = (torch.stack(part) for part in zip(*pairs, strict=True))
    number = len(x)
    nodes = x.repeat_interleave(3, dim=0)
    edges = torch.stack([torch.arange(3 * number), torch.arange(3 * number).roll(1)])
    return Graph(nodes, edges, torch.arange(number).repeat_interleave(3), y)


class GraphData(PairData):
    def train_dataloader(self):
        return loader(0, shuffle=True, collate_fn=graphs)

    def val_dataloader(self):
        return loader(1, collate_fn=graphs)

    def test_dataloader(self):
        return loader(2, collate_fn=graphs)

    predict_dataloader = test_dataloader


class GraphModule(Classifier):
    def forward(self, batch):
        source, target = batch.edges
        nodes = batch.nodes.index_add(0, target, batch.nodes[source])
        return super().forward(nodes.new_zeros(batch.num_graphs, NUM_FEATURES).index_add(0, batch.graph, nodes))

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self(batch), batch.y)
        self.log("train/loss", loss, batch_size=batch.num_graphs)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("valid/loss", F.cross_entropy(self(batch), batch.y), batch_size=batch.num_graphs)

    def test_step(self, batch, batch_idx):
        self.log("test/loss", F.cross_entropy(self(batch), batch.y), batch_size=batch.num_graphs)

    def predict_step(self, batch, batch_idx):
        return self(batch).softmax(1)


class Padded(LightningDataModule):
    """Sequences of different lengths: a tuple of three."""

    def batches(self, seed, shuffle=False):
        x, y = samples(seed)
        lengths = torch.arange(NUM_SAMPLES) % 3 + 2
        return DataLoader(TensorDataset(x, lengths, y), batch_size=BATCH_SIZE, shuffle=shuffle)

    def train_dataloader(self):
        return self.batches(0, shuffle=True)

    def val_dataloader(self):
        return self.batches(1)

    def test_dataloader(self):
        return self.batches(2)

    predict_dataloader = test_dataloader


class Recurrent(LightningModule):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(1, 8, batch_first=True)
        self.head = nn.Linear(8, NUM_CLASSES)

    def forward(self, x, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(
            x.unsqueeze(2), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        _, last = self.rnn(packed)
        return {"logits": self.head(last[0]), "state": last}

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self(*batch[:2])["logits"], batch[2])
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        out = self(*batch[:2])
        self.log("val_loss", F.cross_entropy(out["logits"], batch[2]), on_step=True, on_epoch=True)
        return out

    def predict_step(self, batch, batch_idx):
        return self(*batch[:2])["logits"].argmax(1), batch[1]

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters())


class Views(LightningDataModule):
    """Two views of each sample, whose noise is drawn by the loader."""

    def batches(self, seed, shuffle=False):
        def views(pairs):
            x = torch.stack([x for x, _ in pairs])
            return x + 0.1 * torch.randn_like(x), x + 0.1 * torch.randn_like(x)

        return loader(seed, shuffle=shuffle, collate_fn=views)

    def train_dataloader(self):
        return self.batches(0, shuffle=True)

    def val_dataloader(self):
        return self.batches(1)


class SimCLR(LightningModule):
    """A contrastive loss with a learned temperature."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(NUM_FEATURES, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4))
        self.log_temperature = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return F.normalize(self.encoder(x), dim=1)

    def loss(self, batch, stage):
        scores = self(batch[0]) @ self(batch[1]).T / self.log_temperature.exp()
        loss = F.cross_entropy(scores, torch.arange(len(scores), device=self.device))
        self.log(f"{stage}_contrastive_loss", loss)
        self.log(f"{stage}_temperature", self.log_temperature.exp())
        return loss

    def training_step(self, batch, batch_idx):
        return self.loss(batch, "train")

    def validation_step(self, batch, batch_idx):
        self.loss(batch, "val")

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        return [optimizer], [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)]


# Optimization ---------------------------------------------------------------------------------------------------------


class GAN(LightningModule):
    """Lightning's example: manual optimization, two optimizers, no validation loss."""

    def __init__(self, latent_dim: int = 3, lr: float = 0.01, **kwargs):
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.generator = nn.Linear(latent_dim, NUM_FEATURES)
        self.discriminator = nn.Sequential(nn.Linear(NUM_FEATURES, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
        self.example_input_array = torch.zeros(2, latent_dim)

    def forward(self, z):
        return self.generator(z)

    def adversarial_loss(self, scores, real):
        return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, float(real)))

    def training_step(self, batch):
        x, _ = batch
        optimizer_g, optimizer_d = self.optimizers()
        z = torch.randn(len(x), self.hparams.latent_dim).type_as(x)

        self.toggle_optimizer(optimizer_g)
        g_loss = self.adversarial_loss(self.discriminator(self(z)), True)
        self.log("g_loss", g_loss, prog_bar=True)
        self.manual_backward(g_loss)
        optimizer_g.step()
        optimizer_g.zero_grad()
        self.untoggle_optimizer(optimizer_g)

        self.toggle_optimizer(optimizer_d)
        real = self.adversarial_loss(self.discriminator(x), True)
        fake = self.adversarial_loss(self.discriminator(self(z).detach()), False)
        self.log("d_loss", (real + fake) / 2, prog_bar=True)
        self.manual_backward((real + fake) / 2)
        optimizer_d.step()
        optimizer_d.zero_grad()
        self.untoggle_optimizer(optimizer_d)

    def validation_step(self, batch):
        pass

    def on_validation_epoch_end(self):
        self.sample = self(torch.randn(2, self.hparams.latent_dim).type_as(self.generator.weight))

    def configure_optimizers(self):
        parts = self.generator, self.discriminator
        return [torch.optim.Adam(part.parameters(), lr=self.hparams.lr) for part in parts], []


class ManualAccumulation(Classifier):
    """Manual optimization that accumulates, clips and steps its schedule itself."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self(batch[0]), batch[1])
        self.manual_backward(loss / 2)
        if (batch_idx + 1) % 2 == 0:
            self.clip_gradients(self.optimizers(), gradient_clip_val=0.5, gradient_clip_algorithm="norm")
            self.optimizers().step()
            self.optimizers().zero_grad()
            self.lr_schedulers().step()
        self.log("train_loss", loss)

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 2)}


class TwoSchedules(Classifier):
    """Two optimizers, a schedule per step and one per epoch, stepped by hand."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self(batch[0]), batch[1])
        for optimizer in self.optimizers():
            optimizer.zero_grad()
        self.manual_backward(loss)
        for optimizer in self.optimizers():
            optimizer.step()
        self.lr_schedulers()[0].step()
        self.log_dict({"train_loss": loss, "lr": self.optimizers()[0].param_groups[0]["lr"]})

    def on_train_epoch_end(self):
        self.lr_schedulers()[1].step()

    def configure_optimizers(self):
        body = torch.optim.SGD(self.model.parameters(), lr=0.1)
        head = torch.optim.Adam(self.head.parameters(), lr=0.01)
        per_step = torch.optim.lr_scheduler.OneCycleLR(body, max_lr=0.1, total_steps=60)
        per_epoch = torch.optim.lr_scheduler.ExponentialLR(head, 0.9)
        return (
            {"optimizer": body, "lr_scheduler": {"scheduler": per_step, "interval": "step"}},
            {"optimizer": head, "lr_scheduler": per_epoch},
        )


class Plateau(Classifier):
    """Lowers the rate where a quantity of its own stops falling."""

    def validation_step(self, batch, batch_idx):
        self.log("error_on_held_out", F.cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "monitor": "error_on_held_out"}}


class LBFGS(Classifier):
    def configure_optimizers(self):
        return torch.optim.LBFGS(self.parameters(), lr=0.1, max_iter=3)


class WarmUp(Classifier):
    """Overrides `optimizer_step`, as Lightning's documentation shows, and `lr_scheduler_step`."""

    def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure):
        optimizer.step(closure=optimizer_closure)
        if self.trainer.global_step < 5:
            for group in optimizer.param_groups:
                group["lr"] = self.hparams.lr * (self.trainer.global_step + 1) / 5

    def lr_scheduler_step(self, scheduler, metric):
        scheduler.step(epoch=self.current_epoch)

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.hparams.lr)
        return [optimizer], [{"scheduler": CountingSchedule(optimizer), "interval": "step"}]


class CountingSchedule:
    """A schedule that is no class of torch."""

    def __init__(self, optimizer):
        self.optimizer = optimizer
        self.steps = 0

    def step(self, epoch=None):
        self.steps += 1

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state):
        self.steps = state["steps"]


class Clipping(Classifier):
    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
        self.clip_gradients(optimizer, gradient_clip_val=0.1, gradient_clip_algorithm="value")

    def on_before_optimizer_step(self, optimizer):
        self.log("grad_norm", sum(weight.grad.norm() for weight in self.parameters()))


class OwnCallbacks(Classifier):
    def configure_callbacks(self):
        stop = EarlyStopping("val_loss", patience=3)
        return [stop, ModelCheckpoint(monitor="val_acc", mode="max", save_last=True), LearningRateMonitor("step")]


class Averaged(Classifier):
    """An exponential moving average of the weights."""

    def configure_callbacks(self):
        return [WeightAveraging(avg_fn=get_ema_avg_fn(0.9))]


class OwnEMA(Classifier):
    """Keeps the average itself, and swaps it in for validation."""

    def __init__(self):
        super().__init__()
        self.average = torch.optim.swa_utils.AveragedModel(self.head, multi_avg_fn=None, avg_fn=get_ema_avg_fn(0.9))
        for weight in self.average.parameters():
            weight.requires_grad = False

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.average.update_parameters(self.head)

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", F.cross_entropy(self.average(self.model(batch[0])), batch[1]))

    def configure_optimizers(self):
        return torch.optim.SGD([weight for weight in self.parameters() if weight.requires_grad], lr=0.1)


# Hooks and logs -------------------------------------------------------------------------------------------------------


class LayersLater(Classifier):
    def __init__(self):
        super().__init__()
        self.model = self.head = None

    def configure_model(self):
        if self.model is None:
            self.model, self.head = nn.Linear(NUM_FEATURES, 8), nn.Linear(8, NUM_CLASSES)


class LayersInSetup(Classifier):
    """Asks the datamodule for a size, and makes its layers then."""

    def __init__(self):
        super().__init__()
        self.model = nn.Identity()

    def setup(self, stage):
        x, _ = next(iter(self.trainer.datamodule.val_dataloader()))
        self.head = nn.Linear(x.shape[1], NUM_CLASSES)


class Skips(Classifier):
    """Ends its second epoch early, and returns nothing for one batch."""

    def on_train_batch_start(self, batch, batch_idx):
        return -1 if self.current_epoch == 1 and batch_idx == 4 else None

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        return None if batch_idx == 1 else loss


class ManyLogs(Classifier):
    """Logs numbers of many types, in many hooks."""

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.log("train_outputs", outputs["loss"], batch_size=len(batch[0]))

    def training_step(self, batch, batch_idx):
        logits = self(batch[0])
        loss = F.cross_entropy(logits, batch[1])
        correct = (logits.argmax(1) == batch[1]).sum()
        self.log("train_correct", correct.float(), reduce_fx="sum", on_step=False, on_epoch=True)
        self.log("train_double", loss.double())
        self.log("train_half", loss.half())
        self.log("train_count", torch.tensor(len(batch[0])))
        self.log("train_bool", torch.tensor(True))
        self.log("train_number", 3)
        self.log_dict({"train_loss": loss, "train_acc": correct / len(batch[0])}, sync_dist=True, rank_zero_only=True)
        return loss

    def validation_step(self, batch, batch_idx):
        logits = self(batch[0])
        self.log("valid_acc", (logits.argmax(1) == batch[1]).double().mean(), sync_dist=True)
        self.log("valid_loss", F.cross_entropy(logits, batch[1]), sync_dist=True)

    def on_validation_epoch_end(self):
        self.log("epoch_number", float(self.current_epoch))
        self.print("validated")

    def on_train_epoch_end(self):
        self.log("weights", sum(weight.norm() for weight in self.parameters()))


class SameNames(Classifier):
    """Logs `loss` and `accuracy` in training and in validation alike."""

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self(batch[0]), batch[1])
        self.log("loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("loss", F.cross_entropy(self(batch[0]), batch[1]))

    def test_step(self, batch, batch_idx):
        self.log("loss", F.cross_entropy(self(batch[0]), batch[1]))


class Silent(LightningModule):
    """No logs, no validation, no `forward`, no arguments."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(NUM_FEATURES, NUM_CLASSES)

    def training_step(self, batch):
        return F.cross_entropy(self.layer(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


class Metrics(Classifier):
    """Logs torchmetrics, whose epoch goes on after a resume."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        metrics = MetricCollection({"acc": MulticlassAccuracy(NUM_CLASSES), "f1": MulticlassF1Score(NUM_CLASSES)})
        self.train_metrics = metrics.clone(prefix="train_")
        self.val_metrics = metrics.clone(prefix="val_")
        self.mean_loss = MeanMetric()

    def training_step(self, batch, batch_idx):
        logits = self(batch[0])
        loss = F.cross_entropy(logits, batch[1])
        self.mean_loss(loss)
        self.log_dict(self.train_metrics(logits, batch[1]), on_step=True)
        self.log("train_loss", self.mean_loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        logits = self(batch[0])
        self.val_metrics.update(logits, batch[1])
        self.log_dict(self.val_metrics)

    def on_train_epoch_end(self):
        self.train_metrics.reset()


class Outputs(Classifier):
    """Collects outputs in a list, as people moved from `validation_epoch_end`."""

    def __init__(self):
        super().__init__()
        self.val_outputs = []

    def validation_step(self, batch, batch_idx):
        self.val_outputs.append((self(batch[0]).argmax(1) == batch[1]).float())
        return [self.val_outputs[-1]]

    def on_validation_epoch_end(self):
        self.log("Accuracy/Validation", torch.cat(self.val_outputs).mean())
        self.val_outputs.clear()

    def training_step(self, batch, batch_idx):
        logits = self(batch[0])
        self.log("Accuracy/Train", (logits.argmax(1) == batch[1]).float().mean(), on_epoch=True, on_step=False)
        return F.cross_entropy(logits, batch[1])


class OwnCheckpoint(Classifier):
    """Saves more than weights: a count in a hook, and an extra state."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def on_train_start(self):
        self.started = self.count

    def training_step(self, batch, batch_idx):
        self.count += 1
        return super().training_step(batch, batch_idx) * (1 + 0.01 * self.count)

    def on_save_checkpoint(self, checkpoint):
        checkpoint["my_count"] = self.count

    def on_load_checkpoint(self, checkpoint):
        self.count = checkpoint["my_count"]

    def get_extra_state(self):
        return {"version": 1}

    def set_extra_state(self, state):
        self.version = state["version"]


class TakesNetwork(Classifier):
    """Saves an object that is made from YAML, as a hyper-parameter, and calls it by that."""

    def __init__(self, network: nn.Module, lr: float = 0.1):
        super().__init__(lr=lr)
        self.save_hyperparameters()
        self.network = self.hparams.network

    def forward(self, x):
        return self.network(x)

    def configure_optimizers(self):
        return torch.optim.SGD(self.network.parameters(), lr=self.hparams.lr)


class Nested(LightningModule):
    """LightningModules within a LightningModule."""

    def __init__(self):
        super().__init__()
        self.student = Classifier()
        self.teacher = Classifier().requires_grad_(False).eval()

    def forward(self, x):
        return self.student(x)

    def training_step(self, batch, batch_idx):
        with torch.no_grad():
            wanted = self.teacher(batch[0]).softmax(1)
        loss = F.cross_entropy(self(batch[0]), wanted)
        self.log("distill/train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("distill/val_loss", F.cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self):
        return self.student.configure_optimizers()


class DataIterator(Classifier):
    """Takes the iterator instead of a batch."""

    def training_step(self, dataloader_iter):
        batch, _, _ = next(dataloader_iter)
        return F.cross_entropy(self(batch[0]), batch[1])


class PredictsList(Classifier):
    def predict_step(self, batch, batch_idx):
        return [int(label) for label in self(batch[0]).argmax(1)]


class PredictsText(Classifier):
    def predict_step(self, batch, batch_idx):
        return [{"label": ("cat", "dog", "bird")[label]} for label in self(batch[0]).argmax(1)]


class PredictsNothing(Classifier):
    """Writes predictions itself."""

    def predict_step(self, batch, batch_idx):
        self.predicted = self(batch[0])


class Monitored(Classifier):
    """Has attributes whose names mean something here."""

    monitor = ["val_loss"]
    mode = "fast"
    network = "resnet"
    loss = "cross entropy"

    def predict(self, x, threshold):
        raise NotImplementedError

    def figures(self):
        raise NotImplementedError


class Pictures(Classifier):
    """Writes to the logger itself."""

    def on_validation_epoch_end(self):
        self.logger.experiment.add_image("mine", torch.zeros(3, 4, 4), self.global_step)
        self.logger.log_metrics({"mine": 1.0}, step=self.global_step)


class Buffered(LightningModule):
    """Reinforcement learning: the loader draws from what the module has played, and there is no validation."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(NUM_FEATURES, 2)
        self.state = torch.zeros(NUM_FEATURES)
        self.buffer = []

    def play(self):
        while True:
            for _ in range(BATCH_SIZE):
                action = int(self.net(self.state).argmax()) if torch.rand(()) > 0.1 else int(torch.randint(2, ()))
                after = 0.9 * self.state + (action - 0.5) + 0.1 * torch.randn(NUM_FEATURES)
                self.buffer.append((self.state, action, -after.norm(), after))
                self.state = after.detach()
            yield [self.buffer[index] for index in torch.randint(len(self.buffer), (BATCH_SIZE,))]

    def train_dataloader(self):
        return DataLoader(Played(self.play), batch_size=None, collate_fn=torch.utils.data.default_collate)

    def training_step(self, batch, batch_idx):
        state, action, reward, after = batch
        wanted = reward + 0.9 * self.net(after).max(1).values.detach()
        loss = F.mse_loss(self.net(state).gather(1, action.unsqueeze(1)).squeeze(1), wanted.detach())
        self.log("train/td_error", loss)
        self.log("reward", reward.mean())
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 0.01)


class Played(IterableDataset):
    def __init__(self, play):
        self.play = play

    def __iter__(self):
        return self.play()
