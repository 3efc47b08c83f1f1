"""A project template on PyTorch Lightning. Names are imported when they are first used: `--help` needs no torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_ROOMS = {
    "callbacks": "BestAndLast ClockedProgressBar Dashboard Executions Figures "
    "FiniteLoss PredictionWriter RunDirectory StepMonitor",
    "datamodules": "FashionMNISTDataModule ImageFolderDataModule InMemoryDataModule "
    "LineDataModule SequencesDataModule ShapesDataModule TableDataModule TensorsDataModule",
    "load": "Run load_config load_data load_run run_options",
    "losses": "FocalLoss",
    "networks": "MLP Autoencoder CategoryMLP ConvAutoencoder ConvNet ConvTagger ResidualConvNet TokenTagger "
    "UNet WithHead WithInputChannels",
    "optimizers": "Muon",
    "schedules": "Warmup",
    "tasks": "AutoencoderTask ClassificationTask MultilabelTask NTXentLoss PairsTask "
    "RegressionTask SegmentationTask SequenceLabellingTask SupervisedTask",
    "testing": "CheckResult ChecksFailed check_task parametrize_checks",
    "transforms": "Augmentation RandomCrop RandomErasing RandomHorizontalFlip",
}
"""Public names by the rooms that define them."""
__all__ = " ".join(_ROOMS.values()).split()

if TYPE_CHECKING:  # editors and type checkers see the names themselves, and so each typo
    from lightning_template.callbacks import *  # noqa: F403
    from lightning_template.datamodules import *  # noqa: F403
    from lightning_template.load import *  # noqa: F403
    from lightning_template.losses import *  # noqa: F403
    from lightning_template.networks import *  # noqa: F403
    from lightning_template.optimizers import *  # noqa: F403
    from lightning_template.schedules import *  # noqa: F403
    from lightning_template.tasks import *  # noqa: F403
    from lightning_template.testing import *  # noqa: F403
    from lightning_template.transforms import *  # noqa: F403
else:

    def __getattr__(name: str) -> Any:
        room = name if name in _ROOMS else next((room for room, names in _ROOMS.items() if name in names.split()), None)
        if room is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = import_module(f"{__name__}.{room}")
        return module if name == room else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS, *__all__})
