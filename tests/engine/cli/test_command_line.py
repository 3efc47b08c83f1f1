"""What a command line says before torch is imported."""

from pathlib import Path
from typing import Any

import pytest

from lightning_template.engine.cli import command_line
from lightning_template.engine.cli import main as __main__
from lightning_template.engine.cli.command_line import read_command_line
from lightning_template.engine.cli.commands import check, new


@pytest.fixture(autouse=True)
def here(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Work among configurations; return what checkpoints are asked for, of which all are there."""
    Path("first.yaml").write_text("experiment: one\ntrainer: {default_root_dir: a}\nckpt_path: last\n")
    Path("second.yaml").write_text("experiment: two\ntrainer: {default_root_dir: b}\n")
    Path("plain.yaml").write_text("seed_everything: 1\n")
    asked: list[tuple[Any, ...]] = []

    def resolve(*args: Any) -> Path:
        asked.append(args)
        return Path("found.ckpt")

    monkeypatch.setattr(command_line, "resolve_checkpoint", resolve)
    return asked


@pytest.mark.parametrize(
    ("options", "experiment", "root"),
    [
        (["--config", "plain.yaml"], "plain", "."),
        (["--config", "first.yaml"], "one", "a"),
        (["--config", "first.yaml", "--config=second.yaml"], "two", "b"),
        (["-c", "second.yaml", "--config", "first.yaml"], "one", "a"),
        (["--config", "second.yaml", "--config", "plain.yaml"], "two", "b"),
        (["--experiment", "three", "--config", "first.yaml", "--trainer.default_root_dir=c"], "three", "c"),
        (["--experiment=three", "--experiment", "four"], "four", "."),
        ([], "default", "."),
    ],
)
def test_the_later_wins_and_options_win_over_files(options: list[str], experiment: str, root: str) -> None:
    line = read_command_line(["fit", *options, "--ckpt_path", "x"])
    assert (line.experiment, line.root) == (experiment, Path(root))
    assert line.typed == ("fit", *options, "--ckpt_path", "x")


@pytest.mark.parametrize(("subcommand", "prefer"), [("fit", "last"), ("test", "best"), ("predict", "best")])
def test_a_checkpoint_is_asked_for_once(subcommand: str, prefer: str, here: list[tuple[Any, ...]]) -> None:
    options = ["--ckpt_path", "best", "--a", "1", "--ckpt_path=run", "--b=2"]
    line = read_command_line([subcommand, "--config", "second.yaml", *options])
    assert here == [("run", Path("b"), "two", prefer)]
    assert line.args == [subcommand, "--config", "second.yaml", "--a", "1", "--b=2", "--ckpt_path", "found.ckpt"]
    assert (line.run, line.origin) == (None, "")  # the file lies in no run


def test_a_configuration_may_name_the_checkpoint(here: list[tuple[Any, ...]]) -> None:
    assert read_command_line(["test", "--config", "first.yaml"]).args[-2:] == ["--ckpt_path", "found.ckpt"]
    assert here == [("last", Path("a"), "one", "best")]


@pytest.mark.parametrize("subcommand", ["validate", "test", "predict"])
def test_an_evaluation_needs_a_checkpoint(subcommand: str, here: list[tuple[Any, ...]]) -> None:
    with pytest.raises(ValueError, match=rf"^`{subcommand}` needs --ckpt_path \(best, last, .*add --allow_untrained$"):
        read_command_line([subcommand, "--config", "plain.yaml", "--model.x", "3"])
    for option in ("--allow_untrained", "--allow_untrained=true", "--print_config", "--model.help=a.B"):
        assert read_command_line([subcommand, "--config", "plain.yaml", option]).args[-1] == option
    assert read_command_line(["fit", "--config", "plain.yaml"]).run is None
    assert here == []


def test_words_need_an_experiment() -> None:
    for word in ("best", "last"):
        with pytest.raises(ValueError, match=f"`ckpt_path` {word} of which experiment"):
            read_command_line(["fit", "--ckpt_path", word])
        assert read_command_line(["fit", "--ckpt_path", word, "--experiment", "x"]).experiment == "x"
    assert read_command_line(["fit", "--ckpt_path", "some/file"]).experiment == "default"


def test_the_experiment_of_a_run_is_the_runs() -> None:
    run = Path("run")
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text("experiment: theirs\n")
    command_line.resolve_checkpoint = lambda *_: run / "checkpoints" / "x.ckpt"  # type: ignore[attr-defined]
    line = read_command_line(["test", "--ckpt_path", "run"])
    assert (line.experiment, line.run) == ("theirs", run)
    assert read_command_line(["test", "--ckpt_path", "run", "--experiment", "mine"]).experiment == "mine"
    assert read_command_line(["test", "--ckpt_path", "run", "--config", "plain.yaml"]).experiment == "plain"


@pytest.mark.parametrize(
    "args", [[], ["--help"], *([name, "--help"] for name in ("fit", "validate", "test", "predict"))]
)
def test_the_help_of_what_trains_and_evaluates_is_one(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__._dispatch(args) == 0
    assert capsys.readouterr().out == __main__.HELP


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_check_and_new_have_a_help_of_their_own(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in (("check", check.HELP), ("new", new.HELP)):
        assert __main__._dispatch([name, word]) == 0
        assert capsys.readouterr().out == text
