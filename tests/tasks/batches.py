"""Tasks whose batches are no pairs, each with data of its own and a plain computation of what it measures."""

from collections import UserDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # its usual name
from torch.nn.utils.rnn import PackedSequence, pack_sequence, pad_sequence
from torch.utils.data import DataLoader
from torchmetrics import MeanAbsoluteError, MetricCollection
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.wrappers import MultitaskWrapper

from lightning_template.tasks import SupervisedTask

NUM_SAMPLES, BATCH_SIZE = 22, 4  # the last of the batches is smaller
SGD = partial(torch.optim.SGD, lr=0.05, momentum=0.9)
Collate = Callable[[list[Any]], Any]


class Loaders(LightningDataModule):
    """What people write: plain loaders with a collate function.

    Args:
        samples: Samples of training, of validation and prediction, and of the test.
        collate: Makes a batch.
        in_prediction: Makes a batch for prediction, if that is another.
    """

    def __init__(self, samples: tuple[Any, Any, Any], collate: Collate, in_prediction: Collate | None = None) -> None:
        super().__init__()
        self.training_samples, self.samples, self.test_samples = samples
        self.collate = collate
        self.in_prediction = in_prediction or collate

    def train_dataloader(self) -> Any:
        return DataLoader(self.training_samples, batch_size=BATCH_SIZE, shuffle=True, collate_fn=self.collate)

    def val_dataloader(self) -> Any:
        return DataLoader(self.samples, batch_size=5, collate_fn=self.collate)

    def test_dataloader(self) -> Any:
        return DataLoader(self.test_samples, batch_size=5, collate_fn=self.collate)

    def predict_dataloader(self) -> Any:
        return DataLoader(self.samples, batch_size=5, collate_fn=self.in_prediction)


