"""`lightning-template sweep`: a study of many runs on Optuna."""

import argparse
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_template.engine.cli.command_line import CommandLine, read_command_line, read_config, values_of
from lightning_template.engine.cli.commands.printing import print_lines, print_table
from lightning_template.engine.process.errors import Stopped, nearest
from lightning_template.engine.process.signals import stop_signals
from lightning_template.engine.runs import slurm
from lightning_template.engine.runs.changes import flatten
from lightning_template.engine.runs.directories import check_experiment, command
from lightning_template.engine.sweep.space import examples, read_space

if TYPE_CHECKING:
    from lightning_template.engine.cli.trials import Trials, Tried
    from lightning_template.engine.sweep.plan import Objective, Plan
    from lightning_template.engine.sweep.study import SweepStudy

HELP = """\
usage: lightning-template sweep --config FILE --space OPTION=VALUES [--trials N] [options]

Trains with many values of options, each trial an ordinary run, and tells which are best. The same command goes on with
a study that was stopped. All other options are those of fit.

  --space OPTION=VALUES    values of an option, several times: model.optimizer.lr=1e-4..1e-1:log, data.batch_size=16,32
  --space FILE             YAML file of options, which may depend on one another
  --trials N               number of trials; without it, all points of a grid
  --seeds N                runs of each trial, with N seeds; their mean counts
  --objective NAME:MODE    logged quantity and min or max; several times for several. If not given, the one that decides
                           which checkpoint is best
  --sampler NAME           tpe (if not given), random, grid, gp, cmaes, qmc, nsgaii ...; arguments as in tpe:seed=1
  --pruner NAME            median, hyperband, successive_halving ...: ends trials early; arguments as for samplers
  --keep_pruned            keep the checkpoints of trials that were ended early
  --study NAME             name of the study and folder of its runs; EXPERIMENT_sweep if not given
  --workers N              number of processes on this machine
  --storage URL            database instead of a file in the study's folder
  --max_growth MB          growth of memory after which a fresh process goes on; 1000 if not given, 0: after each trial
"""
OF_FIT = ("config", "with", "experiment", "seed_everything", "trainer", "model", "data", "callbacks", "test_after_fit")
MEGABYTE = 1 << 20
MOST_ROWS = 10
"""Number of trials in the table at the end."""


def main(args: Sequence[str]) -> int:
    """Run the command.

    Args:
        args: What follows `sweep` on the command line.

    Returns:
        Exit status: 0 if a trial has finished, otherwise 1.

    Raises:
        ValueError: If the command line, the space or the configuration is not valid.
        Stopped: If a signal asked for it.
    """
    if "-h" in args or "--help" in args:
        sys.stdout.write(HELP)
        return 0
    options, others = _options(args)
    for package in ("optuna", "plotly"):
        if importlib.util.find_spec(package) is None:
            raise ValueError(f"`sweep` needs {package}: pip install 'lightning-template[sweep]'")
    try:
        with stop_signals.listen():
            return _sweep(args, options, others)
    except Stopped as stopped:
        what, separator, queued = stopped.message.partition("; job ")  # a run was going on
        queued = separator + queued if queued else slurm.queue_again(stopped.number)
        again = f"; to go on, give the same command: {command('sweep', *args)}"
        stopped.message = what.split(";")[0] + again + queued
        raise


