"""The study of Optuna behind a sweep: storage, trials that workers claim, and what is recorded of them.

Every change goes through one lock in the study's folder, which the system releases when a process dies. So do the locks
that workers hold as long as they live: a trial whose worker holds none is taken up by another worker.
"""

import json
import os
import secrets
import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from lightning_template.engine.process.errors import one_line
from lightning_template.engine.process.signals import stop_signals
from lightning_template.engine.runs.changes import changes
from lightning_template.engine.runs.files import make_folder
from lightning_template.engine.sweep.named import Maker
from lightning_template.engine.sweep.plan import Plan
from lightning_template.engine.sweep.space import grid
from lightning_template.engine.sweep.values import Parameter, Range

LOCK, JOURNAL, WORKERS = "study.lock", "study.journal", "workers"
MOST_ATTEMPTS = 3
"""Number of workers that a trial may kill until it counts as failed."""
PLAN, WORKER, ATTEMPTS, RUNS, ERROR = "plan", "worker", "attempts", "runs", "error"
"""Attributes of a study and of trials."""


def open_database(url: str) -> Any:
    """Return a storage in a database.

    Raises:
        ValueError: If it cannot be opened. The URL, which may have a password, is not shown.
    """
    try:
        return RDBStorage(url)
    except Exception as error:  # of any driver
        reason = one_line(error).replace(url, "URL").split("(Background on")[0].strip()
        raise ValueError(f"the database of `--storage` cannot be opened: {reason}") from error