def sample(number: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(number)
    x = torch.randn(3, generator=generator)
    return x, x[:1] * 2 - x[1:2] + 0.1 * torch.randn(1, generator=generator)


SAMPLES = [sample(number) for number in range(NUM_SAMPLES)]
OTHERS = [sample(number) for number in range(NUM_SAMPLES, 2 * NUM_SAMPLES)]
FURTHER = [sample(number) for number in range(2 * NUM_SAMPLES, 3 * NUM_SAMPLES)]


def stacked(samples: list[Any]) -> tuple[Tensor, Tensor]:
    inputs, targets = zip(*samples, strict=True)
    return torch.stack(inputs), torch.stack(targets)


class Net(nn.Sequential):
    """Has random numbers and buffers, which a step could disturb."""

    def __init__(self, num_inputs: int = 3, num_outputs: int = 1) -> None:
        super().__init__(nn.Linear(num_inputs, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.1))
        self.append(nn.Linear(8, num_outputs))


class Of(nn.Module):
    """Calls a function of a network and its inputs."""

    def __init__(self, function: Callable[[nn.Module, Any], Any], network: nn.Module | None = None) -> None:
        super().__init__()
        self.network = network or Net()
        self.function = function

    def forward(self, inputs: Any) -> Any:
        return self.function(self.network, inputs)


class ErrorTask(SupervisedTask):
    """Learns numbers; a subclass says where they are."""

    def configure_metrics(self) -> Any:
        return MetricCollection({"mae": MeanAbsoluteError()})


class DictTask(ErrorTask):
    def unpack(self, batch: Any) -> tuple[Any, Any]:
        return batch["x"], batch.get("y")


class AttributesTask(ErrorTask):
    def unpack(self, batch: Any) -> tuple[Any, Any]:
        return batch.x, batch.y


class Triple(NamedTuple):
    x: Tensor
    y: Tensor
    names: list[str]


@dataclass
class Record:
    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class FrozenRecord:
    x: Tensor
    y: Tensor

    def to(self, device: Any, non_blocking: bool = False) -> "FrozenRecord":
        return replace(self, x=self.x.to(device), y=self.y.to(device))


@dataclass(slots=True)
class SlimRecord:
    x: Tensor
    y: Tensor


class WeightedError(MeanAbsoluteError):
    """Takes the targets out of what also holds weights."""

    def update(self, predictions: Tensor, targets: Any) -> None:
        super().update(predictions, targets["y"])


class WeightedTask(SupervisedTask):
    """A batch is (inputs, targets, weights)."""

    def configure_metrics(self) -> MetricCollection:
        return MetricCollection({"mae": WeightedError()})

    def unpack(self, batch: Any) -> tuple[Any, Any]:
        inputs, targets, weights = batch
        return inputs, {"y": targets, "weight": weights}

    def compute_loss(self, outputs: Any, targets: Any) -> Tensor:
        errors = F.mse_loss(outputs, targets["y"], reduction="none").mean(dim=1)
        loss: Tensor = (targets["weight"] * errors).mean()
        return loss


class LSTM(nn.Module):
    """The last state of a sequence of numbers, as a number."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(1, 6)
        self.head = nn.Linear(6, 1)

    def forward(self, inputs: PackedSequence) -> Tensor:
        _, (state, _) = self.lstm(inputs)
        out: Tensor = self.head(state[0])
        return out


class Tags(nn.Module):
    """Scores of 3 tags for each number of padded sequences; nothing of the padding reaches another number."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 3))

    def forward(self, inputs: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        numbers, lengths = inputs
        return {"scores": self.layers(numbers.unsqueeze(-1)), "lengths": lengths}


class TagTask(SupervisedTask):
    """A batch is (numbers, lengths, tags), padded; the tag of padding is -100."""

    def configure_metrics(self) -> MetricCollection:
        return MetricCollection({"accuracy": MulticlassAccuracy(3, average="micro", ignore_index=-100)})

    def unpack(self, batch: Any) -> tuple[Any, Any]:
        numbers, lengths, tags = batch
        return (numbers, lengths), tags

    def compute_loss(self, outputs: Any, targets: Tensor) -> Tensor:
        return super().compute_loss(outputs["scores"].transpose(1, 2), targets)

    def predict(self, outputs: Any) -> Tensor:
        scores: Tensor = outputs["scores"]
        return scores.transpose(1, 2).softmax(dim=1)

    def prediction_columns(self, outputs: Any) -> dict[str, Any]:
        best = outputs["scores"].argmax(dim=-1)
        return {"tags": [row[:length].tolist() for row, length in zip(best, outputs["lengths"], strict=True)]}


class Graph:
    """Graphs in one: features of nodes, edges, and the graph of each node."""

    def __init__(self, x: Tensor, edges: Tensor, graph: Tensor, y: Tensor) -> None:
        self.x, self.edges, self.graph, self.y = x, edges, graph, y

    def to(self, device: Any, non_blocking: bool = False) -> "Graph":
        return Graph(*(part.to(device) for part in (self.x, self.edges, self.graph, self.y)))


class GraphNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.node, self.head = nn.Linear(3, 5), nn.Linear(5, 1)

    def forward(self, graph: Graph) -> Tensor:
        sent = self.node(graph.x).tanh()
        got = torch.zeros_like(sent).index_add(0, graph.edges[1], sent[graph.edges[0]])
        whole = sent.new_zeros(len(graph.y), 5).index_add(0, graph.graph, got)
        out: Tensor = self.head(whole)
        return out


class GraphTask(ErrorTask):
    def unpack(self, batch: Any) -> tuple[Any, Any]:
        return batch, batch.y


class Encoding(UserDict[str, Any]):
    """As a tokenizer returns it."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self.data[name]
        except KeyError as error:
            raise AttributeError(name) from error

    def to(self, device: Any, non_blocking: bool = False) -> "Encoding":
        self.data = {name: value.to(device) for name, value in self.data.items()}
        return self


@dataclass
class ModelOutput:
    loss: Tensor
    logits: Tensor
    hidden_states: tuple[Tensor, ...] = ()


class Transformer(nn.Module):
    """Takes names as a pretrained model does, and computes its loss itself."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(100, 6), nn.Linear(6, 3)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor | None = None) -> ModelOutput:
        hidden = self.embedding(input_ids) * attention_mask.unsqueeze(-1)
        logits = self.head(hidden.sum(dim=1) / attention_mask.sum(dim=1, keepdim=True))
        loss = logits.new_zeros(()) if labels is None else F.cross_entropy(logits, labels)
        return ModelOutput(loss, logits, (hidden,))


class EncodingTask(SupervisedTask):
    def configure_metrics(self) -> MetricCollection:
        return MetricCollection({"accuracy": MulticlassAccuracy(3, average="micro")})

    def unpack(self, batch: Any) -> tuple[Any, Any]:
        return batch, batch.get("labels")

    def forward(self, inputs: Any) -> Any:
        return self.network(**inputs)

    def compute_loss(self, outputs: Any, targets: Tensor) -> Tensor:
        loss: Tensor = outputs.loss
        return loss

    def predict(self, outputs: Any) -> Tensor:
        logits: Tensor = outputs.logits
        return logits.softmax(dim=1)


class HeadsTask(SupervisedTask):
    """Two heads, each with its own loss and metric."""

    def configure_metrics(self) -> MultitaskWrapper:
        return MultitaskWrapper(
            {"size": MetricCollection({"mae": MeanAbsoluteError()}), "kind": MulticlassAccuracy(2, average="micro")}
        )

    def compute_loss(self, outputs: Any, targets: Any) -> Tensor:
        return F.mse_loss(outputs["size"], targets["size"]) + F.cross_entropy(outputs["kind"], targets["kind"])


class AuxiliaryTask(ErrorTask):
    """The network returns a further loss."""

    def compute_loss(self, outputs: Any, targets: Tensor) -> Tensor:
        loss: Tensor = super().compute_loss(outputs["value"], targets) + 0.1 * outputs["aux"]
        return loss

    def predict(self, outputs: Any) -> Any:
        return outputs["value"]


class Normal(NamedTuple):
    mean: Tensor
    log_scale: Tensor


class NormalTask(ErrorTask):
    """The network returns a mean and a spread."""

    def compute_loss(self, outputs: Any, targets: Tensor) -> Tensor:
        return F.gaussian_nll_loss(outputs.mean, targets, outputs.log_scale.exp())

    def predict(self, outputs: Any) -> Any:
        return outputs.mean


def sequences(samples: list[Any]) -> Iterator[Tensor]:
    for x, _ in samples:
        yield x.repeat(2)[: 2 + int(x[0] > 0) + 2 * int(x[1] > 0)]


def padded(samples: list[Any]) -> tuple[Tensor, Tensor, Tensor]:
    numbers = list(sequences(samples))
    lengths = torch.tensor([len(part) for part in numbers])
    tags = pad_sequence([(part > 0).long() + (part > 1) for part in numbers], True, -100)
    return pad_sequence(numbers, True), lengths, tags


def graphs(samples: list[Any]) -> Graph:
    sizes = [2 + int(x[0] > 0) for x, _ in samples]
    nodes = [x.repeat(size, 1) for (x, _), size in zip(samples, sizes, strict=True)]
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    edges = torch.tensor([(start, start + 1) for start in starts]).T
    return Graph(
        torch.cat(nodes), edges, torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)), stacked(samples)[1]
    )


