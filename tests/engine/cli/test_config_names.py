"""Configurations are found by name."""

from pathlib import Path

import pytest

from conftest import Command
from lightning_template.engine.cli.command_line import read_command_line
from lightning_template.engine.cli.config_names import find_config, with_paths

FILES = ("rose.yaml", "line/mlp.yaml", "flowers/mlp.yaml", "flowers/deep/cnn.yaml", "with/bf16.yaml", "with/slow.yaml")
FAULTS = {
    "several": (["--config", "mlp"], "several configurations are named mlp: give flowers/mlp or line/mlp"),
    "near": (["--config", "cnnn"], "no configuration cnnn in configs, did you mean cnn?"),
    "near, with its folder": (["--config=line/mpl"], "no configuration line/mpl in configs, did you mean line/mlp?"),
    "part of a name": (["--config", "lp"], "no configuration lp in configs, did you mean mlp?"),
    "another overlay": (["--with", "bff16"], "no configuration bff16 in configs/with, did you mean bf16?"),
    "no overlay": (["--with", "cnn"], "no configuration cnn in configs/with"),
    "no name": (["--config", "rose", "--with"], "--with needs the name of a configuration"),
    "an option for a name": (["--with", "--config", "rose"], "--with needs the name of a configuration"),
}


@pytest.fixture
def configs(workspace: Path) -> Path:
    """Return a folder of configurations in the working directory."""
    for name in FILES:
        file = workspace / "configs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"experiment: {file.stem}\n")
    return workspace / "configs"


def test_a_name_is_the_end_of_one_path(configs: Path) -> None:
    assert find_config("rose") == "configs/rose.yaml"
    assert find_config("cnn") == find_config("deep/cnn") == find_config("flowers/deep/cnn")
    assert find_config("cnn") == "configs/flowers/deep/cnn.yaml"
    assert find_config("line/mlp") == "configs/line/mlp.yaml"
    (configs / "mlp.yaml").touch()
    assert find_config("mlp") == "configs/mlp.yaml"  # its whole path
    Path("cnn").write_text("{}")
    assert find_config("cnn") == "cnn"  # a file comes first
    assert find_config("missing.yaml") == "missing.yaml"


def test_overlays_come_after_all_configurations_in_order(configs: Path) -> None:
    options, overlays = with_paths(["--with=slow", "--config", "rose", "--x", "1", "--with", "bf16", "-c=cnn", "--y=2"])
    assert overlays == ["configs/with/slow.yaml", "configs/with/bf16.yaml"]
    given = ["--config", "configs/rose.yaml", "--x", "1", "-c=configs/flowers/deep/cnn.yaml"]
    assert options == [*given, "--config", overlays[0], "--config", overlays[1], "--y=2"]
    assert with_paths(["--with", "bf16", "--ckpt_path", "x"])[0] == ["--config", overlays[1], "--ckpt_path", "x"]


def test_an_overlay_does_not_name_the_experiment(configs: Path) -> None:
    (configs / "with" / "plain.yaml").write_text("trainer: {max_epochs: 1}\n")
    (configs / "line" / "mlp.yaml").write_text("trainer: {max_epochs: 2}\n")
    line = read_command_line(["fit", "--with", "plain", "--config", "line/mlp"])
    assert line.experiment == "mlp"
    assert line.typed == ("fit", "--with", "plain", "--config", "line/mlp")
    assert read_command_line(["fit", "--with", "plain"]).experiment == "default"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_name_that_is_not_there_gets_one_line(fault: str, configs: Path, command: Command) -> None:
    args, line = FAULTS[fault]
    result = command("fit", *args)
    assert (result.status, result.err) == (2, f"lightning-template: error: {line}\n")


def test_without_a_folder_of_configurations(command: Command) -> None:
    assert "no configuration file rose" in command("fit", "--config", "rose").err
    assert "--with bf16 needs a folder configs/with in the working directory" in command("fit", "--with", "bf16").err
