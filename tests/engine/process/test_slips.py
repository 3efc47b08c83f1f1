"""What somebody types who knows other tools: one line says what is meant, and its value."""

from pathlib import Path

import pytest

from conftest import ROOT, Command
from lightning_template.engine.cli import trainer_cli
from lightning_template.engine.process.slips import meant_option, meant_subcommand

MLP = str(ROOT / "configs/line/mlp.yaml")
MEANT = {
    "lr": "model.optimizer.lr? It is 0.01",
    "LR": "model.optimizer.lr? It is 0.01",
    "learning-rate": "model.optimizer.lr? It is 0.01",
    "model.lr": "model.optimizer.lr? It is 0.01",
    "model.network.lr": "model.optimizer.lr? It is 0.01",
    "optimizer.lr": "model.optimizer.lr? It is 0.01",
    "model.optimizer.lrr": "model.optimizer.lr? It is 0.01",
    "epochs": "trainer.max_epochs? It is 100",
    "max_epochs": "trainer.max_epochs? It is 100",
    "max-epoch": "trainer.max_epochs? It is 100",
    "trainer.epochs": "trainer.max_epochs? It is 100",
    "trainr.max_epochs": "trainer.max_epochs? It is 100",
    "batch_size": "data.batch_size? It is 50",
    "model.batch_size": "data.batch_size? It is 50",
    "bs": "data.batch_size? It is 50",
    "data.batchsize": "data.batch_size? It is 50",
    "gpus": "trainer.devices? It is auto",
    "num_workers": "data.num_workers? It is 0",
    "workers": "data.num_workers? It is 0",
    "wd": "model.optimizer.weight_decay? It is 0",
    "momentum": "model.optimizer.momentum? It is 0.9",
    "hidden_features": "model.network.hidden_features? It is [4]",
    "hidden_sizes": "model.network.hidden_features? It is [4]",
    "optim": "model.optimizer? It is torch.optim.SGD",
    "criterion": "model.loss? It is torch.nn.L1Loss",
    "resume": "ckpt_path? It is null",
    "precision": "trainer.precision? It is null",
    "grad_clip": "trainer.gradient_clip_val? It is null",
    "callbacks.monitr": "callbacks.monitor? It is lightning_template.StepMonitor",
    "seed": "seed_everything? It is 7",
    "data.seeds": "data.seed? It is 0",
    "val_check": "trainer.val_check_interval or trainer.check_val_every_n_epoch? They are null and 1",
    "base_lr": "model.optimizer.lr? It is 0.01",
    "name": "experiment? It is line_mlp",
    "early_stop": "--with early_stopping?",
    "device": "trainer.accelerator or trainer.devices? They are auto and auto",
    "checkpoint": "ckpt_path? It is null",
}
NOWHERE = ("colour", "x", "trainer.colour", "model.network.sharpness")
LINES = {
    "an option": (["--lr", "1"], "`lr` is not an option, did you mean model.optimizer.lr? It is 0.01"),
    "an option of a class": (
        ["--model.lr=1"],
        "`model.lr` is not an option of lightning_template.tasks.RegressionTask, did you mean model.optimizer.lr? "
        "It is 0.01",
    ),
    "one dash": (["-bs", "3"], "`bs` is not an option, did you mean data.batch_size? It is 100"),
    "no dashes": (
        ["lr=3"],
        "`lr=3` is not an option: options begin with two dashes, did you mean model.optimizer.lr? It is 0.01",
    ),
    "a second value": (["--trainer.max_epochs", "3", "4"], "`4` is not an option, nor the value of one"),
    "a file without its option": (["x.yaml"], "`x.yaml` is not an option: did you mean --config x.yaml?"),
    "a key of a class in YAML": (
        ["--config", "nested.yaml"],
        "`model.optimizer.lrr` is not an option of torch.optim.SGD, did you mean model.optimizer.lr? It is 0.01",
    ),
    "a key of YAML": (["--config", "slip.yaml"], "`epochs` is not an option, did you mean trainer.max_epochs? It is 9"),
}
SUBCOMMANDS = {
    "line/mlp": "no subcommand line/mlp, did you mean fit --config line/mlp?",
    "train": "no subcommand train, did you mean fit?",
    "eval": "no subcommand eval, did you mean validate or test?",
    "infer": "no subcommand infer, did you mean predict?",
    "resume": "no subcommand resume, did you mean fit --ckpt_path last?",
    "lr_find": "no subcommand lr_find, did you mean find-lr?",
    "preview": "no subcommand preview, did you mean show?",
    "tset": "no subcommand tset, did you mean test?",
    "runs list": "no command `runs list`, did you mean runs?",
    "runs dif": "no command `runs dif`, did you mean diff?",
    "runs --experimnt x": "`--experimnt` is not an option, did you mean --experiment?",
    "new task x --knd y": "`--knd` is not an option, did you mean --kind?",
}


