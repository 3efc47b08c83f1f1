"""Constructors that fail: their own message, whatever else their option could be."""

from pathlib import Path

import pytest
from lightning.pytorch import Callback, LightningDataModule
from lightning.pytorch.loggers import CSVLogger
from torch import nn

from conftest import ROOT, Command

OLS = f"--config={ROOT / 'configs/line/ols.yaml'}"
ERRORS = {
    "package": ModuleNotFoundError("No module named 'mlflow'"),
    "value": ValueError("`size` must be even, got 3"),
    "type": TypeError("unsupported operand"),
    "lines": RuntimeError("no answer\nof the server"),
    "attribute": AttributeError("module 'a.b' has no attribute 'c'"),
    "silent": AssertionError(),
}
MESSAGES = {
    "package": "{} cannot be made: ModuleNotFoundError: No module named 'mlflow'",
    "value": "`size` must be even, got 3",
    "type": "{} cannot be made: TypeError: unsupported operand",
    "lines": "{} cannot be made: RuntimeError: no answer of the server",
    "attribute": "{} cannot be made: AttributeError: module 'a.b' has no attribute 'c'",
    "silent": "{} cannot be made: AssertionError",
}


class FailingLogger(CSVLogger):
    def __init__(self, error: str) -> None:
        raise ERRORS[error]


class FailingCallback(Callback):
    def __init__(self, error: str) -> None:
        raise ERRORS[error]


class FailingNetwork(nn.Module):
    def __init__(self, error: str) -> None:
        raise ERRORS[error]


class FailingData(LightningDataModule):
    def __init__(self, error: str) -> None:
        raise ERRORS[error]


PLACES = [
    ("trainer.logger", "FailingLogger"),
    ("trainer.callbacks", "FailingCallback"),
    ("callbacks.figures", "FailingCallback"),
    ("model.network", "FailingNetwork"),
    ("data", "FailingData"),
]


@pytest.mark.parametrize(
    ("option", "name", "error"),
    [(*PLACES[0], error) for error in ERRORS]
    + [(*place, error) for place in PLACES[1:] for error in ("value", "type")],
)
def test_a_constructor_that_fails_says_why(option: str, name: str, error: str, command: Command) -> None:
    class_path = f"test_construction.{name}"
    first = f"--{option}+={class_path}" if option == "trainer.callbacks" else f"--{option}={class_path}"
    failed = command("fit", OLS, first, f"--{option}.error={error}")
    assert (failed.status, failed.out) == (2, "")
    assert failed.err == f"lightning-template: error: {MESSAGES[error].format(class_path)}\n"
    assert not Path("lightning_logs").exists()


def test_a_list_of_loggers(command: Command, workspace: Path) -> None:
    good = "{class_path: lightning.pytorch.loggers.CSVLogger, init_args: {save_dir: .}}"
    bad = "{class_path: test_construction.FailingLogger, init_args: {error: type}}"
    (workspace / "loggers.yaml").write_text(f"trainer:\n  logger: [{good}, {bad}]\n")
    failed = command("fit", OLS, "--config=loggers.yaml")
    assert failed.status == 2
    assert failed.err.endswith("test_construction.FailingLogger cannot be made: TypeError: unsupported operand\n")


def test_debug_shows_where_it_failed(command: Command) -> None:
    failed = command("fit", "--debug", OLS, "--data=test_construction.FailingData", "--data.error=type")
    assert "raise ERRORS[error]" in failed.err
