"""Data that are looked at before there is a Trainer: obtained once on each machine, and without a trace."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from filelock import FileLock
from lightning.pytorch import LightningDataModule

from lightning_template.datamodules.in_memory import InMemoryDataModule
from lightning_template.engine.rehearsal.samples import same_random_numbers


def look_at(
    make_data: Callable[[], LightningDataModule], look: Callable[[LightningDataModule], None]
) -> LightningDataModule | None:
    """Look at data without changing what a run draws of random numbers, such as initial weights.

    Args:
        make_data: Makes the datamodule.
        look: Looks at it, and may set it up.

    Returns:
        The datamodule, which the run shall use so that the data are read once. None if it has to be made again: others
        than `InMemoryDataModule` may not be set up twice, and some draw random numbers, which the run draws again.
    """
    with same_random_numbers(torch.device("cpu")) as drawn:
        data = make_data()
        look(data)
    is_set_up_once = isinstance(data, InMemoryDataModule) and type(data).setup is InMemoryDataModule.setup
    return data if is_set_up_once and not drawn.any else None


def prepare_once(data: LightningDataModule) -> None:
    """Call `prepare_data` once on a machine.

    Processes that Lightning launches start after the first one has done so. Those of torchrun or SLURM start at the
    same time, and cannot wait for one another without a Trainer. There each calls it, one after the other.
    """
    environment = os.environ
    if "TORCHELASTIC_RUN_ID" not in environment and "SLURM_LOCALID" not in environment:
        if environment.get("LOCAL_RANK", "0") == "0":
            data.prepare_data()
        return
    with FileLock(Path(tempfile.gettempdir(), f"lightning-template-{os.getuid()}.lock")):
        data.prepare_data()