def mistaken(command: Command, *args: str) -> str:
    """Return the line that a mistake gets."""
    before = sorted(Path().rglob("*"))
    result = command(*args)
    assert (result.status, result.out, sorted(Path().rglob("*"))) == (2, "", before)
    (line,) = result.err.splitlines()
    return line.removeprefix("lightning-template: error: ")


def test_each_name_means_one_option(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("configs").symlink_to(ROOT / "configs")
    known: dict[str, str] = {}
    monkeypatch.setattr(trainer_cli, "shorten", lambda message, options: known.update(options) or "caught")
    options = ["--data.batch_size", "50", "--model.optimizer.momentum=0.9", "--model.loss", "torch.nn.L1Loss"]
    assert mistaken(command, "fit", "--config", MLP, *options, "--nonesuch") == "caught"
    hints = {name: meant_option(name, known) for name in MEANT}
    assert hints == {name: f", did you mean {hint}".replace("null", "null") for name, hint in MEANT.items()}
    assert [meant_option(name, known) for name in NOWHERE] == [""] * len(NOWHERE)


@pytest.mark.parametrize("slip", LINES)
def test_a_slip_gets_one_line(slip: str, command: Command) -> None:
    args, line = LINES[slip]
    Path("slip.yaml").write_text("epochs: 3\ntrainer: {max_epochs: 9}\n")
    Path("nested.yaml").write_text("model: {init_args: {optimizer: {init_args: {lrr: 1}}}}\n")
    assert mistaken(command, "fit", "--config", MLP, *args) == line


@pytest.mark.parametrize("words", SUBCOMMANDS)
def test_a_slip_in_a_subcommand_gets_one_line(words: str, command: Command) -> None:
    assert mistaken(command, *words.split()).split(" (lightning-template ")[0] == SUBCOMMANDS[words]


def test_without_a_configuration_the_usual_option_is_named(command: Command) -> None:
    assert mistaken(command, "fit", "--lr", "1") == "`lr` is not an option, did you mean model.optimizer.lr?"
    assert mistaken(command, "fit", "--bs", "1") == "`bs` is not an option, did you mean data.batch_size?"


def test_of_many_options_three_are_named() -> None:
    known = {f"model.part_{number}.lr": str(number) for number in range(5)}
    hint = ", did you mean model.part_0.lr, model.part_1.lr or model.part_2.lr? They are 0, 1 and 2"
    assert meant_option("learning_rate", known) == hint
    assert meant_option("part_3.lr", known) == ", did you mean model.part_3.lr? It is 3"


def test_words_for_the_same_and_parts_of_names_are_known() -> None:
    known = {"model.lr_gen": "1", "model.lr_disc": "2", "model.hidden_dim": "3", "model.scheduler.epochs": "null"}
    known["trainer.max_epochs"] = "4"
    assert meant_option("lr", known) == ", did you mean model.lr_gen or model.lr_disc? They are 1 and 2"
    assert meant_option("hidden_size", known) == ", did you mean model.hidden_dim? It is 3"
    assert meant_option("epochs", known) == ", did you mean trainer.max_epochs? It is 4"
    assert meant_option("scheduler.epoch", known) == ", did you mean model.scheduler.epochs? It is null"


def test_an_unknown_subcommand_has_no_hint() -> None:
    assert meant_subcommand("dance") == ""
