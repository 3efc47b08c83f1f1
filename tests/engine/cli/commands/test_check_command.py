"""`lightning-template check`: the checks of a configuration's task and data."""

import json
from pathlib import Path

import pytest

from conftest import ROOT, Command
from lightning_template.engine.cli.commands import check
from lightning_template.testing import CheckResult, ChecksFailed, suite
from lightning_template.testing.checks import CHECKS
from lightning_template.testing.exceptions import CheckAdvised
from lightning_template.testing.running import Outcome

LINE = ["check", f"--config={ROOT / 'configs/line/adam.yaml'}"]


@pytest.mark.slow
def test_a_sound_configuration_passes(command: Command, workspace: Path) -> None:
    result = command(*LINE, "--data.val_fraction=0.2", "--json")
    assert (result.status, result.err) == (0, "")
    outcomes = {entry["check"]: entry["outcome"] for entry in json.loads(result.out)}
    assert [*outcomes] == [*CHECKS]
    assert set(outcomes.values()) == {"passed", "skipped"}
    assert outcomes["arguments_are_saved"] == outcomes["two_ranks_match_one"] == "passed"
    assert list(workspace.iterdir()) == []


def test_an_override_that_is_a_mistake_fails(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    few = ("loss_is_finite", "loss_starts_as_expected", "overfits_one_batch")
    monkeypatch.setattr(suite, "CHECKS", {name: CHECKS[name] for name in few})
    result = command(*LINE, "--model.optimizer.lr=0")
    assert result.status == 1
    words = [line.split()[:2] for line in result.out.splitlines()]
    assert words[0] == ["check", "outcome"]
    for name, outcome in zip(few, ("passed", "skipped", "failed"), strict=True):
        assert [name, outcome] in words


def test_some_checks_alone_and_advice_as_a_failure(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def advise(subject: object) -> None:
        raise CheckAdvised("it could be better")

    monkeypatch.setitem(CHECKS, "exports", advise)
    args = [*LINE, "--only", "exports", "--only=loss_is_finite", "--json"]
    for strict, status, outcome in (([], 0, "advice"), (["--strict"], 1, "failed")):
        result = command(*args, *strict)
        assert (result.status, result.err) == (status, "")
        outcomes = {entry["check"]: entry["outcome"] for entry in json.loads(result.out)}
        assert outcomes == {"loss_is_finite": "passed", "exports": outcome}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--model.optimizer.lrr=1"], "did you mean model.optimizer.lr?"),
        (["--only=export"], "`--only` names no check export, did you mean exports?"),
        (["--data.num_points=1"], "a line needs `num_points` >= 2"),
        (["--ckpt_path=last", "--experiment=none"], "no last.ckpt in 0 runs in lightning_logs/none"),
        (["--config=missing.yaml"], "no configuration file missing.yaml"),
    ],
)
def test_mistakes_are_told_as_by_fit(command: Command, args: list[str], message: str) -> None:
    result = command(*LINE, *args)
    assert result.status == 2
    assert message in result.err
    assert len(result.err.splitlines()) == 1


def test_data_that_cannot_be_had_are_the_users_mistake(command: Command, workspace: Path) -> None:
    (workspace / "broken.py").write_text(
        "from lightning_template.datamodules import LineDataModule\n"
        "class Broken(LineDataModule):\n"
        "    def prepare_data(self):\n"
        "        raise ValueError('no such file')\n"
    )
    result = command(*LINE, "--data=broken.Broken")
    assert (result.status, result.err) == (2, "lightning-template: error: no such file\n")


def test_the_table_has_every_outcome_and_their_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    outcomes: tuple[Outcome, ...] = ("advice", "passed", "failed", "skipped")
    check._print_table([CheckResult(f"check_{outcome}", outcome, f"of {outcome}", 0.25) for outcome in outcomes])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["check", "outcome", "seconds", "message"]
    in_order = ("passed", "failed", "skipped", "advice")
    assert lines[1:-1] == [[f"check_{outcome}", outcome, "0.2", "of", outcome] for outcome in in_order]
    assert " ".join(lines[-1]) == "3 of 4 checks could look: 1 advice, 1 passed, 1 failed"


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [(["passed"], 0), (["passed", "skipped", "advice"], 0), (["passed", "failed", "skipped"], 1), (["failed"], 1)],
)
@pytest.mark.parametrize("raises", [False, True])
def test_the_status_is_1_if_one_check_failed(
    outcomes: list[Outcome],
    status: int,
    raises: bool,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results = [CheckResult("check_name", outcome, "why", 0.25, "task.py:3") for outcome in outcomes]

    def check_task(*_: object, **__: object) -> list[CheckResult]:
        if raises:
            raise ChecksFailed(results)
        return results

    monkeypatch.setattr("lightning_template.engine.cli.idle_cli.factories", lambda _: ())
    monkeypatch.setattr("lightning_template.testing.check_task", check_task)
    done = command(*LINE, "--json")
    assert (done.status, done.err) == (status, "")
    assert json.loads(done.out) == [
        {"check": "check_name", "outcome": outcome, "message": "why", "seconds": 0.25, "place": "task.py:3"}
        for outcome in outcomes
    ]


def test_a_narrow_terminal_has_whole_names_and_colours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "xterm"), ("COLUMNS", "60")):
        monkeypatch.setenv(name, value)
    outcomes: tuple[Outcome, ...] = ("passed", "failed", "skipped")
    check._print_table([CheckResult("a name of several words", outcome, "text " * 20, 1.0) for outcome in outcomes])
    out = capsys.readouterr().out
    assert out.count("a name of several words") == 3
    for coloured in ("\x1b[32mpassed", "\x1b[1;31mfailed", "\x1b[2mskipped"):
        assert coloured in out
