"""The scores in the table of experiments are those that its configurations reach."""

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT

REAL_DATA = ROOT.parent / "shared" / "data"
LINES = ["line/ols.yaml", "line/adam.yaml", "line/mlp.yaml", "line/l1_momentum.yaml"]


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return import_module("scores")


def call(scores: Any, monkeypatch: pytest.MonkeyPatch, *args: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["scores", *map(str, args)])
    return int(scores.main())


def test_every_row_promises_a_score(scores: Any) -> None:
    expected = {
        config: scores.expected_score(config, text) for config, text in scores.rows(scores.PAGE.read_text()).items()
    }
    assert expected.keys() == scores.SCORES.keys()
    assert set(expected) == {
        str(path.relative_to(ROOT / "configs"))
        for folder in ("fashion_mnist", "line")
        for path in (ROOT / "configs" / folder).glob("*.yaml")
    }
    assert expected["line/ols.yaml"] == 0
    assert all(50 < value < 200 for config, value in expected.items() if config not in (LINES[0], LINES[3]))


@pytest.mark.parametrize(("reached", "status"), [(191.35, 0), (191.5, 1), (190.0, 1), (float("nan"), 1)])
def test_a_score_that_is_off_is_seen(
    reached: float,
    status: int,
    scores: Any,
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = workspace / "scores" / "lightning_logs" / "line_adam" / "version_0"
    run.mkdir(parents=True)
    scores.runs.update_json(run / "metrics.json", {"final": {"train/loss": reached}, "test": {"test/loss": 1.0}})
    (run / "state.json").write_text('{"seconds": 3.5}')
    assert call(scores, monkeypatch, "line/adam.yaml") == status  # a run that is over is not made again
    row = capsys.readouterr().out.splitlines()[-1]
    assert row == f"| `line/adam.yaml` | 191.3 | {reached:.4g} | 0.1 | 3.5 | {'off' if status else 'as promised'} |"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_lines_reach_their_scores(
    scores: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(scores, monkeypatch, *LINES) == 0, capsys.readouterr().out
    assert len(re.findall("as promised", capsys.readouterr().out)) == len(LINES)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="needs the real FashionMNIST files in ../shared/data")
def test_the_perceptron_with_batch_norm_reaches_its_score(
    scores: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(scores, monkeypatch, "fashion_mnist/mlp_batch_norm.yaml", "--data_dir", REAL_DATA) == 0, (
        capsys.readouterr().out
    )
