"""A denoising autoencoder of FashionMNIST: the target is the input."""

from typing import Any

from matplotlib.figure import Figure
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, MetricCollection

from lightning_template.datamodules import FashionMNISTDataModule
from lightning_template.tasks import SupervisedTask

NUM_SHOWN = 10


class Autoencoder(nn.Module):
    """Squeezes images `(N, 1, 28, 28)` through `num_features` numbers, and draws them again, in [0, 1]."""

    def __init__(self, num_features: int, channels: int = 16) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, channels, 3, stride=2, padding=1),  # 14 x 14
            nn.ReLU(),
            nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1),  # 7 x 7
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(2 * channels * 49, num_features),
        )
        self.decoder = nn.Sequential(
            nn.Linear(num_features, 2 * channels * 49),
            nn.ReLU(),
            nn.Unflatten(1, (2 * channels, 7, 7)),
            nn.ConvTranspose2d(2 * channels, channels, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(channels, 1, 4, stride=2, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the images as they were understood."""
        outputs: Tensor = self.decoder(self.encoder(images))
        return outputs


class ImagesDataModule(FashionMNISTDataModule):
    """FashionMNIST whose targets are the images, bytes `(N, 28, 28)`; augmentations change the inputs alone."""

    def load(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return images as inputs and as targets."""
        (images, _), (test_images, _) = super().load()
        return (images, images), (test_images, test_images)


class AutoencoderTask(SupervisedTask):
    """Learns to draw images again, by the squared error of their pixels."""

    def __init__(self, network: nn.Module, **kwargs: Any) -> None:
        super().__init__(network=network, loss=nn.MSELoss(), **kwargs)

    def configure_metrics(self) -> MetricCollection:
        """Measure the mean absolute error in levels of grey, of which there are 256."""
        return MetricCollection({"mae": MeanAbsoluteError()})

    def check_shapes(self, outputs: Tensor, targets: Tensor) -> None:
        """Refuse images of two sizes.

        Raises:
            ValueError: If outputs are not `(N, 1, height, width)` for targets `(N, height, width)`.
        """
        if outputs.shape != targets.unsqueeze(1).shape:
            raise ValueError(f"outputs {tuple(outputs.shape)} do not fit targets {tuple(targets.shape)}")

    def compute_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of a batch, on the scale [0, 1]."""
        return super().compute_loss(outputs.squeeze(1), targets / 255)

    def predict(self, outputs: Tensor) -> Tensor:
        """Turn outputs into levels of grey `(N, 28, 28)`, as the targets are."""
        return outputs.squeeze(1) * 255

    def prediction_columns(self, outputs: Tensor) -> dict[str, Tensor]:
        """Return the pixels `(N, 784)`."""
        return {"pixel": self.predict(outputs).flatten(1)}

    def figures(self, inputs: Tensor, predictions: Tensor, targets: Tensor) -> dict[str, Any]:
        """Show inputs, and below them what became of them."""
        figure = Figure(figsize=(NUM_SHOWN, 2), facecolor="white")
        for row, images in enumerate((inputs.squeeze(1), predictions)):
            for column, image in enumerate(images[:NUM_SHOWN]):
                axes = figure.add_subplot(2, NUM_SHOWN, row * NUM_SHOWN + column + 1)
                axes.imshow(image.numpy(), cmap="gray")
                axes.axis("off")
        return {"images/drawn again": figure}
