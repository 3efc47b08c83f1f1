"""Hints for names that are not there: parts of others, misspellings, names from other tools."""

import difflib
from collections.abc import Iterable, Mapping

MAX_NAMED = 3
"""Largest number of options that a hint names."""
_ALIKE = 0.75
"""Similarity from which two words are two spellings of one."""
_USUAL = {
    "ckpt_path": "checkpoint checkpoint_path ckpt from_checkpoint load load_from model_path resume resume_from "
    "resume_from_checkpoint restore weights",
    "config": "cfg conf config_file config_path configuration yaml",
    "data": "datamodule dataset",
    "data.batch_size": "batch batch_size bs per_device_train_batch_size train_batch_size",
    "data.data_dir": "data_folder data_path data_root dataset_dir dataset_path",
    "data.eval_batch_size": "per_device_eval_batch_size test_batch_size val_batch_size",
    "data.num_workers": "dataloader_num_workers n_workers num_workers worker workers",
    "data.val_fraction": "split val_ratio val_size val_split validation_fraction validation_split",
    "experiment": "exp exp_name experiment_name name run run_name",
    "model.loss": "criterion loss_fn loss_function objective",
    "model.lr_scheduler": "lr_schedule lrs schedule scheduler",
    "model.network": "arch architecture backbone net",
    "model.network.hidden_features": "hidden hidden_dim hidden_dims hidden_size hidden_sizes hidden_units",
    "model.optimizer": "opt optim",
    "model.optimizer.lr": "learning_rate lr rate",
    "model.optimizer.momentum": "mom",
    "model.optimizer.weight_decay": "decay l2 wd weight_decay",
    "output": "out output_file",
    "seed_everything": "manual_seed random_seed random_state seed",
    "trainer.accelerator": "cpu cuda device gpu mps tpu",
    "trainer.accumulate_grad_batches": "accumulate accumulation grad_accum gradient_accumulation "
    "gradient_accumulation_steps",
    "trainer.default_root_dir": "log_dir out_dir output_dir root root_dir save_dir work_dir",
    "trainer.devices": "device gpus n_gpu n_gpus ngpus num_devices num_gpus num_processes",
    "trainer.fast_dev_run": "dry_run smoke_test",
    "trainer.gradient_clip_val": "clip clip_grad clip_grad_norm clip_norm clip_val grad_clip gradient_clip "
    "gradient_clipping max_grad_norm",
    "trainer.log_every_n_steps": "log_every log_freq log_interval logging_steps print_freq",
    "trainer.max_epochs": "ep epoch epochs n_epochs nb_epochs num_epochs num_train_epochs",
    "trainer.max_steps": "iterations iters num_iterations num_steps steps",
    "trainer.num_nodes": "nodes",
    "trainer.precision": "amp bf16 dtype fp16 half mixed mixed_precision",
    "trainer.strategy": "ddp fsdp",
}
_SUBCOMMANDS = {
    "fit": "finetune learn run start train training",
    "fit --ckpt_path last": "continue restart resume",
    "validate": "eval evaluate val validation",
    "test": "eval evaluate score testing",
    "predict": "infer inference pred prediction predictions",
    "check": "doctor lint sanity",
    "runs": "history list ls",
    "show": "inspect look plot preview view visualize",
    "find-lr": "find_lr lr_find lr_finder",
    "profile": "bench benchmark profiler",
    "runs diff": "compare diff",
    "runs best": "best",
    "new": "create generate init",
    "sweep": "grid hpo hyperopt optimize optuna search study tune",
    "upgrade": "update",
    "--help": "help",
    "--version": "version",
}


def one_spelling(name: str) -> str:
    """Return a name as it is compared with others: `Batch-Size`, `batchsize` and `batch_size` are one."""
    return name.lower().replace("-", "").replace("_", "")


def _by_word(table: Mapping[str, str]) -> dict[str, list[str]]:
    """Return what each word of a table stands for."""
    found: dict[str, list[str]] = {}
    for name, words in table.items():
        for word in {name.rpartition(".")[2], *words.split()}:
            found.setdefault(one_spelling(word), []).append(name)
    return found


_OPTION_OF, _SUBCOMMAND_OF = _by_word(_USUAL), _by_word(_SUBCOMMANDS)


def joined(names: Iterable[str], last: str) -> str:
    """Return names in a row, the last one after a word.

    Example:
        >>> joined(["fit", "test", "predict"], "or")
        'fit, test or predict'
    """
    *others, end = names
    return f"{', '.join(others)} {last} {end}" if others else end


def is_like_a_file(word: str) -> bool:
    """Tell whether a word is a configuration rather than an option or a subcommand."""
    return "/" in word or word.endswith((".yaml", ".yml"))


def meant_subcommand(word: str) -> str:
    """Return a hint for a word that is used elsewhere in place of a subcommand, or nothing.

    Example:
        >>> meant_subcommand("eval")
        ', did you mean validate or test?'
    """
    names = [f"fit --config {word}"] if is_like_a_file(word) else _SUBCOMMAND_OF.get(one_spelling(word))
    return f", did you mean {joined(names, 'or')}?" if names else ""


def meant_option(name: str, options: Mapping[str, str]) -> str:
    """Return a hint that names the options that are meant, with their values, or nothing.

    Args:
        name: What was typed, without dashes.
        options: Text of the present value of each option, empty where it is not known.

    Example:
        >>> meant_option("lr", {"model.optimizer.lr": "0.01", "trainer.max_epochs": "5"})
        ', did you mean model.optimizer.lr? It is 0.01'
        >>> meant_option("trainer.epochs", {"model.optimizer.lr": "0.01", "trainer.max_epochs": "5"})
        ', did you mean trainer.max_epochs? It is 5'
    """
    names = _best(name, [option for option in options if option != name])
    if not names:
        return ""
    values = [options.get(option, "") for option in names]
    said = f" {'They are' if len(values) > 1 else 'It is'} {joined(values, 'and')}" if all(values) else ""
    return f", did you mean {joined(names, 'or')}?{said}"


def _best(name: str, options: Iterable[str]) -> list[str]:
    """Return the options that are meant, the most likely ones, at most three.

    What lies where it was looked for, such as `model.optimizer.lr` for `model.lr`, comes before others.
    """
    *groups, last = name.split(".")
    usual = _OPTION_OF.get(one_spelling(last), [])
    scores: dict[str, float] = {}
    for option in options:
        *above, end = option.split(".")
        alike = 1.01 if option in usual else _likeness(last, end.rpartition(" ")[2])
        if alike >= _ALIKE:
            place = 0.25 * sum(group in above for group in groups) / len(groups) if groups else 0.0
            scores[option] = alike + place + 0.05 * (above == groups != [])
    found = [option for option in scores if scores[option] == max(scores.values())]
    if not found and not any(option.startswith("model.") for option in options):  # no class is known
        found = usual
    return sorted(found, key=lambda option: option.count("."))[:MAX_NAMED]


def _likeness(word: str, other: str) -> float:
    """Return how likely one word stands for another, from 0 to 1."""
    one, two = one_spelling(word), one_spelling(other)
    if one == two:
        return 1.0
    if {*_OPTION_OF.get(one, [])} & {*_OPTION_OF.get(two, [])}:  # such as `hidden_size` and `hidden_dim`
        return 0.95
    alike = difflib.SequenceMatcher(a=one, b=two).ratio()
    parts, others = (set(name.lower().replace("-", "_").split("_")) for name in (word, other))
    return max(alike, 0.8) if parts <= others or others <= parts else alike  # such as `lr` and `lr_generator`
