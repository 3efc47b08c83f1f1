"""Trials of a study as runs of `fit` in this process."""

import dataclasses
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback

from lightning_template.callbacks import BestAndLast
from lightning_template.engine.cli.command_line import CommandLine
from lightning_template.engine.cli.terminal import quieten
from lightning_template.engine.cli.trial_cli import Parsed, Templates, TrialCLI, value_of
from lightning_template.engine.process.errors import one_line
from lightning_template.engine.runs.resolve import resolve_checkpoint
from lightning_template.engine.sweep.isolation import isolated
from lightning_template.engine.sweep.space import option_args

QUIET = ("--callbacks.progress_bar=null", "--callbacks.figures=null")
"""Defaults of trials: nobody looks at hundreds of bars and figures. A configuration may ask for them all the same."""


class Tried(NamedTuple):
    """What a batch of training and of validation tells.

    Attributes:
        logged: Names of the logged quantities.
        monitor: Quantity that decides which checkpoint is best, None if none does.
        mode: Whether it is to be low or high.
    """

    logged: list[str]
    monitor: str | None
    mode: str | None


class Trials:
    """Runs trials.

    Args:
        base: The command line without the values of trials.
        study: Name of the study, which is the experiment of its runs.
        seed: First seed.
    """

    def __init__(self, base: CommandLine, study: str, seed: int) -> None:
        self.base = base
        self.study = study
        self.seed = seed
        self._templates = Templates()

    def __call__(
        self,
        point: Mapping[str, Any],
        seed: int,
        report: Callback,
        marks: Mapping[str, Any],
        run: Path | None,
    ) -> Path | None:
        """Train with the values of a point, or go on in a run; return the run directory.

        Raises:
            Exception: Whatever the run raises.
        """
        command_line = self._command_line(point, seed, marks)
        if run is not None:
            checkpoint = resolve_checkpoint(str(run), self.base.root, self.study, "last")
            args = [*command_line.args, f"--ckpt_path={checkpoint}"]
            command_line = dataclasses.replace(command_line, args=args, run=run)
        with _users_mistakes():
            cli = TrialCLI(command_line, self._given(point, seed), self._templates, report)
        return cli.run_directory.run

    def _command_line(self, point: Mapping[str, Any], seed: int, marks: Mapping[str, Any], *more: str) -> CommandLine:
        own = [f"--experiment={self.study}", f"--seed_everything={seed}", *option_args(point), *more]
        args = ["fit", *QUIET, *self.base.args[1:], *own]
        return CommandLine(args, self.study, self.base.root, None, marks=marks)

    def _given(self, point: Mapping[str, Any], seed: int) -> dict[str, Any]:
        return {**point, "seed_everything": seed}

    def taken_types(self, points: Sequence[Mapping[str, Any]]) -> dict[str, type]:
        """Check that a configuration takes the values of all points.

        Returns:
            The type of each option's value in the configuration.

        Raises:
            ValueError: If an option does not exist, or does not take a value.
        """
        taken: dict[str, type] = {}
        for point in points:
            with _users_mistakes(), isolated():
                try:
                    TrialCLI(self._command_line(point, self.seed, {}), {}, Templates(), only="parse")
                except Parsed as parsed:
                    taken |= {name: type(value_of(parsed.config, name)) for name in point}
        return taken

    def try_out(self, point: Mapping[str, Any]) -> Tried:
        """Train and validate with a batch; nothing is written.

        Raises:
            ValueError: If the user is mistaken in the configuration or the data.
        """
        line = self._command_line(point, self.seed, {}, "--trainer.fast_dev_run=1")
        with _users_mistakes(), isolated(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            cli = TrialCLI(line, {}, Templates())
            callbacks = cli.trainer.callbacks  # type: ignore[attr-defined]  # the Trainer's parts set it
            watching = next((callback for callback in callbacks if isinstance(callback, BestAndLast)), None)
            monitor = watching.monitor if watching and watching.monitor != "auto" else None
            return Tried(sorted(cli.trainer.callback_metrics), monitor, watching.mode if watching else None)

    def config(self, point: Mapping[str, Any]) -> str:
        """Return the configuration with the values of a point, for `--config`."""
        line = dataclasses.replace(self.base, args=["fit", *self.base.args[1:], *option_args(point)])
        with _users_mistakes(), isolated():
            return TrialCLI(line, {}, Templates(), only="build").files["config.yaml"]


@contextmanager
def _users_mistakes() -> Iterator[None]:
    quieten()
    try:
        yield
    except MisconfigurationException as error:
        raise ValueError(one_line(error)) from error
