"""Choice of the quantity that decides which weights are best, where none is given."""

import re
from collections.abc import Collection, Iterable
from typing import Literal

from lightning_template.engine.runs.names import OF_VALIDATION, without_loader

Mode = Literal["min", "max"]

AUTO = "auto"
"""Says that the task or else the logged names decide what is watched."""

LOWER_IS_BETTER = {"loss", "error", "err", "mae", "mse", "rmse", "mape", "rmsle", "nll", "bce", "crps"}
LOWER_IS_BETTER |= {"perplexity", "ppl", "cer", "wer", "fid", "ece", "brier", "lpips"}
HIGHER_IS_BETTER = {"acc", "accuracy", "f1", "auroc", "auc", "r2", "precision", "recall", "specificity", "sensitivity"}
HIGHER_IS_BETTER |= {"iou", "miou", "dice", "jaccard", "map", "ap", "mcc", "kappa", "psnr", "ssim", "bleu", "rouge"}


def choose(names: Iterable[str], mode: Mode | None = None) -> tuple[str, Mode] | None:
    """Choose what to watch among the quantities that a validation logged.

    That is its loss, or else the only one whose name ends in "loss". Otherwise it is the only quantity, if `mode` or
    its name tells whether it is to be low or high. Of several validation sets the first counts.

    Example:
        >>> choose(["val_acc", "val_loss"]), choose(["valid/f1"]), choose(["val_acc", "val_f1"]), choose(["val_a"])
        (('val_loss', 'min'), ('valid/f1', 'max'), None, None)
        >>> choose(["val_triplet_loss", "val_acc"]), choose(["val_loss/dataloader_idx_0", "val_loss/dataloader_idx_1"])
        (('val_triplet_loss', 'min'), ('val_loss/dataloader_idx_0', 'min'))
    """
    names = _of_first_sets(names)
    words = {name: [word for word in _words(without_loader(name)) if word not in OF_VALIDATION] for name in names}
    losses = [name for name in names if words[name] == ["loss"]]
    parts = [name for name in names if words[name][-1:] == ["loss"]]
    if len(parts) == 1 and len(words[parts[0]]) < len(
        _words(without_loader(parts[0]))
    ):  # it says that it is validation's
        losses = losses or parts
    if losses:
        return losses[0], mode or "min"
    mode = mode or (mode_of(names[0]) if names else None)
    return (names[0], mode) if mode and len(names) == 1 else None


def mode_of(name: str) -> Mode | None:
    """Return whether a quantity is to be low or high, as the last known word of its name has it; None if none is known.

    Example:
        >>> mode_of("val/accuracy"), mode_of("valMSELoss"), mode_of("val/score")
        ('max', 'min', None)
    """
    for word in reversed(_words(name)):
        if word in LOWER_IS_BETTER:
            return "min"
        if word in HIGHER_IS_BETTER:
            return "max"
    return None


def is_better(score: float, other: float, mode: str | None) -> bool:
    """Tell whether a score is better than another, which stays the best where they are equal."""
    return score > other if mode == "max" else score < other


def _of_first_sets(names: Iterable[str]) -> list[str]:
    """Return the names of the first validation set that logged each quantity, without those of means of an epoch."""
    first: dict[str, str] = {}
    for name in sorted(names, key=lambda name: name != without_loader(name) and int(name.rpartition("_")[2])):
        first.setdefault(without_loader(name), name)
    means = {f"{quantity}_epoch" for quantity in first}
    return [name for quantity, name in first.items() if quantity not in means]


def _words(name: str) -> list[str]:
    """Return the words of a name in small letters; `valAcc` has two, `IoU` is one."""
    words: list[str] = []
    for part in re.findall(r"[A-Za-z0-9]+", name):
        if part.lower() in LOWER_IS_BETTER | HIGHER_IS_BETTER:
            words.append(part.lower())
        else:
            words += re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", part).lower().split()
    return words


def why_none(names: Collection[str]) -> str:
    """Return the line that says why no quantity is watched."""
    if not names:
        return "no best.ckpt, last.ckpt alone: the validation logs nothing to watch"
    logged = ", ".join(sorted(names))
    return f"no best.ckpt, last.ckpt alone: give `callbacks.checkpoint.monitor` to watch one of {logged}"