def encoded(samples: list[Any], labelled: bool = True) -> Encoding:
    ids = pad_sequence([(part.abs() * 30).long().clamp(max=98) + 1 for part in sequences(samples)], True)
    labels = {"labels": torch.tensor([int(y > 0) + int(y > 2) for _, y in samples])} if labelled else {}
    return Encoding({"input_ids": ids, "attention_mask": (ids > 0).long()} | labels)


def heads(samples: list[Any]) -> Any:
    x, y = stacked(samples)
    return x, {"size": y, "kind": (y[:, 0] > 0).long()}


def make(kind: type[SupervisedTask], network: Callable[[], nn.Module] = Net, loss: nn.Module | None = None) -> Any:
    return lambda: kind(network(), loss or nn.MSELoss(), optimizer=SGD)


def data(collate: Collate, in_prediction: Collate | None = None) -> Callable[[], Loaders]:
    return lambda: Loaders((OTHERS, SAMPLES, FURTHER), collate, in_prediction)


KINDS: dict[str, tuple[Callable[[], Any], Callable[[], Loaders]]] = {
    "dict": (make(DictTask), data(lambda s: dict(zip("xy", stacked(s), strict=True)))),
    "dict without targets in prediction": (
        make(DictTask),
        data(lambda s: dict(zip("xy", stacked(s), strict=True)), lambda s: {"x": stacked(s)[0]}),
    ),
    "dataclass": (make(AttributesTask), data(lambda s: Record(*stacked(s)))),
    "frozen dataclass": (make(AttributesTask), data(lambda s: FrozenRecord(*stacked(s)))),
    "dataclass with slots": (make(AttributesTask), data(lambda s: SlimRecord(*stacked(s)))),
    "named tuple": (make(AttributesTask), data(lambda s: Triple(*stacked(s), ["name"] * len(s)))),
    "triple with weights": (make(WeightedTask), data(lambda s: (*stacked(s), torch.arange(1.0, len(s) + 1)))),
    "packed sequences": (
        make(ErrorTask, LSTM),
        data(lambda s: (pack_sequence([x[:, None] for x in sequences(s)], False), stacked(s)[1])),
    ),
    "padded sequences": (make(TagTask, Tags, nn.CrossEntropyLoss()), data(padded)),
    "graph": (make(GraphTask, GraphNet), data(graphs)),
    "encoding": (make(EncodingTask, Transformer), data(encoded, lambda s: encoded(s, labelled=False))),
    "nested dict": (
        make(ErrorTask, lambda: Of(lambda net, inputs: net(inputs["a"]["x"] * inputs["b"][0]))),
        data(lambda s: ({"a": {"x": stacked(s)[0]}, "b": [torch.tensor(2.0)]}, stacked(s)[1])),
    ),
    "two heads": (
        make(HeadsTask, lambda: Of(lambda net, x: {"size": net(x)[:, :1], "kind": net(x)[:, 1:]}, Net(3, 3))),
        data(heads),
    ),
    "further loss": (
        make(AuxiliaryTask, lambda: Of(lambda net, x: {"aux": net(x).square().mean(), "value": net(x)})),
        data(stacked),
    ),
    "named tuple of outputs": (
        make(NormalTask, lambda: Of(lambda net, x: Normal(*net(x).split(1, dim=1)), Net(3, 2))),
        data(stacked),
    ),
}
