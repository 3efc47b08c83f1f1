"""The `lightning-template` command: answers at once what needs no torch, and hands the rest to the Trainer's CLI."""

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from lightning_template import __version__
from lightning_template.engine.cli.completion import bash_completion
from lightning_template.engine.cli.config_names import overlay_lines
from lightning_template.engine.process.errors import Stopped, nearest, one_line, printable
from lightning_template.engine.process.signals import stop_signals
from lightning_template.engine.process.slips import meant_subcommand
from lightning_template.engine.process.streams import tolerant_output

TRAINER_SUBCOMMANDS = ("fit", "validate", "test", "predict")
COMMANDS = {
    "check": "cli.commands.check",
    "show": "looking.show",
    "find-lr": "looking.find_lr",
    "profile": "looking.profile",
    "report": "sharing.report",
    "reproduce": "sharing.reproduce",
    "export": "sharing.export",
    "runs": "cli.commands.runs",
    "sweep": "cli.commands.sweep",
    "new": "cli.commands.new",
    "upgrade": "cli.commands.upgrade",
}
"""The module in `engine/` of each subcommand that is not the Trainer's: its `main` is called with the arguments."""
SUBCOMMANDS = (*TRAINER_SUBCOMMANDS, *COMMANDS)
DEBUG_VARIABLE = "LIGHTNING_TEMPLATE_DEBUG"
PRINTING = ("-h", "help", "--help_all", "--version", "--completion", "--print_config")
"""Ends of the options that have something printed and nothing done."""
# By hand: that of jsonargparse, which --help_all prints, takes seconds to import and has hundreds of lines.
HELP = """\
usage: lightning-template {fit,validate,test,predict,check,show,find-lr,profile} --config FILE [options]
       lightning-template COMMAND [options]

  fit        train, and validate after each epoch
  validate   measure a checkpoint on the validation set
  test       measure a checkpoint on the test set
  predict    write a checkpoint's predictions, of the test set or of files
  check      tell whether task and data are sound (check --help tells more)
  show       draw what the network gets: samples, labels, shares of classes (show --help tells more)
  find-lr    find a learning rate, and the largest batch that fits (find-lr --help tells more)
  profile    tell where the time of training goes, and what would help (profile --help tells more)
  runs       list, show and compare runs (runs --help tells more)
  report     write a page that tells what came of runs (report --help tells more)
  reproduce  train a run again, and compare the weights (reproduce --help tells more)
  export     write a run as ONNX, for torch.export and as safetensors (export --help tells more)
  sweep      search options with many runs (sweep --help tells more)
  new        write a task of your own, or a project (new --help tells more)
  upgrade    give such a project a later version of this package (upgrade --help tells more)

  --config FILE                    experiment, such as configs/fashion_mnist/cnn.yaml or cnn; further ones override it
  --with NAME                      overlay in configs/with, such as bf16, which overrides them all
  --ckpt_path WHERE                best, last, a checkpoint file or a run directory; fit goes on from it
  --allow_untrained                validate, test, predict: do without a checkpoint
  --allow_changes                  fit: go on from a checkpoint though the run will end otherwise
  --test_after_fit                 fit: test the best checkpoint afterwards
  --input PATH...                  predict: images, folders of them or a table, instead of the test set
  --invert                         predict: images are dark on light, where the data set's are light on dark
  --output FILE.csv|.parquet       predict: where to write, with --figure FILE.png a picture of it
  --experiment NAME                folder of the runs in lightning_logs/
  --seed_everything N              seed of initial weights and dropout; 0 if not given
  --trainer.max_epochs N           also max_steps, max_time, limit_train_batches, overfit_batches ...
  --trainer.accelerator NAME       cpu, gpu, auto; also devices, strategy, precision ...
  --trainer.default_root_dir DIR   folder that holds lightning_logs/
  --model.KEY VALUE                any argument of the task: --model.optimizer.lr 0.01
  --data.KEY VALUE                 any argument of the datamodule: --data.batch_size 128
  --callbacks.NAME null            switch a callback off: checkpoint, dashboard, figures, progress_bar ...
  --print_config                   print the whole configuration and stop
  --help_all                       every option of the subcommand
  --model.help CLASS               every argument of a class; also --data.help, --model.network.help ...
  --debug                          show the traceback of an error
  --version                        print the version
  --completion                     print a completion script for the shell

Full class paths name anything importable, your own files in the working directory included.
"""


