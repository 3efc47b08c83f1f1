"""Kinds of tasks that `new` writes: which data they go with, their networks, and made-up samples. Imports no torch."""

from typing import NamedTuple

from lightning_template.engine.cli.commands.samples import SAMPLES

DATA = ("custom", *SAMPLES)
"""Sources of data: made up in code, or files."""


class MadeUp(NamedTuple):
    """Samples that are made up in code.

    Attributes:
        words: What inputs are.
        inputs: Expression that makes `self.num_samples` of them.
        sizes: What the datamodule tells of them: names and values.
        target_words: What targets are.
        targets: Expression that makes them of `inputs`.
    """

    words: str
    inputs: str
    sizes: dict[str, str]
    target_words: str
    targets: str


NOISE = "Inputs `(4,)` of Gaussian noise", "torch.randn(self.num_samples, 4, generator=generator)"
SHAPE = {"input_shape": "(4,)"}
SQUARED = MadeUp(*NOISE, SHAPE, "targets `(1,)`, their squared length", "inputs.square().sum(dim=1, keepdim=True)")


class Kind(NamedTuple):
    """A kind of task.

    Attributes:
        made_up: Samples that are made up in code.
        data: Sources of data that it goes with, of `DATA`.
        network: Class of its network, and options; of images in a folder another.
        samples: Kind of the targets in files that are made up, see `write_samples`.
        csv: Options of its `TableDataModule`.
        tensors: Options of its `TensorsDataModule`.
        images: Options of its `ImageFolderDataModule`.
    """

    made_up: MadeUp
    data: tuple[str, ...] = DATA
    network: str = "MLP hidden_features: [32]"
    image_network: str = "ConvNet channels: [16, 32]"
    samples: str = "regression"
    csv: tuple[str, ...] = ("targets: target", "task: regression")
    tensors: tuple[str, ...] = ("task: regression",)
    images: tuple[str, ...] = ("table: table.csv", "targets: size", "task: regression")


KINDS = {
    "classification": Kind(
        MadeUp(*NOISE, SHAPE, "classes, whether their sum is positive", "(inputs.sum(dim=1) > 0).long()"),
        samples="classification",
        csv=("targets: target", "task: classification"),
        tensors=("task: classification",),
        images=(),
    ),
    "regression": Kind(SQUARED),
    "multilabel": Kind(
        MadeUp(
            *NOISE,
            SHAPE | {"num_targets": "3"},
            "labels `(3,)`, which of the first three are positive",
            "(inputs[:, :3] > 0).long()",
        ),
        ("custom", "csv", "tensors"),
        samples="multilabel",
        csv=("targets: [red, green, blue]", "task: regression"),
    ),
    "segmentation": Kind(
        MadeUp(
            "Pictures `(1, 16, 16)` of Gaussian noise",
            "torch.randn(self.num_samples, 1, 16, 16, generator=generator)",
            {"input_shape": "(1, 16, 16)", "num_classes": "2"},
            "the class of each pixel, whether it is positive",
            "(inputs[:, 0] > 0).long()",
        ),
        ("custom", "tensors"),
        "UNet channels: [8, 16]",
        samples="segmentation",
        tensors=("task: classification",),
    ),
    "sequence-labelling": Kind(
        MadeUp(
            "Up to 12 tokens in falling order, filled up with 0 `(12,)`",
            "torch.randint(20, (self.num_samples, 12), generator=generator).sort(descending=True).values",
            {"input_shape": "(12,)", "num_tokens": "20", "num_classes": "2"},
            "whether each is above 9, -100 at 0",
            "(inputs > 9).long().masked_fill(inputs == 0, -100)",
        ),
        ("custom", "tensors"),
        "TokenTagger channels: 16",
        samples="sequence-labelling",
        tensors=("task: classification", "normalize: false"),
    ),
    "pairs": Kind(
        MadeUp(
            "Two views `(2, 4)` of Gaussian noise, one twice as large as the other",
            "torch.randn(self.num_samples, 1, 4, generator=generator) * torch.tensor([[1.0], [2.0]])",
            {"input_shape": "(4,)"},
            "targets `()` that are not used",
            "torch.zeros(len(inputs))",
        ),
        ("custom", "tensors"),
        "MLP hidden_features: [32], out_features: 8",
        samples="pairs",
        tensors=(),
    ),
    "autoencoder": Kind(
        MadeUp(*NOISE, SHAPE, "targets `()` that are not used", "torch.zeros(len(inputs))"),
        network="Autoencoder hidden_features: [16], latent_features: 2",
        image_network="ConvAutoencoder channels: [16, 32], latent_features: 16",
    ),
    "custom": Kind(
        SQUARED,
        network="MLP hidden_features: [32], out_features: 2",
        image_network="ConvNet channels: [16, 32], out_features: 2",
    ),
}
"""Kinds of tasks by name: those of the package, and one that defines loss, metrics and predictions itself."""


def options_of(kind: str, data: str) -> tuple[str, ...]:
    """Return the datamodule of data in files, and its options: the first is the file or folder, still without value."""
    if data == "csv":
        return "TableDataModule", "path: ", *KINDS[kind].csv
    if data == "tensors":
        return "TensorsDataModule", "path: ", *KINDS[kind].tensors
    return "ImageFolderDataModule", "data_dir: ", "image_size: 32", *KINDS[kind].images


def check_pair(kind: str, data: str) -> None:
    """Check that a kind of task and a source of data go together.

    Raises:
        ValueError: If they do not.
    """
    if data not in KINDS[kind].data:
        *others, last = KINDS[kind].data
        raise ValueError(f"--kind {kind} does not go with --data {data}: take {', '.join(others)} or {last}")
