"""Traceback and advice after an exception that ended a run."""

import traceback
from pathlib import Path

import torch

from lightning_template.engine.process.errors import Stopped
from lightning_template.engine.runs.directories import command
from lightning_template.engine.runs.files import write_text


def explain(exception: BaseException, run: Path, keep: bool, can_go_on: bool) -> None:
    """Save the traceback of a failed run and tell where it is, or how to resume a stopped one.

    Args:
        exception: What ended the run; the advice is added to it.
        run: Run directory.
        keep: Whether to save the traceback there.
        can_go_on: Whether the run trained.
    """
    can_go_on = can_go_on and (run / "checkpoints" / "last.ckpt").is_file()
    go_on = command("fit", "--ckpt_path", str(run))
    if isinstance(exception, Stopped) and can_go_on:
        exception.message += f"; to go on: {go_on}"
    elif isinstance(exception, Exception):
        if isinstance(exception, torch.OutOfMemoryError):
            exception.add_note("a smaller `data.batch_size` or `data.eval_batch_size` needs less")
        if keep:
            _keep_traceback(exception, run / "traceback.txt")
        if can_go_on:
            exception.add_note(f"to go on from the last checkpoint: {go_on}")


def _keep_traceback(exception: BaseException, path: Path) -> None:
    try:
        write_text(path, "".join(traceback.format_exception(exception)))
    except OSError as error:  # a full disk may be what failed the run
        exception.add_note(f"no traceback could be kept: {error}")
    else:
        exception.add_note(f"traceback in {path}")