class SweepStudy:
    """A study that workers share.

    Args:
        plan: What is studied.
        url: URL of a database; if not given, a journal lies in the study's folder.

    Raises:
        ValueError: If a study of this name was begun with another plan, or the storage cannot be opened.
    """

    def __init__(self, plan: Plan, url: str | None = None) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.plan = plan
        self.sampler = Maker(plan.sampler, "Sampler")
        pruner = Maker(plan.pruner or "nop", "Pruner").make(0)
        database = open_database(url) if url else None  # before there is a folder
        make_folder(plan.folder / WORKERS)
        self._lock = FileLock(plan.folder / LOCK)
        self._storage: Any = database or self._open_journal()
        with self.locked():
            self.study = optuna.create_study(
                storage=self._storage,
                study_name=plan.name,
                directions=directions_of(plan),
                load_if_exists=True,
                pruner=pruner,
            )
            self._check_plan()
        self.worker = f"{socket.gethostname()}_{os.getpid()}_{secrets.token_hex(4)}"  # numbers of processes come again
        self._alive = FileLock(plan.folder / WORKERS / f"{self.worker}.lock")

    def _open_journal(self) -> Any:
        """Return a storage in a file of the study's folder."""
        journal = self.plan.folder / JOURNAL
        with self.locked():
            if journal.is_file() and (content := journal.read_bytes()) and not content.endswith(b"\n"):
                with journal.open("r+b") as file:  # of a killed process; no reader takes what follows half a line
                    file.truncate(content.rfind(b"\n") + 1)
        lock: Any = FileLock(f"{journal}.lock")  # Optuna's own stays behind when a process is killed
        return JournalStorage(JournalFileBackend(str(journal), lock_obj=lock))

    def _check_plan(self) -> None:
        described = json.loads(json.dumps(self.plan.described(), default=str))
        known = self.study.user_attrs.get(PLAN)
        if known is None:
            self.study.set_user_attr(PLAN, described)
        elif found := changes(known, described):
            name, (before, after) = next(iter(found.items()))
            raise ValueError(
                f"the study {self.plan.name} was begun with another {name} ({before}, now {after}): "
                f"name a new one with --study, or delete {self.plan.folder}"
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from changing the study, and signals from leaving a change half done."""
        with stop_signals.hold(), self._lock:
            yield

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Show others that this worker lives."""
        with self._alive:
            yield
        Path(self._alive.lock_file).unlink(missing_ok=True)

    def trials(self) -> list[FrozenTrial]:
        """Return all trials that were begun."""
        return [trial for trial in self.study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]

    def is_finished(self) -> bool:
        """Tell whether all trials have ended."""
        trials = self.trials()
        return len(trials) >= self.plan.num_trials and all(trial.state.is_finished() for trial in trials)

    def claim(self) -> Trial | None:
        """Return a trial of a dead worker, or a new one; None if there is none at present."""
        with self.locked():
            trials = self.trials()
            for trial in trials:
                is_left = trial.state == TrialState.RUNNING and not self._is_alive(trial.user_attrs.get(WORKER))
                if is_left and (taken := self._take_up(trial)):
                    return taken
            if len(trials) >= self.plan.num_trials:
                return None
            number = len(trials)
            self.study.sampler = self.sampler.make(number)
            if self.sampler.is_grid and len(self.study.get_trials(deepcopy=False)) == number:
                point = next(islice(grid(self.plan.space) or (), number, None))
                given = {option.name: option for option in self.plan.space if option.name in point}
                self.study.enqueue_trial({name: option.label_of(point[name]) for name, option in given.items()})
            new = self.study.ask()
            new.set_user_attr(WORKER, self.worker)
            suggest(new, self.plan.space)
            return new

    def _is_alive(self, worker: str | None) -> bool:
        path = self.plan.folder / WORKERS / f"{worker}.lock"
        if worker is None or not path.is_file():
            return False
        try:
            with FileLock(path, timeout=0):
                pass
        except Timeout:
            return True
        path.unlink(missing_ok=True)
        return False

    def _take_up(self, trial: FrozenTrial) -> Trial | None:
        attempts = trial.user_attrs.get(ATTEMPTS, 0) + 1
        if attempts >= MOST_ATTEMPTS:
            self._end(trial.number, TrialState.FAIL, None, f"its worker died {attempts} times")
            return None
        study_id = self._storage.get_study_id_from_name(self.plan.name)
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(study_id, trial.number)
        taken = Trial(self.study, trial_id)
        taken.set_user_attr(ATTEMPTS, attempts)
        taken.set_user_attr(WORKER, self.worker)
        return taken

    def record(self, trial: Trial, seed: int, entry: Mapping[str, Any]) -> None:
        """Record what a run of a trial reached."""
        with self.locked():
            trial.set_user_attr(RUNS, {**runs_of(trial), str(seed): dict(entry)})

    def end(self, trial: Trial, state: TrialState, values: list[float] | None = None, error: str = "") -> None:
        """End a trial."""
        with self.locked():
            self._end(trial.number, state, values, error)

    def _end(self, number: int, state: TrialState, values: list[float] | None, error: str) -> None:
        if error:
            study_id = self._storage.get_study_id_from_name(self.plan.name)
            trial_id = self._storage.get_trial_id_from_study_id_trial_number(study_id, number)
            self._storage.set_trial_user_attr(trial_id, ERROR, error)
        self.study.tell(number, values, state)

    def let_go(self, trial: Trial) -> None:
        """Leave a trial to whoever goes on with the study: this worker was asked to stop."""
        with self._lock:
            trial.set_user_attr(ATTEMPTS, 0)
            trial.set_user_attr(WORKER, "")


def directions_of(plan: Plan) -> list[StudyDirection]:
    """Return Optuna's names of the modes."""
    return [StudyDirection.MAXIMIZE if mode == "max" else StudyDirection.MINIMIZE for _, mode in plan.objectives]


def runs_of(trial: Trial | FrozenTrial) -> dict[str, Any]:
    """Return what was recorded of a trial's finished runs, by seed."""
    found: dict[str, Any] = trial.user_attrs.get(RUNS, {})
    return found


def suggest(trial: Trial, space: tuple[Parameter, ...]) -> dict[str, Any]:
    """Return the values of a trial's options; those that it has already stay."""
    point: dict[str, Any] = {}
    for parameter in space:
        if not parameter.is_searched(point):
            continue
        name, values = parameter.name, parameter.values
        if not isinstance(values, Range):
            label: Any = trial.suggest_categorical(name, parameter.labels)
        elif values.is_whole:
            low, high = int(values.low), int(values.high)
            label = trial.suggest_int(name, low, high, step=int(values.step or 1), log=values.log)
        else:
            label = trial.suggest_float(name, values.low, values.high, step=values.step, log=values.log)
        point[name] = parameter.value_of(label)
    return point


def try_sampler(plan: Plan) -> None:
    """Ask a sampler for two points in memory, before anything is written.

    Raises:
        ValueError: If it cannot sample the space, or a package that it needs is missing.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    maker = Maker(plan.sampler, "Sampler")
    Maker(plan.pruner or "nop", "Pruner")
    directions = directions_of(plan)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            study = optuna.create_study(directions=directions, sampler=maker.make(0))
            for _ in range(2):
                trial = study.ask()
                suggest(trial, plan.space)
                study.tell(trial, [0.0] * len(directions))
    except ModuleNotFoundError as error:
        raise ValueError(f"the sampler {plan.sampler} needs the package {error.name}: install it") from error
    except (NotImplementedError, ValueError, RuntimeError) as error:
        raise ValueError(f"the sampler {plan.sampler} cannot search this space: {one_line(error)}") from error
