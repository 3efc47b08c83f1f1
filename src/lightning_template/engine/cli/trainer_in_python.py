"""Options of a Trainer that is made in Python."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar

from lightning_template import callbacks as of_every_run
from lightning_template.engine.callbacks.data_digests import DataDigests
from lightning_template.engine.callbacks.fingerprints import Fingerprints
from lightning_template.engine.cli.options import NAMED_CALLBACKS
from lightning_template.engine.rehearsal import Rehearsal
from lightning_template.engine.runs.checkpoints import WholeCheckpointIO
from lightning_template.engine.runs.directories import STATE_FILE, check_experiment


def run_options(experiment: str, callbacks: Sequence[Callback] = (), root: str | Path = ".") -> dict[str, Any]:
    """Return the options with which a Trainer made in Python trains as `fit` does: `Trainer(**run_options("roses"))`.

    The run has a directory, checkpoints from which resume is exact, and a dashboard. A mistake in task or data is
    reported before there is a directory. `trainer.fit(task, data, ckpt_path=...)` goes on in the checkpoint's run.

    Args:
        experiment: Name of the folder that holds the runs.
        callbacks: Further callbacks; one of the kind of a run's own, such as `BestAndLast(every_n_steps=100)`, takes
            its place.
        root: Folder that holds `lightning_logs`.

    Raises:
        ValueError: If the name cannot be that of a folder.
    """
    defaults = [getattr(of_every_run, class_name)() for class_name, _ in NAMED_CALLBACKS.values()]
    kinds = (type(callback) for callback in callbacks)
    has_bar = any(isinstance(callback, ProgressBar) for callback in callbacks)
    replaced = (*kinds, ProgressBar) if has_bar else tuple(kinds)
    files: dict[str, str] = {}
    digests = DataDigests(files)
    directory = of_every_run.RunDirectory(Path(root), check_experiment(experiment), files)
    first = [_ResumedRun(digests, directory), digests, Rehearsal(), Fingerprints(directory, files), directory]
    kept = [callback for callback in defaults if not isinstance(callback, replaced)]
    return {
        "callbacks": [*first, *callbacks, *kept],
        "plugins": [WholeCheckpointIO()],
        "logger": False,  # the run directory has its own
    }


class _ResumedRun(Callback):
    """Has a fit that resumes go on in the run directory of its checkpoint, with the data of that run."""

    def __init__(self, digests: DataDigests, directory: of_every_run.RunDirectory) -> None:
        self._digests = digests
        self._directory = directory

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look where the checkpoint lies, and compare the data.

        Raises:
            ValueError: If these are other data.
        """
        run = Path(trainer.ckpt_path).absolute().parents[1] if trainer.ckpt_path else None
        if run is not None and (run / STATE_FILE).is_file():
            self._digests.run = self._directory.run = run
            self._digests.compare(goes_on=True)
