"""Makes the classes that a configuration names, and knows which of them failed: jsonargparse may tell of other errors.

An option may be of several types, such as a logger, a list of loggers or a bool. jsonargparse tries them all, and
reports that a value fits none. That the constructor of one has failed is somewhere within its report, as text.
"""

import functools
from collections.abc import Callable
from typing import Any

from jsonargparse import ArgumentParser
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule
from lightning.pytorch.cli import LightningCLI

from lightning_template.engine.libraries.lightning_cli import hyper_parameter_saver
from lightning_template.engine.process.errors import one_line
from lightning_template.engine.tasks import TaskModule
from lightning_template.engine.tasks.schedules import is_schedule, make_schedule


class Construction:
    """Calls the classes that a parser makes; our own tasks as Lightning does, which keeps their configuration.

    Args:
        cli: What asks for the classes.
    """

    def __init__(self, cli: LightningCLI) -> None:
        self._failure: Exception | None = None
        self._class_path = ""
        self._cli = cli
        self.data: LightningDataModule | None = None
        """Datamodule that is made already, for the next one that is asked for."""

    def take_over(self, parser: ArgumentParser) -> None:
        """Have a parser's classes made here."""
        if saver := hyper_parameter_saver(self._cli, "model"):
            parser.add_instantiator(self._calling(saver), TaskModule)
        parser.add_instantiator(self._calling(None), object)

    def forget(self) -> None:
        """Forget failures: all classes were made, after another attempt at some of them."""
        self._failure = None

    def failure(self) -> ValueError | None:
        """Return what the first constructor that failed has to say, on one line."""
        error = self._failure
        if error is None:
            return None
        is_users = isinstance(error, (ValueError, MisconfigurationException))
        reason = one_line(error)
        kind = "" if reason == type(error).__name__ else f"{type(error).__name__}: "
        found = ValueError(reason if is_users else f"{self._class_path} cannot be made: {kind}{reason}")
        found.__cause__ = error
        return found

    def _calling(self, of_lightning: Callable[..., Any] | None) -> Callable[..., Any]:
        def call(class_type: type, *args: Any, applied_instantiation_links: dict[str, Any], **kwargs: Any) -> Any:
            if self.data is not None and class_type is type(self.data):
                made, self.data = self.data, None
                return made
            try:
                if of_lightning is None:
                    make = functools.partial(make_schedule, class_type) if is_schedule(class_type) else class_type
                    return make(*args, **kwargs)
                return of_lightning(
                    class_type, *args, applied_instantiation_links=applied_instantiation_links, **kwargs
                )
            except Exception as error:
                if self._failure is None:
                    self._failure, self._class_path = error, f"{class_type.__module__}.{class_type.__qualname__}"
                raise

        return call
