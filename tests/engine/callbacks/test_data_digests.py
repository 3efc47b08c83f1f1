"""What is said of data that differ from those that a run began with, and when that ends it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lightning_template.engine.callbacks.data_digests import DataDigests, change_of_data, describe_data
from lightning_template.engine.runs.digests import dump_json, load_json

THEN = {"train": {"path": "a.csv", "digest": "111"}, "test": {"path": "b.csv", "digest": "222"}}


def data(**digests: str) -> Any:
    found = {name: SimpleNamespace(path=f"{name}.csv", digest=digest) for name, digest in digests.items()}
    return SimpleNamespace(data_digests=lambda: found)


def test_data_are_described_by_path_and_digest(caplog: pytest.LogCaptureFixture) -> None:
    assert describe_data(data(train="1")) == {"train": {"path": "train.csv", "digest": "1"}}
    assert describe_data(SimpleNamespace()) == describe_data(None) == {}  # type: ignore[arg-type]
    assert not caplog.messages
    assert describe_data(SimpleNamespace(data_digests=lambda: [][0])) == {}  # type: ignore[arg-type]
    said = "the data can be compared with no other run's: list index out of range"
    assert caplog.record_tuples == [("lightning_template", 30, said)]


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (THEN, None),
        (THEN | {"test": {"path": "elsewhere/b.csv", "digest": "222"}}, None),
        (
            THEN | {"test": {"path": "c.csv", "digest": "333"}},
            "c.csv has changed: its digest was 222 and is 333",
        ),
        ({"train": THEN["train"]}, "b.csv has changed: its digest was 222 and is none"),
        (
            THEN | {"val": {"path": "v.csv", "digest": "4"}},
            "v.csv has changed: its digest was none and is 4",
        ),
        ({}, "a.csv has changed: its digest was 111 and is none (1 more have changed)"),
        (
            {name: {"path": name, "digest": "0"} for name in ("val", "test", "train")},
            "train has changed: its digest was 111 and is 0 (2 more have changed)",
        ),
    ],
)
def test_the_first_change_is_named(now: Any, expected: str | None, tmp_path: Path) -> None:
    assert change_of_data(tmp_path, now) is None  # a run that kept none
    (tmp_path / "data.json").write_text(dump_json(THEN | {"version": 1}))
    assert change_of_data(tmp_path, now) == expected
    (tmp_path / "data.json").write_text("{")
    said = change_of_data(tmp_path, now)
    assert said is not None
    assert said.startswith(f"{tmp_path / 'data.json'} cannot be read (")


@pytest.mark.parametrize("changed", [True, False])
@pytest.mark.parametrize("stage", ["fit", "test"])
@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("resumes", [True, False])
def test_other_data_end_a_training_that_goes_on(
    changed: bool, stage: str, allowed: bool, resumes: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data.json").write_text(dump_json({"train": {"path": "train.csv", "digest": "1"}}))
    trainer: Any = SimpleNamespace(is_global_zero=True, datamodule=data(train="2" if changed else "1"))
    module: Any = None
    files: dict[str, str] = {}
    callback = DataDigests(files, tmp_path if resumes else None, allowed)
    change = "train.csv has changed: its digest was 1 and is 2"
    if changed and resumes and stage == "fit" and not allowed:
        with pytest.raises(ValueError, match=f"^{change}, so the run might not end as it would have: .*allow_changes"):
            callback.setup(trainer, module, stage)
        assert not caplog.messages
    else:
        callback.setup(trainer, module, stage)
        says = [f"the data may differ from those of training: {change}"] if changed and resumes else []
        assert caplog.messages == says
    kept = load_json(files["data.json"].encode())
    assert kept["train"] == {"path": "train.csv", "digest": "2" if changed else "1"}


def test_data_are_read_once_by_the_first_rank() -> None:
    module: Any = None
    files: dict[str, str] = {}
    for is_first in (False, True, True):
        again: Any = SimpleNamespace(is_global_zero=is_first, datamodule=data(train=str(len(files))))
        DataDigests(files).setup(again, module, "fit")
        assert ("data.json" in files) == is_first
    assert load_json(files["data.json"].encode())["train"]["digest"] == "0"


def test_changes_are_not_allowed_unless_said(tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text(dump_json(THEN))
    trainer: Any = SimpleNamespace(is_global_zero=True, datamodule=None)
    module: Any = None
    with pytest.raises(ValueError, match=r"a\.csv has changed"):
        DataDigests({}, tmp_path).setup(trainer, module, "fit")
