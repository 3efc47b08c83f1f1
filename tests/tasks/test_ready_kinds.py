"""The configuration of each ready kind of task passes every check, with advice where its loss is no mean of samples."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from lightning.pytorch import LightningDataModule, LightningModule

from conftest import ROOT
from lightning_template.load import load_config, load_data
from lightning_template.testing import check_task

CONFIGS = [*(ROOT / "configs" / "shapes").glob("*.yaml"), *(ROOT / "configs" / "sequences").glob("*.yaml")]
ADVICE = {
    "labelling": {"metrics_ignore_batch_size", "two_ranks_match_one"},  # a mean over positions
    "pairs": {"metrics_ignore_batch_size", "two_ranks_match_one"},  # samples are compared with each other
}


def shortened(path: Path, folder: Path) -> Path:
    """Write a copy of a configuration with few samples, and return its path."""
    config: dict[str, Any] = yaml.safe_load(path.read_text())
    data = config["data"] if isinstance(config["data"], dict) else {"class_path": config["data"]}
    config["data"] = data | {"init_args": data.get("init_args", {}) | {"num_samples": 200, "batch_size": 16}}
    (folder / path.name).write_text(yaml.safe_dump(config))
    return folder / path.name


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_ready_kind_fails_no_check(path: Path, tmp_path: Path) -> None:
    config = shortened(path, tmp_path)

    def make_task() -> LightningModule:
        return load_config(config)[0]

    def make_data() -> LightningDataModule:
        return load_data(config)

    results = check_task(make_task, make_data)
    outcomes = {result.check: result.outcome for result in results}
    assert {name for name, outcome in outcomes.items() if outcome == "failed"} == set()
    assert {name for name, outcome in outcomes.items() if outcome == "advice"} <= ADVICE.get(path.stem, set())
    assert sum(outcome == "passed" for outcome in outcomes.values()) >= 25