def main() -> int:
    """Run the command line in `sys.argv`.

    Returns:
        Exit status: 0, 1 for a failed run, 2 for a mistake of the user's, 128 + its number after a signal.
    """
    args = sys.argv[1:]
    with tolerant_output() as output:
        status = _run(args)
        output.flush()
        if status == 0 and output.failure is not None and _only_prints(args):
            if isinstance(output.failure, BrokenPipeError):  # `| head` has read enough
                return 128 + signal.SIGPIPE
            reason = getattr(output.failure, "strerror", None) or one_line(output.failure)
            sys.stderr.write(f"lightning-template: error: cannot write the output: {reason}\n")
            return 1
    return status


def _only_prints(args: Sequence[str]) -> bool:
    """Tell whether a command line is there for what it prints; others have done their work by then."""
    names = {arg.split("=")[0] for arg in args}
    return args[:1] == ["runs"] or any(name.startswith("-") and name.endswith(PRINTING) for name in names) or not args


def _run(args: Sequence[str]) -> int:
    debug = "--debug" in args or os.environ.get(DEBUG_VARIABLE, "0") != "0"
    try:
        return _dispatch([arg for arg in args if arg != "--debug"])
    except KeyboardInterrupt:
        return 130
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # Lightning exits with 1 after an interrupt
            return 130
        message = error.message if isinstance(error, Stopped) else error.code if isinstance(error.code, str) else ""
        if message:
            sys.stderr.write(f"lightning-template: {printable(message)}\n")
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except Exception as error:
        if debug:
            traceback.print_exc()
        is_users = isinstance(error, ValueError)
        notes = getattr(error, "__notes__", [] if is_users or debug else ["--debug shows the traceback"])
        kind = "" if is_users else f"{type(error).__name__}: "
        sys.stderr.write(f"lightning-template: error: {kind}{printable('; '.join([one_line(error), *notes]))}\n")
        return 2 if is_users else 1


def _dispatch(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help") or (args[0] in TRAINER_SUBCOMMANDS and {"-h", "--help"} & set(args[1:])):
        sys.stdout.write(HELP + printable(overlay_lines(), keep="\n"))
        return 0
    if args[0] == "--version":
        sys.stdout.write(f"lightning-template {__version__}\n")
        return 0
    if args[0] == "--completion":
        sys.stdout.write(bash_completion(SUBCOMMANDS, HELP))
        return 0
    if args[0].split("=")[0] in ("-c", "--config"):
        raise ValueError("put --config after the subcommand: lightning-template fit --config FILE")
    if args[0] not in SUBCOMMANDS:
        hint = meant_subcommand(args[0]) or nearest(args[0], SUBCOMMANDS)
        raise ValueError(f"no subcommand {args[0]}{hint} (lightning-template --help lists them)")
    if args[0] in COMMANDS:
        sys.path.append(str(Path.cwd()))  # last, so that a user's file never hides an installed module
        module = import_module(f"lightning_template.engine.{COMMANDS[args[0]]}")  # by name: some rooms lie above this
        return module.main(args[1:]) or 0
    _run_the_trainer(args)
    return 0


def _run_the_trainer(args: Sequence[str]) -> None:
    from lightning_template.engine.cli.command_line import (
        read_command_line,  # imports YAML: a third of the time of --help
    )

    with stop_signals.listen():
        command_line = read_command_line(["--help" if arg == "--help_all" else arg for arg in args])
        if command_line.origin:  # before anything that it names is imported
            sys.stderr.write(f"{printable(command_line.origin)}\n")
        sys.path.append(str(Path.cwd()))  # last, so that a user's file never hides an installed module
        from lightning_template.engine.cli.trainer_cli import run  # takes seconds: imports torch

        run(command_line)


if __name__ == "__main__":
    sys.exit(main())
