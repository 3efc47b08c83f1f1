"""Output that cannot be written: it fails no run, and what only prints ends without a traceback."""

import errno
import io
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT, Command
from lightning_template.engine.cli import main as __main__
from lightning_template.engine.process.streams import Output, tolerant_output

LINE = [f"--config={ROOT / 'configs/line/adam.yaml'}", "--data.val_fraction=0.2", "--trainer.max_epochs=2"]
LINE += ["--callbacks.figures=null", "--callbacks.dashboard=null"]


class Full(io.StringIO):
    """A stream on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


class Unread(io.StringIO):
    """A pipe whose reader is gone, which turns out when it is flushed."""

    def flush(self) -> None:
        raise BrokenPipeError


class Terminal(Full):
    """A terminal that is gone."""

    def isatty(self) -> bool:
        return True


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


BROKEN = {
    "full": Full,
    "unread": Unread,
    "terminal": Terminal,
    "closed": closed,
    "none": lambda: None,
    "ascii": lambda: io.TextIOWrapper(io.BytesIO(), "ascii"),
}


STAGES = ("validate", "test", "predict")


@pytest.mark.parametrize("kind", BROKEN)
def test_training_goes_on(kind: str, monkeypatch: pytest.MonkeyPatch, workspace: Path) -> None:
    make: Any = BROKEN[kind]
    monkeypatch.setattr(sys, "stdout", make())
    monkeypatch.setattr(sys, "stderr", make())
    monkeypatch.setattr(sys, "argv", ["lightning-template", "fit", *LINE, "--experiment=ö"])
    assert __main__.main() == 0
    assert json.loads(Path("lightning_logs/ö/version_0/state.json").read_text())["state"] == "finished"


@pytest.mark.parametrize("kind", ["terminal", *(pytest.param(kind, marks=pytest.mark.slow) for kind in BROKEN)])
def test_no_stage_fails(kind: str, command: Command, monkeypatch: pytest.MonkeyPatch, workspace: Path) -> None:
    make: Any = BROKEN[kind]
    run = "lightning_logs/ö/version_0"
    assert command("fit", *LINE, "--experiment=ö").status == 0
    checks = [["check", *LINE]] if kind == "unread" else []  # takes seconds
    for args in (*checks, *([stage, f"--ckpt_path={run}"] for stage in STAGES)):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", make())
            patch.setattr(sys, "stderr", make())
            patch.setattr(sys, "argv", ["lightning-template", *args])
            assert __main__.main() == 0, args
    assert (Path(run) / "predictions.csv").is_file()
    assert {"validate", "test"} <= json.loads((Path(run) / "metrics.json").read_text()).keys()


def test_what_an_encoding_lacks_is_escaped() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, "ascii")
    output = Output(stream)
    assert output.write("größer\n") == 7
    output.flush()
    assert raw.getvalue() == b"gr\\xf6\\xdfer\n"
    assert output.failure is None
    assert output.encoding == "ascii"


def test_a_descriptor_that_failed_takes_what_its_buffer_still_holds(workspace: Path) -> None:
    with Path("/dev/full").open("w") as stream:
        output = Output(stream)
        output.write("kept by the buffer")
        output.flush()
        assert isinstance(output.failure, OSError)
        assert not output.isatty()
        stream.flush()  # as Python does at its end


def test_after_the_first_failure_nothing_is_written() -> None:
    class FullOnce(io.StringIO):
        failures = 0

        def write(self, text: str) -> int:
            self.failures += 1
            raise OSError(errno.ENOSPC, "full")

    stream = FullOnce()
    output = Output(stream)
    assert [output.write("one"), output.write("two")] == [3, 3]
    assert stream.failures == 1
    assert isinstance(output.failure, OSError)
    assert output.failure.errno == errno.ENOSPC


def test_only_a_terminal_that_takes_text_is_one() -> None:
    class Living(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert Output(Living()).isatty()
    assert not Output(io.StringIO()).isatty()
    assert not Output(closed()).isatty()
    assert not Output(None).isatty()
    failed = Output(Terminal())
    failed.write("text")
    assert not failed.isatty()


def test_a_closed_descriptor_is_said_to_be_one() -> None:
    failure = Output(None).failure
    assert isinstance(failure, OSError)
    assert failure.errno == errno.EBADF
    assert Output(None).write("text") == 4


def test_streams_come_back() -> None:
    before = sys.stdout, sys.stderr
    with tolerant_output() as output:
        assert sys.stdout is output
    assert (sys.stdout, sys.stderr) == before


def shell(line: str) -> subprocess.CompletedProcess[str]:
    program = f"{shlex.quote(sys.executable)} -m lightning_template"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line.replace('PROGRAM', program)}"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return done


@pytest.mark.parametrize("args", ["--help", "runs", "runs --help", "--completion", "fit --help", "new --help"])
def test_what_only_prints_and_cannot_ends_with_one_line(args: str, workspace: Path) -> None:
    full = shell(f"PROGRAM {args} > /dev/full")
    assert full.returncode == 1
    assert full.stderr == "lightning-template: error: cannot write the output: No space left on device\n"


def test_a_reader_that_has_enough_and_closed_descriptors(workspace: Path) -> None:
    for number in range(400):  # more than a pipe takes
        run = workspace / f"lightning_logs/größe{'x' * 200}/version_{number}"
        run.mkdir(parents=True)
        (run / "state.json").touch()
    for unbuffered in ("", "1"):  # as containers often have it
        unread = shell(f"PYTHONUNBUFFERED={unbuffered} PROGRAM runs | head -1")
        assert (unread.returncode, unread.stderr) == (128 + signal.SIGPIPE, "")
    assert unread.stdout.startswith("experiment")
    assert "gr\\xf6\\xdfe" in shell("PROGRAM runs").stdout
    assert shell("PROGRAM runs >&-").returncode == 1
    assert shell("PROGRAM runs --sort=size 2>&-").returncode == 2
    assert shell("PROGRAM --version <&- 2>&-").stdout.startswith("lightning-template ")


def test_no_file_gets_the_number_of_a_closed_descriptor(workspace: Path) -> None:
    (workspace / "open.py").write_text(
        "import os, sys\n"
        "from lightning_template.engine.process.streams import tolerant_output\n"
        "with tolerant_output():\n"
        "    sys.exit(os.open('file', os.O_CREAT | os.O_WRONLY))\n"
    )
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        assert shell(f"{shlex.quote(sys.executable)} open.py {closed}").returncode > 2


def test_what_has_done_its_work_keeps_its_status(workspace: Path) -> None:
    assert shell("PROGRAM new task roses > /dev/full").returncode == 0
    assert Path("roses.yaml").is_file()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("output", [">&-", "> /dev/full", "| head -0", ">&- 2>&-", "> /dev/full 2> /dev/full"])
def test_a_real_run_whose_output_nobody_can_read(output: str, workspace: Path) -> None:
    done = shell(f"PROGRAM fit {shlex.join(LINE)} {output}")
    assert done.returncode == 0, done.stderr
    assert list(Path("lightning_logs").rglob("last.ckpt"))
