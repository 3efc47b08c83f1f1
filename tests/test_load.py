"""Tasks and data of configurations, in Python."""

from pathlib import Path

import pytest
import torch
import yaml

from conftest import ROOT
from lightning_template.datamodules import LineDataModule
from lightning_template.load import load_config, load_run
from lightning_template.tasks import RegressionTask

LINE = ROOT / "configs" / "line" / "adam.yaml"


def test_task_and_data_of_a_configuration() -> None:
    task, data = load_config(LINE)
    assert (type(task), type(data)) == (RegressionTask, LineDataModule)


def test_what_a_configuration_lacks_or_a_class_refuses_is_one_line(tmp_path: Path) -> None:
    config = yaml.safe_load(LINE.read_text())
    file = tmp_path / "changed.yaml"
    for changed, message in (
        ({"data": config["data"]}, "must say what to build under `model`"),
        (config | {"data": config["data"] | {"init_args": {"num_pointz": 3}}}, "num_pointz"),
    ):
        file.write_text(yaml.safe_dump(changed))
        with pytest.raises(ValueError, match=message) as caught:
            load_config(file)
        assert str(file) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.yaml").write_text(LINE.read_text())
    weights = {name: weight[..., None] for name, weight in load_config(LINE)[0].state_dict().items()}
    torch.save({"state_dict": weights}, tmp_path / "checkpoints" / "best.ckpt")
    with pytest.raises(ValueError, match=r"best\.ckpt is of another architecture: "):
        load_run(tmp_path)
