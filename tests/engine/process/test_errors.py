"""Every mistake gets one clear line and exit status 2, and leaves nothing on disk."""

import shutil
from pathlib import Path

import pytest
import yaml

from conftest import ROOT, Command
from lightning_template.engine.cli.command_line import read_command_line
from lightning_template.engine.files import fashion_mnist_sources
from lightning_template.engine.process.errors import Stopped, _parameters, nearest, one_line, printable
from lightning_template.engine.runs import directories as runs

OLS = ["--config", str(ROOT / "configs/line/ols.yaml")]
VALIDATED = ["fit", *OLS, "--data.val_fraction", "0.2"]
MISTAKES = {
    "a config that is not there": (["fit", "--config", "configs/ols.yaml"], "no configuration file configs/ols.yaml"),
    "a config that is no YAML": (["fit", "--config", "broken.yaml"], "broken.yaml is not YAML: "),
    "a config that is a list": (["fit", "--config", "list.yaml"], "list.yaml must hold keys"),
    "--config before the subcommand": (["--config", OLS[1], "fit"], "put --config after the subcommand"),
    "no such subcommand": (["fti", *OLS], "no subcommand fti, did you mean fit?"),
    "no configuration": (["fit"], "`model` must be given: add --config FILE"),
    "an option that trusts files": (["fit", *OLS, "--weights_only=false"], "`weights_only` is not an option"),
    "typo in a Trainer key": (["fit", *OLS, "--trainer.max_epoch", "1"], "did you mean trainer.max_epochs?"),
    "typo in a Trainer key in YAML": (["fit", *OLS, "--config", "trainer.yaml"], "did you mean trainer.max_epochs?"),
    "typo in a top key": (
        ["fit", *OLS, "--modle.network", "x"],
        "`modle.network` is not an option, did you mean model.network? It is lightning_template.networks.MLP",
    ),
    "typo in a nested key": (
        ["fit", *OLS, "--model.network.in_featurs", "1"],
        "is not an option of lightning_template.networks.MLP, did you mean model.network.in_features?",
    ),
    "typo in a nested key in YAML": (
        ["fit", *OLS, "--config", "nested.yaml"],
        "`model.optimizer.lrr` is not an option of torch.optim.LBFGS, did you mean model.optimizer.lr?",
    ),
    "steps per execution where they were": (
        ["fit", *OLS, "--model.steps_per_execution", "2"],
        "RegressionTask: give `callbacks.executions.steps` instead",
    ),
    "a compile mode where it was, in YAML": (
        ["fit", *OLS, "--config", "moved.yaml"],
        "RegressionTask: give `callbacks.executions.compile_mode` instead",
    ),
    "a class where it was, in a list": (
        ["fit", *OLS, "--config", "augmented.yaml"],
        "`data.augmentations`: lightning_template.datamodules.augmentation has moved: write ",
    ),
    "a class where it was, as an option": (
        ["fit", *OLS, "--data.augmentations+=lightning_template.datamodules.augmentation.RandomCrop"],
        "lightning_template.datamodules.augmentation has moved: write lightning_template.transforms instead",
    ),
    "typo in a callback": (["fit", *OLS, "--callbacks.checkpoin", "null"], "did you mean callbacks.checkpoint?"),
    "wrong type": (["fit", *OLS, "--trainer.max_epochs", "many"], "`trainer.max_epochs` must be int, got many"),
    "wrong type in a class": (["fit", *OLS, "--data.batch_size", "x"], "`data.batch_size` must be int, got x"),
    "wrong type in an optimizer": (["fit", *OLS, "--model.optimizer.lr", "x"], "`model.optimizer.lr` must be float"),
    "wrong choice": (
        ["fit", *OLS, "--model.lr_scheduler_interval", "steps"],
        "`model.lr_scheduler_interval` must be 'epoch' or 'step', got steps",
    ),
    "wrong range": (["fit", *OLS, "--data.val_fraction", "1"], "`val_fraction` must lie in [0, 1), got 1.0"),
    "wrong range of the optimizer": (
        ["fit", *OLS, "--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "-1"],
        "`optimizer.lr` must be finite and at least 0, got -1.0",
    ),
    "unknown class": (
        ["fit", *OLS, "--model", "lightning_template.tasks.RegresionTask"],
        "`model`: no RegresionTask in lightning_template.tasks, did you mean RegressionTask?",
    ),
    "unknown module": (["fit", *OLS, "--model.network", "nowhere.Net"], "`model.network`: No module named 'nowhere'"),
    "short class name": (["fit", *OLS, "--model", "Nonesuch"], "`model` must be a full class path"),
    "class of another kind": (
        ["fit", *OLS, "--model", "torch.nn.Linear"],
        "not correspond to a subclass of LightningM",
    ),
    "missing argument": (
        ["fit", *OLS, "--model.lr_scheduler", "torch.optim.lr_scheduler.StepLR"],
        "`model.lr_scheduler`: torch.optim.lr_scheduler.StepLR needs step_size",
    ),
    "no such accelerator": (["fit", *OLS, "--trainer.accelerator", "gpuu"], "accelerator='gpuu'"),
    "wrong value of the Trainer": (
        ["fit", *OLS, "--trainer.accumulate_grad_batches", "0"],
        "`trainer.accumulate_grad_batches` must be at least 1, got 0",
    ),
    "wrong value in a class": (
        ["fit", *OLS, "--data.batch_size", str(10**30)],
        f"`data.batch_size` must lie in [-2^63, 2^63), got {10**30}",
    ),
    "null": (["fit", *OLS, "--data.batch_size", "null"], "`data.batch_size` must be int, got null"),
    "wrong seed": (["fit", *OLS, "--seed_everything", "-1"], "`seed_everything` must lie in [0, 2^32), got -1"),
    "too many devices": (["fit", *OLS, "--trainer.devices", "5000"], "got 5000"),
    "too many workers": (["fit", *OLS, "--data.num_workers", "100000"], "`data.num_workers` must lie in [0, "),
    "a config in itself": (["fit", *OLS, "--config", "circle.yaml"], "circle.yaml, line 1: &a contains itself"),
    "a config in itself within a config": (["fit", *OLS, "--config", "outer.yaml"], "line 1: &a contains itself"),
    "a config in itself as an option": (["fit", *OLS, "--model", "circle.yaml"], "line 1: &a contains itself"),
    "an option in itself": (["fit", *OLS, "--model={a: &a [*a]}"], "--model, line 1: &a contains itself"),
    "nested lists": (
        ["fit", *OLS, "--model.network.hidden_features", "[" * 3000 + "]" * 3000],
        "--model.network.hidden_features, line 1: more than 100 lists or mappings within one another",
    ),
    "inputs of another shape": (
        ["fit", *OLS, "--model.network.in_features", "2"],
        "the data have 1 input, `model.network.init_args.in_features` is 2",
    ),
    "inputs of another shape in an evaluation": (
        ["test", *OLS, "--allow_untrained", "--model.network.in_features", "2"],
        "the data have 1 input, `model.network.init_args.in_features` is 2",
    ),
    "wrong monitor": (
        [*VALIDATED, "--callbacks.checkpoint.monitor", "val/los", "--callbacks.checkpoint.mode", "min"],
        "`monitor` of BestAndLast must be one of the logged quantities (train/loss, train/loss_step, ",
    ),
    "validation after more batches than there are": (
        [*VALIDATED, "--trainer.val_check_interval", "999"],
        "`val_check_interval` (999) must be less than or equal to the number of the training batches (1)",
    ),
    "wrong value of an optimizer": (
        ["fit", *OLS, "--model.optimizer", "torch.optim.SGD", "--model.optimizer.momentum", "-1"],
        "`optimizer` cannot be made: Invalid momentum value: -1.0",
    ),
    "infinite learning rate": (
        ["fit", *OLS, "--model.optimizer.lr", "1e999"],
        "`optimizer.lr` must be finite and at least 0, got inf",
    ),
    "no class of the model": (
        ["fit", "--config", "no_class.yaml"],
        "`model` needs a `class_path`, the full path of its",
    ),
    "a part that is a number": (
        ["fit", *OLS, "--config", "number.yaml"],
        "`trainer` must hold names and values, got 3",
    ),
    "an option that a class sets itself": (
        ["fit", *OLS, "--data", "fixed.Fixed", "--data.slope", "3"],
        "`data.slope` is not an option of fixed.Fixed: it is set in code, where fixed.Fixed is defined or called",
    ),
    "an argument that is passed in code": (
        ["fit", *OLS, "--model.optimizer.params", "[1]"],
        "`model.optimizer.params` is not an option of torch.optim.LBFGS: it is set in code",
    ),
    "a word in place of a list": (
        ["fit", *OLS, "--data", "lightning_template.datamodules.TableDataModule", "--data.inputs", "a"],
        "`data.inputs` must be collections.abc.Sequence, got a",
    ),
    "no checkpoint given": (["test", *OLS], "`test` needs --ckpt_path"),
    "no checkpoint yet": (["test", *OLS, "--ckpt_path", "best"], "no best.ckpt in 0 runs in lightning_logs/line_ols"),
    "nothing to go on from": (["fit", *OLS, "--ckpt_path", "last"], "no last.ckpt in 0 runs"),
    "no such checkpoint": (["test", *OLS, "--ckpt_path", "x.ckpt"], "got x.ckpt"),
    "not a checkpoint": (
        ["test", *OLS, "--ckpt_path", "list.yaml"],
        "list.yaml is damaged: it does not end as a checkpoint does",
    ),
    "targets of another shape": (
        ["fit", *OLS, "--model.network.out_features", "2"],
        "the data have 1 target, `model.network.init_args.out_features` is 2",
    ),
}


@pytest.fixture
def files(workspace: Path) -> Path:
    (workspace / "broken.yaml").write_text("model: [")
    (workspace / "no_class.yaml").write_text("model: {init_args: {}}\n")
    (workspace / "number.yaml").write_text("trainer: 3\n")
    (workspace / "fixed.py").write_text(
        "from lightning_template.datamodules import LineDataModule\n"
        "class Fixed(LineDataModule):\n"
        "    def __init__(self, **kwargs):\n"
        "        super().__init__(slope=1.0, **kwargs)\n"
    )
    (workspace / "circle.yaml").write_text("model: &a {init_args: *a}\n")
    (workspace / "outer.yaml").write_text("model: circle.yaml\n")
    (workspace / "list.yaml").write_text("- model\n")
    (workspace / "trainer.yaml").write_text("trainer: {max_epoch: 1}\n")
    (workspace / "moved.yaml").write_text("model: {init_args: {compile_mode: default}}\n")
    old = "{class_path: lightning_template.datamodules.augmentation.RandomCrop, init_args: {padding: 2}}"
    (workspace / "augmented.yaml").write_text(f"data: {{init_args: {{augmentations: [{old}]}}}}\n")
    (workspace / "nested.yaml").write_text("model: {init_args: {optimizer: {init_args: {lrr: 1}}}}\n")
    return workspace


def content(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*") if "__pycache__" not in path.parts)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_line_and_leaves_nothing(mistake: str, files: Path, command: Command) -> None:
    args, message = MISTAKES[mistake]
    before = content(files)
    status, out, err = command(*args)
    lines = [line for line in err.splitlines() if line.strip()]
    assert status == 2
    assert len(lines) == 1, err
    assert lines[0].startswith("lightning-template: error: ")
    assert message in lines[0]
    assert "Traceback" not in out + err
    assert content(files) == before


def test_data_that_cannot_be_had(command: Command, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fashion_mnist_sources, "SYSTEM_FOLDER", workspace / "nowhere")
    monkeypatch.setattr(fashion_mnist_sources, "in_order", list)
    status, _, err = command("fit", "--config", ROOT / "configs/fashion_mnist/mlp.yaml")
    assert status == 2
    assert len(err.splitlines()) == 1
    assert "train-images-idx3-ubyte" in err
    for place in ("data/FashionMNIST/raw", "nowhere", "dataset-fashion-mnist"):  # where it was looked for, and a remedy
        assert place in err
    assert content(workspace) == []


def test_damaged_data(command: Command, workspace: Path, fashion_mnist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(fashion_mnist, workspace / "data")
    labels = workspace / "data" / "FashionMNIST" / "raw" / "train-labels-idx1-ubyte.gz"
    labels.with_name("t10k-labels-idx1-ubyte.gz").replace(labels)
    monkeypatch.setattr(fashion_mnist_sources, "SYSTEM_FOLDER", workspace / "nowhere")
    monkeypatch.setattr(fashion_mnist_sources, "in_order", list)
    before = content(workspace)
    status, _, err = command("fit", "--config", ROOT / "configs/fashion_mnist/mlp.yaml")
    assert status == 2
    assert "t10k-labels-idx1-ubyte" in err.splitlines()[-1]
    assert content(workspace) == before


def test_debug_shows_the_traceback(command: Command) -> None:
    status, _, err = command("fit", "--debug", "--config", "missing.yaml")
    assert status == 2
    assert "Traceback" in err
    assert err.splitlines()[-1] == "lightning-template: error: no configuration file missing.yaml"


def test_a_failed_run_exits_with_1_and_keeps_its_traceback(command: Command, workspace: Path) -> None:
    (workspace / "failing.py").write_text(
        "from torch import nn\n"
        "class Failing(nn.Linear):\n"
        "    calls = 0\n"
        "    def forward(self, x):\n"
        "        self.calls += 1\n"
        "        if self.calls > 1:\n"
        "            raise RuntimeError('broken\\nin two lines')\n"
        "        return super().forward(x)\n"
    )
    network = ["--model.network", "failing.Failing", "--model.network.in_features=1", "--model.network.out_features=1"]
    status, _, err = command("fit", *OLS, *network)
    assert status == 1
    kept = Path("lightning_logs/line_ols/version_0/traceback.txt")
    assert err.splitlines()[-1] == (
        f"lightning-template: error: RuntimeError: broken in two lines; traceback in {kept}"
    )
    assert "raise RuntimeError" in kept.read_text()


def test_a_checkpoint_of_another_architecture_is_refused(command: Command, workspace: Path) -> None:
    assert command("fit", *OLS, "--trainer.max_epochs", "1").status == 0
    before = content(workspace)
    for stage in ("fit", "test"):
        status, _, err = command(stage, *OLS, "--ckpt_path", "last", "--model.network.hidden_features", "[3]")
        assert status == 2
        assert "last.ckpt is of another architecture: network.1.weight has shape (1, 1) in the checkpoint" in err
    assert content(workspace) == before


NO_NAMES = [
    "..",
    ".",
    "../../x",
    "a/b",
    "/tmp/x",
    "",
    " ",
    "a\nb",
    "a\0b",
    "a\x1b[31mb",
    "\u202eb",
    "x" * 256,
    "ü" * 128,
]


@pytest.mark.parametrize("name", NO_NAMES)
@pytest.mark.parametrize("way", ["option", "equals", "yaml", "test"])
def test_an_experiment_is_one_name(name: str, way: str, command: Command, workspace: Path) -> None:
    (workspace / "named.yaml").write_text(yaml.safe_dump({"experiment": name}))
    before = content(workspace)
    args = {
        "option": ["fit", *OLS, "--experiment", name],
        "equals": ["fit", *OLS, f"--experiment={name}"],
        "yaml": ["fit", *OLS, "--config", "named.yaml"],
        "test": ["test", *OLS, "--experiment", name, "--ckpt_path", "best"],
    }[way]
    status, out, err = command(*args)
    assert (status, out) == (2, "")
    assert err.startswith("lightning-template: error: `experiment` must ")
    assert err.count("\n") == 1
    assert err.strip().isprintable()
    assert content(workspace) == before


@pytest.mark.parametrize("value", [5, True, ["a"], {"a": "b"}])
def test_an_experiment_in_yaml_is_a_text(value: object, command: Command, workspace: Path) -> None:
    (workspace / "named.yaml").write_text(yaml.safe_dump({"experiment": value}))
    status, _, err = command("fit", *OLS, "--config", "named.yaml")
    assert (status, err.count("\n")) == (2, 1)
    assert "`experiment` must be the name of a folder, got " in err


def test_names_that_are_good(workspace: Path) -> None:
    for name in ("größe 2.0 (neu)", "x" * 255, ".hidden", "-x"):
        assert read_command_line(["fit", *OLS, f"--experiment={name}"]).experiment == name
        assert runs.create_run(workspace, name).is_dir()
    with pytest.raises(ValueError, match="one name without slashes"):
        runs.create_run(workspace, "../x")


def test_what_steers_a_terminal_is_escaped() -> None:
    assert printable("red: \x1b[31m, größer") == "red: \\x1b[31m, größer"


def test_a_character_to_keep_is_not_escaped() -> None:
    assert printable("a\n\x1b\tb", keep="\n") == "a\n\\x1b\\tb"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((15, 3), 143, "stopped by SIGTERM after step 3"),
        ((2, 0), 130, "stopped by SIGINT after step 0"),
        ((2,), 130, "stopped by SIGINT"),
        ((15, 3, False), 0, ""),
    ],
)
def test_a_stop_says_by_what_and_when(arguments: tuple[int, ...], code: int, message: str) -> None:
    stopped = Stopped(*arguments)  # type: ignore[arg-type]
    assert (stopped.number, stopped.step) == (*arguments, None)[:2]
    assert (stopped.code, stopped.message) == (code, message)


class Base:
    def __init__(self, rate: float, only: int, /, decay: float = 0.0) -> None:
        pass


class Between(Base):
    pass


class Derived(Between):
    def __init__(self, momentum: float, *args: float, nesterov: bool = False, **kwargs: float) -> None:
        pass


def function(first: int, /, second: int, *others: int) -> None:
    pass


def test_parameters_are_those_that_a_configuration_can_name() -> None:
    assert _parameters("test_errors.Derived") == ["momentum", "nesterov", "decay"]
    assert _parameters("test_errors.function") == ["second"]


def test_a_hint_names_the_most_similar_other_word() -> None:
    assert nearest("momentum", ["momentum", "nesterov"]) == ""
    assert nearest("rate", ["rate", "late", "irate"]) == ", did you mean irate?"


def test_an_error_of_a_worker_is_its_last_and_its_first_line() -> None:
    caught, original = (
        "Caught KeyError in DataLoader worker process 0.\n",
        "Original Traceback (most recent call last):",
    )
    for middle in ("\n", "\n  x\n"):
        error = RuntimeError(f"{caught}{original}{middle}KeyError: 3")
        assert one_line(error) == "KeyError: 3 (KeyError in DataLoader worker process 0)"
    assert one_line(RuntimeError(caught + original)) == " ".join((caught + original).split())
    assert one_line(RuntimeError("one\ntwo\n three")) == "one two three"
    assert one_line(KeyboardInterrupt()) == "KeyboardInterrupt"
