"""Choice of the quantity that decides which weights are best, where none is given."""

import re
from collections.abc import Collection, Iterable
from typing import Literal

Mode = Literal["min", "max"]

AUTO = "auto"
"""Says that the task or else the logged names decide what is watched."""

OF_VALIDATION = {"val", "valid", "validation", "eval", "dev"}
LOWER_IS_BETTER = {"loss", "error", "err", "mae", "mse", "rmse", "mape", "rmsle", "nll", "bce", "crps"}
LOWER_IS_BETTER |= {"perplexity", "ppl", "cer", "wer", "fid", "ece", "brier", "lpips"}
HIGHER_IS_BETTER = {"acc", "accuracy", "f1", "auroc", "auc", "r2", "precision", "recall", "specificity", "sensitivity"}
HIGHER_IS_BETTER |= {"iou", "miou", "dice", "jaccard", "map", "ap", "mcc", "kappa", "psnr", "ssim", "bleu", "rouge"}


def choose(names: Iterable[str], mode: Mode | None = None) -> tuple[str, Mode] | None:
    """Choose what to watch among the quantities that a validation logged.

    That is its loss or else the only quantity, if `mode` or its name tells whether it is to be low or high.

    Example:
        >>> choose(["val_acc", "val_loss"]), choose(["valid/f1"]), choose(["val_acc", "val_f1"]), choose(["val_a"])
        (('val_loss', 'min'), ('valid/f1', 'max'), None, None)
    """
    names = list(names)
    names = [name for name in names if name.removesuffix("_epoch") == name or name.removesuffix("_epoch") not in names]
    losses = [name for name in names if [word for word in _words(name) if word not in OF_VALIDATION] == ["loss"]]
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
