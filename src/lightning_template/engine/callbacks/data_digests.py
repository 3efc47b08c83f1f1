"""Digests of the data of a run, by which resume and tests notice that the data have changed."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer

from lightning_template.engine.runs.digests import dump_json, load_json

FILE = "data.json"
"""File of a run directory that holds the digests."""

_logger = logging.getLogger("lightning_template")

Digests = dict[str, dict[str, str]]


class DataDigests(Callback):
    """Compares the data with those that the run began with, before anything is written.

    It asks the datamodule's `data_digests` for them, if it has such a method.

    Args:
        files: Content by name of files that are written into the run directory; `data.json` is added.
        run: Existing run directory to compare with.
        allow_changes: Whether training may go on with other data.
    """

    def __init__(self, files: dict[str, str], run: Path | None = None, allow_changes: bool = False) -> None:
        self.files = files
        self.run = run
        self.allow_changes = allow_changes
        self._digests: Digests = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Compare the loaded data, once.

        Raises:
            ValueError: If a run is to be continued with other data.
        """
        if FILE in self.files or not trainer.is_global_zero:
            return
        self._digests = describe_data(trainer.datamodule)  # type: ignore[attr-defined]  # the Trainer's parts set it
        self.files[FILE] = dump_json(self._digests)
        self.compare(stage == "fit")

    def compare(self, goes_on: bool) -> None:
        """Compare the digests with those of the run.

        Args:
            goes_on: Whether training goes on, otherwise a change is only logged.

        Raises:
            ValueError: If a run is to be continued with other data.
        """
        change = change_of_data(self.run, self._digests) if self.run else None
        if change and goes_on and not self.allow_changes:
            raise ValueError(
                f"{change}, so the run might not end as it would have: bring back what was there, or add "
                "--allow_changes to go on with what is there"
            )
        if change:
            _logger.warning("the data may differ from those of training: %s", change)


def describe_data(datamodule: LightningDataModule | None) -> Digests:
    """Return path and digest of what a datamodule reads, by name; nothing if it does not say or cannot be read."""
    describe = getattr(datamodule, "data_digests", dict)
    try:
        found: Mapping[str, Any] = describe()
    except Exception as error:  # of a file that has gone, or of anybody's datamodule: no run ends for that
        _logger.warning("the data can be compared with no other run's: %s", error)
        return {}
    return {name: {"path": digest.path, "digest": digest.digest} for name, digest in found.items()}


def change_of_data(run: Path, digests: Digests) -> str | None:
    """Return what differs first between the data that a run began with and those of some digests, if anything does."""
    try:
        entries = load_json((run / FILE).read_bytes())
    except FileNotFoundError:  # of a version without digests
        return None
    except (OSError, ValueError) as error:
        return f"{run / FILE} cannot be read ({error})"
    before: Digests = {name: entry for name, entry in entries.items() if isinstance(entry, dict)}
    pairs = [(before.get(name, {}), digests.get(name, {})) for name in {**before, **digests}]
    changed = [(old, new) for old, new in pairs if old.get("digest") != new.get("digest")]
    if not changed:
        return None
    old, new = changed[0]
    more = f" ({len(changed) - 1} more have changed)" if len(changed) > 1 else ""
    path, was, now = new.get("path") or old.get("path"), old.get("digest", "none"), new.get("digest", "none")
    return f"{path} has changed: its digest was {was} and is {now}{more}"