def _options(args: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return the options of the study, and those of `fit`."""
    parser = argparse.ArgumentParser("sweep", add_help=False, allow_abbrev=False, exit_on_error=False)
    for name in ("space", "objective"):
        parser.add_argument(f"--{name}", action="append", default=[])
    for name in ("sampler", "pruner", "study", "storage"):
        parser.add_argument(f"--{name}")
    for name, default in (("trials", None), ("seeds", 1), ("workers", 1), ("max_growth", 1000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--keep_pruned", action="store_true")
    try:
        options, others = parser.parse_known_args(args)
    except (argparse.ArgumentError, SystemExit) as error:
        raise ValueError(f"{error} (lightning-template sweep --help tells more)") from None
    known = [*vars(options), *OF_FIT]
    for word in others:
        name = word.split("=")[0].removeprefix("--")
        if word.startswith("--") and "." not in name and name not in known:
            raise ValueError(f"`--{name}` is not an option{nearest(name, known)} (sweep --help tells more)")
    for name, least in (("trials", 1), ("seeds", 1), ("workers", 1), ("max_growth", 0)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise ValueError(f"`--{name}` must be at least {least}, got {value}")
    return options, others


def _sweep(args: Sequence[str], options: argparse.Namespace, others: Sequence[str]) -> int:
    space = read_space(options.space, read_config)
    base = read_command_line(["sweep", *others])
    if base.run is not None or not values_of(base.args, "--config", "-c", "--model"):
        what = "has trials that train from the start: leave out `ckpt_path`" if base.run else "needs --config FILE"
        raise ValueError(f"`sweep` {what}")
    name = check_experiment(options.study or f"{base.experiment}_sweep")
    seed = _seed(base)
    from lightning_template.engine.cli.trials import Trials  # takes seconds: imports torch
    from lightning_template.engine.sweep.plan import Plan, number_of_trials, with_whole_numbers_as_floats
    from lightning_template.engine.sweep.study import SweepStudy, try_sampler

    trials = Trials(base, name, seed)
    points = list(examples(space))
    found = with_whole_numbers_as_floats(space, trials.taken_types(points))
    num_trials, sampler = number_of_trials(found, options.trials, options.sampler)
    plan = Plan(
        name=name,
        root=base.root,
        space=found,
        objectives=_objectives(options.objective, trials.try_out(points[0])),
        config=_described(base),
        num_trials=num_trials,
        seeds=tuple(range(seed, seed + options.seeds)),
        sampler=sampler,
        pruner=options.pruner or "",
        keeps_pruned=options.keep_pruned,
    )
    _check_pruner(plan)
    try_sampler(plan)
    study = SweepStudy(plan, options.storage)
    _work(args, options, study, trials)
    return _finish(study, trials)


def _seed(base: CommandLine) -> int:
    """Return the seed of the configuration, which is that of the first run of each trial."""
    configs = [read_config(Path(file)) for file in values_of(base.args, "--config", "-c")]
    given = [config["seed_everything"] for config in configs if "seed_everything" in config]
    seed = [*given, *values_of(base.args, "--seed_everything")][-1:] or [0]
    try:
        return int(seed[0]) if not isinstance(seed[0], bool) else 0
    except (TypeError, ValueError):
        raise ValueError(f"`seed_everything` must be a whole number, got {seed[0]}") from None


def _described(base: CommandLine) -> dict[str, Any]:
    """Return the options of the configurations and of the command line."""
    found: dict[str, Any] = {}
    for file in values_of(base.args, "--config", "-c"):
        found |= flatten(read_config(Path(file)))
    files = {*values_of(base.args, "--config", "-c"), "--config", "-c"}
    typed = [arg for arg in base.args[1:] if arg not in files and not arg.startswith("--config=")]
    return found | {"options": " ".join(typed)}


def _objectives(given: Sequence[str], tried: "Tried") -> tuple["Objective", ...]:
    """Return the objectives that were asked for, or else what decides which checkpoint is best.

    Raises:
        ValueError: If one is not logged, or nothing tells whether it is to be low or high.
    """
    from lightning_template.engine.callbacks.watched import mode_of
    from lightning_template.engine.sweep.plan import Objective

    logged = ", ".join(tried.logged) or "nothing"
    if not given and tried.monitor is None:
        raise ValueError(f"nothing decides which checkpoint is best: give --objective NAME, one of {logged}")
    if not given and tried.monitor not in tried.logged:
        what = f"{tried.monitor}, which decides which checkpoint is best, is not logged"
        raise ValueError(f"{what}: give --objective NAME, one of {logged}")
    found = []
    for text in given or [str(tried.monitor)]:
        name, _, mode = text.rpartition(":") if text.endswith((":min", ":max")) else (text, "", "")
        if name not in tried.logged:
            raise ValueError(f"`--objective` {name} is not logged{nearest(name, tried.logged)} (logged: {logged})")
        known = mode or (tried.mode if name == tried.monitor else None) or mode_of(name)
        if known is None:
            raise ValueError(f"is {name} to be low or high? Give --objective {name}:min or {name}:max")
        found.append(Objective(name, "max" if known == "max" else "min"))
    if len({objective.name for objective in found}) < len(found):
        raise ValueError("the same `--objective` is given twice")
    return tuple(found)


def _check_pruner(plan: "Plan") -> None:
    if plan.pruner and len(plan.objectives) > 1:
        raise ValueError("Optuna prunes by one objective: leave out --pruner, or give a single --objective")


def _work(args: Sequence[str], options: argparse.Namespace, study: "SweepStudy", trials: "Trials") -> None:
    """Run trials until the study is finished."""
    from lightning_template.engine.cli.commands.sweep_workers import run_workers
    from lightning_template.engine.sweep.progress import Progress
    from lightning_template.engine.sweep.worker import Worker

    progress = Progress(study, sys.stdout)
    if study.is_finished():
        return
    with progress.shown():
        if options.workers > 1:
            run_workers(args, options.workers, study, progress.show)
            return
        worker = Worker(study, trials, options.max_growth * MEGABYTE, progress.show)
        is_finished = worker.work()
    if not is_finished:
        sys.stdout.flush()
        sys.stderr.flush()
        # -P: `-m` would put the working directory before installed modules
        os.execv(sys.executable, [sys.executable, "-P", "-m", "lightning_template", "sweep", *args])


def _finish(study: "SweepStudy", trials: "Trials") -> int:
    """Write and tell what came of the study."""
    from lightning_template.engine.sweep.outcome import best_row, write_outcome
    from lightning_template.engine.sweep.results import cells, rows_of, sorted_rows

    rows = rows_of(study)
    paths = write_outcome(study, trials.config)
    print_table(cells(sorted_rows(rows, study.plan)[:MOST_ROWS], study.plan))
    states = [row.state for row in rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in sorted({*states}))
    print_lines(f"\ntrials     {counts}")
    for name in ("table", "plots"):
        print_lines(f"{name:<10} {paths[name]}")
    if best_row(study, rows) is None:
        sys.stderr.write(f"lightning-template: no trial has finished; the last error: {rows[-1].error}\n")
        return 1
    print_lines(f"best       {paths['best']}\nto train   {command('fit', '--config', str(paths['best']))}")
    return 0
