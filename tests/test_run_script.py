"""scripts/run and scripts/lock, with fakes for Python, pip and uv that write down how they were called."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="bash scripts")

SCRIPTS = Path(__file__).parents[1] / "scripts"
TOOLS = ["awk", "bash", "cat", "cp", "dirname", "env", "grep", "ls", "mkdir", "mktemp", "mv", "readlink", "rm", "sleep"]
UV_ENTRY = "uv==1.0 \\\n    --hash=sha256:22\n    # via lightning-template (pyproject.toml:dev)\n"
LOCK = f"torch==1.0 \\\n    --hash=sha256:11\n    # via torchmetrics\n{UV_ENTRY}uvloop==1.0 \\\n    --hash=sha256:33\n"
FAKE = f"""#!{shutil.which("bash")}
args=$*
printf '%s\\n' "$0 ${{args%%$'\\n'*}}" >>"$FAKE_LOG"
breaks() {{ case " $FAKE_BROKEN " in *" $1 "*) echo "fake $1 is broken" && exit 1 ;; esac; }}
case "${{0##*/}} $args" in
  *flock*) exec '{sys.executable}' -c "${{!#}}" ;;
  *sys.version_info*) breaks "${{0##*/}}"; exec '{sys.executable}' -ISc "$AS_FAKE" "$0" "$FAKE_OLD" "${{!#}}" ;;
  *'import venv,ensurepip') breaks ensurepip ;;
  *'import pip') [ -e "${{0%/*}}/pip" ] ;;
  *'-m venv'*) mkdir -p "${{!#}}/bin"; cp "$0" "${{!#}}/bin/python" ;;
  *'-m ensurepip'*) : >"${{0%/*}}/pip" ;;
  *'-m pip'*.set-up/uv) breaks pip-of-uv; cp "$0" "${{0%/*}}/uv" ;;
  *'-m pip'*) breaks pip ;;
  'uv pip install'*)
    cat >/dev/null; : >"$FAKE_LOG.installing"; until [ -e "$FAKE_UNTIL" ]; do sleep 0.02; done; breaks uv ;;
  'uv python install'*) : >"${{0%/*}}/installed" ;;
  'uv python find'*) [ -e "${{0%/*}}/installed" ] && echo "${{0%/*}}/managed" ;;
  'uv pip compile'*) echo "$FAKE_COMPILED" >"${{!#}}" ;;
