"""Names of logged quantities: of which stage each is, and which of other stages belongs to it. Imports no torch."""

import re
from collections.abc import Iterable

OF_TRAINING = ("train", "training", "trn")
OF_VALIDATION = ("val", "valid", "validation", "eval", "dev")
OF_TEST = ("test", "testing")
STAGES = {word: stage for stage in (OF_TRAINING, OF_VALIDATION, OF_TEST) for word in stage}
"""The stage, as the words for it, by each of these words."""

_WORDS = "|".join(sorted(STAGES, key=len, reverse=True))
# as a word by itself, or at the beginning as in `valLoss`
_STAGE = re.compile(rf"(?<![^\W_])(?i:{_WORDS})(?![^\W_])|^(?:{_WORDS})(?=[A-Z])")
_OF_LOADER = re.compile(r"/dataloader_idx_\d+$")


def without_loader(name: str) -> str:
    """Return a name without what Lightning adds where there are several loaders."""
    return _OF_LOADER.sub("", name)


def split_name(name: str) -> tuple[str | None, str]:
    """Return the first word of a stage's, "train", "val" or "test", that a name has, and the name without it.

    Example:
        >>> split_name("train_loss"), split_name("loss/valid"), split_name("val_loss/dataloader_idx_1")
        (('train', 'loss'), ('val', 'loss'), ('val', 'loss'))
        >>> split_name("gan/validation_fid_epoch"), split_name("valLoss"), split_name("g_loss")
        (('val', 'gan/fid'), ('val', 'Loss'), (None, 'g_loss'))
    """
    name = without_loader(name)
    rest = name.removesuffix("_epoch")
    match = _STAGE.search(rest)
    if match is None or len(match[0]) == len(rest):
        return None, rest
    before, after = rest[: match.start()], rest[match.end() :]
    rest = before + after[1:] if re.match(r"[\W_]", after) else before[:-1] + after if not after else before + after
    return STAGES[match[0].lower()][0], rest


def pairs(names: Iterable[str]) -> dict[str, dict[str | None, list[str]]]:
    """Return names by what they are of without their stage, and by stage; those of training come first.

    A quantity that is logged in each step and over each epoch counts once.

    Example:
        >>> pairs(["loss/val", "loss/train", "loss/train_step", "lr"])
        {'loss': {'train': ['loss/train'], 'val': ['loss/val']}, 'lr': {None: ['lr']}}
    """
    names = list(dict.fromkeys(names))
    bare = {name.removesuffix("_epoch") for name in names}
    once = [
        name
        for name in names
        if f"{name}_epoch" not in names and not (name.endswith("_step") and name.removesuffix("_step") in bare)
    ]
    found: dict[str, dict[str | None, list[str]]] = {}
    for name in sorted(once, key=lambda name: split_name(name)[0] != "train"):
        stage, rest = split_name(name)
        found.setdefault(rest, {}).setdefault(stage, []).append(name)
    return found


def of_other_stage(name: str) -> str:
    """Return a pattern of the names that validation may have for a quantity of the training, or the other way round.

    Example:
        >>> of_other_stage("loss/train")
        'loss/(val|valid|validation|eval|dev)(/dataloader_idx_[0-9]+)?(_epoch)?$'
        >>> of_other_stage("val_loss")
        '(train|training|trn)_loss(_epoch)?$'
    """
    rest = without_loader(name).removesuffix("_epoch")
    match = _STAGE.search(rest)
    assert match is not None
    words: tuple[str, ...] = OF_TRAINING
    loader = ""
    if STAGES[match[0].lower()] == OF_TRAINING:
        words, loader = OF_VALIDATION, "(/dataloader_idx_[0-9]+)?"
    words = tuple(word.capitalize() if match[0][0].isupper() else word for word in words)
    before, after = re.escape(rest[: match.start()]), re.escape(rest[match.end() :])
    return f"{before}({'|'.join(words)}){after}{loader}(_epoch)?$"
