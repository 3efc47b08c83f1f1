"""Faults in `scripts/run`, listed by hand: a right text, which must occur once, and a wrong one."""

from .faults import Fault

PATH = "scripts/run"
TESTS = "tests/test_run_script.py"
FAULTS = [
    ("set -euo pipefail", "set -uo pipefail"),
    ("while [ -L", "if false && [ -L"),
    ("unset PYTHONHOME", ":"),
    ("same requirements.lock && same pyproject.toml", "same requirements.lock"),
    ("same requirements.lock && same pyproject.toml", "same pyproject.toml"),
    ("ready() { at_home && ", "ready() { "),
    ('cat "$stamp/log" >&2', ":"),
    ("sys.version_info < (3, 11) and", "sys.version_info < (3, 10) and"),
    ("for name in python3 python3.14", "for name in python3.14"),
    ("python3.13 python3.12 python3.11; do", "python3.12 python3.13 python3.11; do"),
    ("sys.exit(sys.version_info < (3, 11))", "sys.exit(sys.version_info < (3, 10))"),
    ("fcntl.LOCK_EX | fcntl.LOCK_NB", "fcntl.LOCK_SH | fcntl.LOCK_NB"),
    ("    fcntl.flock(9, fcntl.LOCK_EX)\n", "    pass\n"),
    ("modules=venv,ensurepip", "modules=venv"),
    ('rm -rf "$venv"/[!.]*', ":"),
    (" --without-pip", ""),
    ("if ready; then return; fi", ":"),
    ("install --require-hashes -r", "install -r"),
    ("install --no-deps --no-build-isolation -e .", "install -e ."),
    ("pip_install --require-hashes --no-deps -r", "pip_install -r"),
    ('  mv "$stamp/lock" "$stamp/requirements.lock"', '  cp requirements.lock "$stamp/requirements.lock"'),
    ('  mv "$stamp/project" "$stamp/pyproject.toml"', '  cp pyproject.toml "$stamp/pyproject.toml"'),
    ('install --require-hashes -r "$stamp/lock"', "install --require-hashes -r requirements.lock"),
    ('  rm -f "$stamp/requirements.lock"\n  cp requirements.lock', "  cp requirements.lock"),
    ("same requirements.lock || install_lock", "install_lock"),
    ("redo=--force-reinstall # what uv", "redo= # what uv"),
    ("then redo=--force-reinstall; fi", "then redo=; fi"),
    ("trap 'die 130", "trap 'die 1"),
    ("PATH=$venv/bin:$PATH", "PATH=$PATH:$venv/bin"),
    ("LIGHTNING_TEMPLATE_LAUNCHER=$0", "LIGHTNING_TEMPLATE_LAUNCHER=$self"),
    ("|| die 127", "|| die 2"),
    ('exec -- "$@"', "exec -- $*"),
    ("(set_up) </dev/null >&2", "(set_up) </dev/null"),
    ("(set_up) </dev/null >&2", "(set_up) >&2"),
    ("--no-input --disable-pip-version-check install --no-user", "install"),
    ("/^uv==/", "/^uv/"),
]


def faults_of(source: str) -> list[Fault]:
    """Return the faults listed here.

    Raises:
        ValueError: If a right text does not occur, or more than once.
    """
    faults = []
    for right, wrong in FAULTS:
        if source.count(right) != 1:
            raise ValueError(f"{PATH}: {right!r} must occur once, but occurs {source.count(right)} times")
        start = source.index(right)
        line = source.count("\n", 0, start) + 1
        faults.append(Fault(PATH, "", (line, line), start, start + len(right), "listed", right, wrong))
    return faults