esac
"""

# Runs a fake's code as if it were a Python of that name: of 3.10 where it is listed, of 3.11 elsewhere.
AS_FAKE = """
import pathlib, sys
_, sys.executable, old, code = sys.argv
sys.version_info = (3, 10, 19) if pathlib.Path(sys.executable).name in old.split() else (3, 11, 0)
exec(code)
"""

# A test runner in the background may ignore SIGINT, and its children would inherit that.
HEED_SIGINT = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Project:
    """A copy of the scripts in a project of their own, and a PATH with nothing else than the fakes and TOOLS."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "dir with spaces"
        self.bin = folder / "bin"
        self.log = folder / "log"
        self.log.touch()
        self.bin.mkdir()
        (self.root / "scripts").mkdir(parents=True)
        for script in ("run", "lock"):
            shutil.copy(SCRIPTS / script, self.root / "scripts" / script)
        (self.root / "requirements.lock").write_text(LOCK)
        (self.root / "pyproject.toml").write_text("[project]\n")
        for tool in TOOLS:
            path = shutil.which(tool)
            assert path, tool
            (self.bin / tool).symlink_to(path)
        self.add("python3")

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    def add(self, *names: str) -> None:
        for name in names:
            (self.bin / name).write_text(FAKE)
            (self.bin / name).chmod(0o755)

    def start(
        self, *args: str, script: str | None = None, cwd: Path | None = None, **env: str
    ) -> subprocess.Popen[str]:
        defaults = {"FAKE_BROKEN": "", "FAKE_OLD": "", "FAKE_UNTIL": "/", "FAKE_LOG": str(self.log)}
        defaults |= {"AS_FAKE": AS_FAKE, "PATH": str(self.bin)}
        return subprocess.Popen(
            [sys.executable, "-Ic", HEED_SIGINT, script or str(self.root / "scripts" / "run"), *args],
            cwd=cwd or self.root,
            env=defaults | env,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def run(
        self, *args: str, script: str | None = None, cwd: Path | None = None, stdin: str = "", **env: str
    ) -> subprocess.CompletedProcess[str]:
        process = self.start(*args, script=script, cwd=cwd, **env)
        stdout, stderr = process.communicate(stdin, timeout=120)
        return subprocess.CompletedProcess(args, process.returncode, stdout, stderr)

    def calls(self, having: str = "") -> list[str]:
        """The fakes' calls since the last look, with the project's path shortened."""
        lines = self.log.read_text().replace(str(self.root), "ROOT").replace(str(self.bin), "BIN").splitlines()
        self.log.write_text("")
        return [line for line in lines if having in line]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def warm(project: Project) -> Project:
    project.add("uv")
    assert project.run("bash", "-c", "exit 0").returncode == 0
    assert project.calls()
    return project


EDITABLE = "install --no-deps --no-build-isolation -e ."
LOCKED = "install --require-hashes -r ROOT/.venv/.set-up/lock"


def uv_call(uv: str, tail: str, redo: str = "") -> str:
    return f"{uv} pip install --python ROOT/.venv/bin/python {redo}{tail.removeprefix('install ')}"


def pip_call(tail: str, redo: str = "") -> str:
    return (
        "ROOT/.venv/bin/python -I -m pip -q --no-input --disable-pip-version-check "
        f"install --no-user {redo}{tail.removeprefix('install ')}"
    )


def test_second_call_sets_nothing_up_and_passes_arguments_as_typed(warm: Project) -> None:
    args = ["two words", "", "*", "$HOME", "--flag=a'b", "tail\n"]
    done = warm.run("bash", "-c", 'printf "<%s>" "$@"', "_", *args)
    assert done.stdout == "".join(f"<{arg}>" for arg in args)
    assert done.stderr == ""
    assert warm.calls() == []


def test_exit_status_and_stdin_pass_through(warm: Project) -> None:
    done = warm.run("bash", "-c", "cat; exit 7", stdin="from stdin")
    assert (done.returncode, done.stdout) == (7, "from stdin")


def test_signal_reaches_the_command(warm: Project) -> None:
    process = warm.start("bash", "-c", "echo $$; exec sleep 30")
    assert process.stdout
    assert int(process.stdout.readline()) == process.pid
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM


def test_working_directory_stays(warm: Project, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "note").write_text("found")
    done = warm.run("bash", "-c", 'pwd -P; cat "$1"', "_", "note", cwd=elsewhere)
    assert done.stdout == f"{elsewhere.resolve()}\nfound"
    relative = warm.run("bash", "-c", 'echo "$LIGHTNING_TEMPLATE_LAUNCHER"', script="scripts/run")
    assert relative.stdout == "scripts/run\n"
    assert warm.calls() == []


def test_call_through_symlinks(warm: Project, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "second").symlink_to(warm.root / "scripts" / "run")
    (tmp_path / "first").symlink_to("links/second")
    show = 'echo "$VIRTUAL_ENV $LIGHTNING_TEMPLATE_LAUNCHER"'
    done = warm.run("bash", "-c", show, script=str(tmp_path / "first"))
    assert done.stdout == f"{warm.venv.resolve()} {tmp_path / 'first'}\n"
    assert warm.calls() == []


def test_environment_of_the_command(warm: Project) -> None:
    show = 'echo "${PATH%%:*} ${PYTHONHOME-unset} $(type -P python)"'
    bin_ = warm.venv.resolve() / "bin"
    assert warm.run("bash", "-c", show, PYTHONHOME="/nowhere").stdout == f"{bin_} unset {bin_}/python\n"


@pytest.mark.parametrize("args", [(), ("",)])
def test_no_command(project: Project, args: tuple[str, ...]) -> None:
    done = project.run(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: ")
    assert not project.venv.exists()


def test_unknown_command(warm: Project) -> None:
    done = warm.run("no-such-command")
    assert done.returncode == 127
    assert done.stderr == "scripts/run: no-such-command: command not found, neither in .venv nor on PATH\n"


def test_cold_with_uv(project: Project) -> None:
    project.add("uv")
    done = project.run("bash", "-c", "echo out")
    assert (done.returncode, done.stdout) == (0, "out\n")
    assert all(line.startswith("scripts/run: ") for line in done.stderr.splitlines())
    calls = project.calls()
    assert "BIN/python3 -I -m venv --without-pip ROOT/.venv" in calls
    assert [call for call in calls if " install " in call] == [uv_call("BIN/uv", LOCKED), uv_call("BIN/uv", EDITABLE)]


def test_the_set_up_leaves_stdin_to_the_command(project: Project) -> None:
    project.add("uv")
    assert project.run("cat", stdin="from stdin").stdout == "from stdin"


def test_nothing_is_installed_without_a_lock(project: Project) -> None:
    project.add("uv")
    (project.root / "requirements.lock").unlink()
    done = project.run("bash", "-c", "echo out")
    assert (done.returncode, done.stdout) == (1, "")
    assert "requirements.lock" in done.stderr
    assert project.calls(" install ") == []


def test_cold_without_uv_takes_it_from_the_lock(project: Project) -> None:
    assert project.run("bash", "-c", "exit 0").returncode == 0
    assert project.calls(" install ") == [
        pip_call("install --require-hashes --no-deps -r ROOT/.venv/.set-up/uv"),
        uv_call("ROOT/.venv/bin/uv", LOCKED),
        uv_call("ROOT/.venv/bin/uv", EDITABLE),
    ]
    assert (project.venv / ".set-up" / "uv").read_text() == UV_ENTRY


def test_pip_where_no_uv_can_be_had(project: Project) -> None:
    assert project.run("bash", "-c", "exit 0", FAKE_BROKEN="pip-of-uv").returncode == 0
    assert project.calls(" install ")[1:] == [pip_call(LOCKED), pip_call(EDITABLE)]


def test_pip_where_uv_fails(project: Project) -> None:
    project.add("uv")
    assert project.run("bash", "-c", "exit 0", FAKE_BROKEN="uv").returncode == 0
    assert pip_call(LOCKED, redo="--force-reinstall ") in project.calls()


def test_changed_lock_is_installed_in_place(warm: Project) -> None:
    (warm.root / "requirements.lock").write_text(LOCK.replace("torch==1.0", "torch==2.0"))
    (warm.venv / "mine").touch()
    assert warm.run("bash", "-c", "exit 0").returncode == 0
    assert warm.calls(" install ") == [uv_call("BIN/uv", LOCKED), uv_call("BIN/uv", EDITABLE)]
    assert (warm.venv / "mine").exists()
    warm.run("bash", "-c", "exit 0")
    assert warm.calls() == []


def test_lock_put_back_after_a_failed_install_counts_for_nothing(warm: Project) -> None:
    (warm.root / "requirements.lock").write_text(LOCK.replace("torch==1.0", "torch==2.0"))
    assert warm.run("bash", "-c", "exit 0", FAKE_BROKEN="uv pip").returncode == 1
    (warm.root / "requirements.lock").write_text(LOCK)
    warm.calls()
    assert warm.run("bash", "-c", "exit 0").returncode == 0
    assert warm.calls(" install ") == [uv_call("BIN/uv", LOCKED), uv_call("BIN/uv", EDITABLE)]


@pytest.mark.parametrize(
    ("file", "installed"), [("requirements.lock", [LOCKED, EDITABLE]), ("pyproject.toml", [EDITABLE])]
)
def test_what_changes_during_its_installation_is_installed_by_the_next_call(
    warm: Project, file: str, installed: list[str]
) -> None:
    (warm.root / file).write_text(LOCK.replace("torch==1.0", "torch==2.0"))
    (installing := Path(f"{warm.log}.installing")).unlink()
    release = warm.root / "release"
    process = warm.start("bash", "-c", "exit 0", FAKE_UNTIL=str(release))
    wait_for(installing)
    (warm.root / file).write_text(LOCK.replace("torch==1.0", "torch==3.0"))
    release.touch()
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert warm.calls(" install ") == [uv_call("BIN/uv", tail) for tail in installed]
    assert warm.run("bash", "-c", "exit 0").returncode == 0
    assert warm.calls(" install ") == [uv_call("BIN/uv", tail) for tail in installed]


def test_touched_lock_is_no_change(warm: Project) -> None:
    (warm.root / "requirements.lock").touch()
    (warm.root / "pyproject.toml").touch()
    assert warm.run("bash", "-c", "exit 0").returncode == 0
    assert warm.calls() == []


def test_changed_pyproject_installs_the_project_only(warm: Project) -> None:
    (warm.root / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    assert warm.run("bash", "-c", "exit 0").returncode == 0
    assert warm.calls(" install ") == [uv_call("BIN/uv", EDITABLE)]


def test_failed_install_is_shown_and_tried_again(project: Project) -> None:
    done = project.run("bash", "-c", "echo out", FAKE_BROKEN="uv pip")
    assert (done.returncode, done.stdout) == (1, "")
    assert "fake pip is broken" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("scripts/run: set-up failed")
    project.calls()
    assert project.run("bash", "-c", "echo out").stdout == "out\n"
    assert project.calls(LOCKED.removeprefix("install "))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_interrupted_set_up_is_made_anew(project: Project, number: signal.Signals, status: int) -> None:
    project.add("uv")
    process = project.start("bash", "-c", "echo out", FAKE_UNTIL="/nowhere")
    wait_for(Path(f"{project.log}.installing"))
    (project.venv / "half").touch()
    os.killpg(process.pid, number)
    assert process.communicate(timeout=60)[0] == ""
    assert process.returncode == status
    assert project.run("bash", "-c", "echo out").stdout == "out\n"
    assert not (project.venv / "half").exists()


def test_two_calls_at_once_install_once(project: Project) -> None:
    project.add("uv")
    release = project.root / "release"
    first = project.start("bash", "-c", "echo first", FAKE_UNTIL=str(release))
    wait_for(Path(f"{project.log}.installing"))
    second = project.start("bash", "-c", "echo second")
    assert second.stderr is not None
    assert "waiting" in second.stderr.readline()
    release.touch()
    assert [process.communicate(timeout=60)[0] for process in (first, second)] == ["first\n", "second\n"]
    assert project.calls(" install ") == [uv_call("BIN/uv", LOCKED), uv_call("BIN/uv", EDITABLE)]


def test_moved_project_is_set_up_anew(warm: Project) -> None:
    (warm.venv / "old").touch()
    warm.root = warm.root.rename(warm.root.with_name("moved"))
    assert warm.run("bash", "-c", "exit 0").returncode == 0
    assert "BIN/python3 -I -m venv --without-pip ROOT/.venv" in warm.calls()
    assert not (warm.venv / "old").exists()


def test_first_python_that_runs_and_is_new_enough(project: Project) -> None:
    project.add("python3.13", "python3.12", "python3.11")
    assert project.run("bash", "-c", "exit 0", FAKE_BROKEN="python3 python3.13").returncode == 0
    assert project.calls("-m venv")[0].startswith("BIN/python3.12 ")
    shutil.rmtree(project.venv)
    assert project.run("bash", "-c", "exit 0", FAKE_BROKEN="python3").returncode == 0
    assert project.calls("-m venv")[0].startswith("BIN/python3.13 ")


def test_python_3_10_is_too_old(project: Project) -> None:
    done = project.run("bash", "-c", "exit 0", FAKE_OLD="python3")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "no Python >= 3.11 on PATH" in done.stderr
    assert not project.venv.exists()
    project.add("python3.11")
    assert project.run("bash", "-c", "exit 0", FAKE_OLD="python3").returncode == 0
    assert project.calls("-m venv")[0].startswith("BIN/python3.11 ")


def test_no_python(project: Project) -> None:
    (project.bin / "python3").unlink()
    done = project.run("bash", "-c", "exit 0")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "Python >= 3.11" in done.stderr


def test_no_python_but_uv_which_fetches_one(project: Project) -> None:
    (project.bin / "python3").rename(project.bin / "managed")
    project.add("uv")
    assert project.run("bash", "-c", "exit 0").returncode == 0
    calls = project.calls()
    assert "BIN/uv python install >=3.11" in calls
    assert "BIN/managed -I -m venv --without-pip ROOT/.venv" in calls


def test_python_without_ensurepip(project: Project) -> None:
    done = project.run("bash", "-c", "exit 0", FAKE_BROKEN="ensurepip")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "apt install python3-venv" in done.stderr
    project.add("uv")
    assert project.run("bash", "-c", "exit 0", FAKE_BROKEN="ensurepip").returncode == 0


def test_foreign_environment_is_kept_and_filled(project: Project) -> None:
    (project.venv / "bin").mkdir(parents=True)
    shutil.copy(project.bin / "python3", project.venv / "bin" / "python")
    (project.venv / "mine").touch()
    assert project.run("bash", "-c", "exit 0", FAKE_BROKEN="pip").returncode == 0
    calls = project.calls()
    assert not [call for call in calls if "-m venv" in call]
    assert uv_call("ROOT/.venv/bin/uv", LOCKED) in calls

    project.root = project.root.rename(project.root.with_name("moved"))
    done = project.run("bash", "-c", "exit 0")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert (project.venv / "mine").exists()


def test_foreign_environment_whose_installation_was_cut_short(project: Project) -> None:
    project.add("uv")
    (project.venv / "bin").mkdir(parents=True)
    shutil.copy(project.bin / "python3", project.venv / "bin" / "python")
    assert project.run("bash", "-c", "exit 0", FAKE_BROKEN="uv pip").returncode == 1
    project.calls()
    assert project.run("bash", "-c", "exit 0").returncode == 0
    assert uv_call("BIN/uv", LOCKED, redo="--force-reinstall ") in project.calls()


@pytest.mark.parametrize("has_an_old_one", [False, True])
def test_foreign_environment_without_python(project: Project, has_an_old_one: bool) -> None:
    (project.venv / "bin").mkdir(parents=True)
    if has_an_old_one:
        shutil.copy(project.bin / "python3", project.venv / "bin" / "python")
    (project.venv / "mine").touch()
    done = project.run("bash", "-c", "exit 0", FAKE_OLD="python")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert (project.venv / "mine").exists()


def test_lock_is_renewed(warm: Project) -> None:
    done = warm.run("--upgrade", script=str(warm.root / "scripts" / "lock"), cwd=warm.bin, FAKE_COMPILED="torch==2.0")
    assert done.returncode == 0, done.stderr
    assert (warm.root / "requirements.lock").read_text() == "torch==2.0\n"
    (call,) = warm.calls("pip compile")
    assert all(f" {part} " in call for part in ("--universal", "--generate-hashes", "--upgrade", "pyproject.toml"))


@pytest.mark.parametrize("line", ["--index-url https://example.org/simple", "torch @ https://example.org/torch.whl"])
def test_lock_that_names_an_index_is_refused(warm: Project, line: str) -> None:
    done = warm.run(script=str(warm.root / "scripts" / "lock"), FAKE_COMPILED=line)
    assert done.returncode == 1
    assert (warm.root / "requirements.lock").read_text() == LOCK
    assert not list(warm.root.glob("requirements.lock.*"))


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.01)
