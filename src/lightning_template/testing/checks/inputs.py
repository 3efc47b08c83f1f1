"""Checks of inputs: their scale, what they tell, and whether sets are alike."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lightning_template.testing.batches import copied, leaves_of
from lightning_template.testing.exceptions import CheckAdvised, CheckFailed, CheckSkipped
from lightning_template.testing.samples import Table, features, scan, train_table, val_table
from lightning_template.testing.subject import Subject

BYTES = (255.0, 256.0, 127.5, 128.0)
WITH_WEIGHTS = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.RNNBase
MANY = 20
MAX_COLUMNS = 4096


def inputs_are_scaled_once(subject: Subject) -> None:
    """Inputs do not reach the first layer scaled twice."""
    batch = subject.train_samples
    given = [leaf for leaf in leaves_of(batch) if isinstance(leaf, Tensor) and leaf.is_floating_point()]
    given = [leaf for leaf in given if leaf.ndim > 1 and leaf.numel() > MANY]
    if not given:
        raise CheckSkipped("inputs are no matrices of numbers")
    inputs = given[0].double()
    if inputs.ndim == 4 and inputs.min() >= 0 and 0 < inputs.max() < 0.02 and _whole(inputs * 255 * 255):
        raise CheckFailed(
            f"images have values from {inputs.min():.3g} to {inputs.max():.3g}, which are bytes divided by 255 twice: "
            "`ToTensor` and `to_tensor` divide already"
        )
    seen = _first_inputs(subject, batch)
    if seen is None or seen.numel() != inputs.numel():
        raise CheckSkipped("what reaches the first layer cannot be compared with inputs")
    seen = seen.reshape(inputs.shape).double()
    if inputs.shape[1] <= MANY:  # channels of images, columns of tables
        columns = zip(inputs.transpose(0, 1).flatten(1), seen.transpose(0, 1).flatten(1), strict=True)
        for number, (x, y) in enumerate(columns):
            _require_one_scaling(x, y, f"inputs {number} have")
    else:
        _require_one_scaling(inputs.flatten(), seen.flatten(), "inputs have")
    if seen.abs().max() > 100 and seen.std() > 30:
        raise CheckAdvised(
            f"inputs reach the first layer with values up to {seen.abs().max():.4g}: training is easier if they are "
            "near 1"
        )


def _require_one_scaling(x: Tensor, y: Tensor, where: str) -> None:
    """Require what a layer sees of inputs not to be a second scaling of them."""
    factor = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum().clamp(min=1e-12)
    shift = y.mean() - factor * x.mean()
    if factor == 0 or not torch.allclose(factor * x + shift, y, rtol=1e-3, atol=1e-3 * float(y.abs().max())):
        return
    if x.abs().max() <= 10 and any(abs(factor * b - 1) < 0.01 for b in BYTES) and not _whole(x):
        raise CheckFailed(
            f"{where} values from {x.min():.3g} to {x.max():.3g}, and the task divides them by {1 / factor:.4g}, "
            f"so its first layer sees numbers up to {y.abs().max():.3g}: they were scaled before"
        )
    is_standard = abs(x.mean()) < 0.2 and 0.8 < x.std() < 1.2
    if is_standard and abs(shift) > 0.2 and not (abs(y.mean()) < 0.2 and 0.8 < y.std() < 1.2):
        raise CheckFailed(
            f"{where} mean {x.mean():.2g} and standard deviation {x.std():.2g}, and the task normalises them again "
            f"to mean {y.mean():.2g} and standard deviation {y.std():.2g}: data or task, not both"
        )


def _whole(values: Tensor) -> bool:
    return bool(((values - values.round()).abs() < 0.02).all()) and bool(values.abs().max() > 1)


def _first_inputs(subject: Subject, batch: Any) -> Tensor | None:
    """Return what the first layer with weights gets of a batch in training."""
    task, seen = subject.task(), []
    for module in task.modules():
        if isinstance(module, WITH_WEIGHTS):
            module.register_forward_pre_hook(lambda _, arguments: seen.append(copied(arguments[0])))
    subject.fit(task, [batch])
    return seen[0] if seen and isinstance(seen[0], Tensor) else None


def inputs_differ(subject: Subject) -> None:
    """Samples are not all the same, and neither are their targets."""
    table = subject.once(train_table)
    if len(table.inputs) < MANY:
        raise CheckSkipped(f"there are fewer than {MANY} samples")
    if (table.inputs == table.inputs[:1]).all() and not (table.targets == table.targets[:1]).all():
        raise CheckFailed(
            f"all {len(table.inputs)} training samples have the same inputs, and different targets: often an index "
            "that `__getitem__` does not use"
        )
    is_class = not table.targets.is_floating_point() and table.targets.ndim == 1
    if is_class and (table.targets == table.targets[0]).all() and table.is_whole:
        raise CheckAdvised(f"all {len(table.targets)} training samples have the target {table.targets[0].item()}")


def inputs_do_not_hold_targets(subject: Subject) -> None:
    """No column of a table is the target, or a count of samples that are sorted by it."""
    table = subject.once(train_table)
    _require_no_future(table)
    if table.inputs.ndim != 2 or table.inputs.shape[1] < 2 or table.targets.squeeze().ndim != 1:
        raise CheckSkipped("known only for tables with one target")
    columns, targets = table.inputs.double(), table.targets.squeeze().double()
    if len(columns) < MANY or len(targets.unique()) < 2:
        raise CheckSkipped("there are too few samples")
    for number, column in enumerate(columns.T):
        if torch.equal(column, targets):
            raise CheckFailed(
                f"column {number} of the inputs is the target, in all {len(column)} samples: leave it out"
            )
        order = column.argsort()
        steps = column[order].diff()
        counts = bool((column == column.round()).all()) and steps.min() >= 1 and steps.sum() <= 3 * len(column)
        if not counts:
            pairs = set(zip(column.tolist(), targets.tolist(), strict=True))
            if len(pairs) == len(column.unique()) == len(targets.unique()) < len(column) / 4:
                raise CheckAdvised(f"column {number} of the inputs tells the target, one value for each: is it known?")
            continue
        num_changes = int((targets[order].diff() != 0).sum())
        what = f"column {number} of the inputs counts samples, from {column.min():.0f} to {column.max():.0f}"
        if num_changes < len(targets.unique()) < len(targets) / 4:
            raise CheckFailed(
                f"{what}, and {len(targets.unique())} targets follow one another along it, so it tells them: an "
                "index of sorted data; leave it out"
            )
        raise CheckAdvised(f"{what}: an index tells nothing of new samples; leave it out")


def _require_no_future(table: Table) -> None:
    """Require no number of a series to be its target."""
    inputs, targets = features(table), table.targets.squeeze()
    if table.inputs.ndim < 3 or not targets.is_floating_point() or targets.ndim != 1 or inputs.shape[1] > MAX_COLUMNS:
        return
    for number in range(inputs.shape[1] if len(torch.unique(targets)) > MANY else 0):
        if torch.equal(inputs[:, number], targets.double()):
            place = [int(index) for index in torch.unravel_index(torch.tensor(number), table.inputs.shape[1:])]
            raise CheckFailed(f"the target of each sample is in its inputs, at {place}: let its window end before it")


TURNED: dict[str, Callable[[Tensor], Tensor]] = {
    "transposed": lambda mean: mean.transpose(-1, -2),
    "upside down": lambda mean: mean.flip(-2),
    "mirrored": lambda mean: mean.flip(-1),
    "with its channels in the opposite order": lambda mean: mean.flip(-3),
}


def sets_are_alike(subject: Subject) -> None:
    """Inputs of validation and test have the scale and the orientation of those of training."""
    train = subject.once(train_table)
    sets = [("val", subject.once(val_table))]
    sets += [("test", scan(loader)) for loader in subject.loaders(subject.data, "test")[:1]]
    for stage, other in sets:
        if other.inputs.shape[1:] != train.inputs.shape[1:] or min(len(other.inputs), len(train.inputs)) < 8:
            continue
        _require_one_scale(stage, features(train), features(other))
        if train.inputs.ndim == 4:
            _require_one_orientation(stage, train.inputs.double(), other.inputs.double())
        if train.inputs.ndim == 2 and train.inputs.is_floating_point() and train.is_whole and other.is_whole:
            _require_statistics_of_training(stage, features(train), features(other))


def _require_one_scale(stage: str, train: Tensor, other: Tensor) -> None:
    spread, of_other = train.std().item(), other.std().item()
    if spread == 0 or of_other == 0:
        return
    ratio = of_other / spread
    if not 1 / MANY < ratio < MANY or abs(train.mean() - other.mean()) > MANY / 2 * (spread + of_other):
        raise CheckFailed(
            f"training inputs have mean {train.mean():.3g} and standard deviation {spread:.3g}, those of {stage} "
            f"{other.mean():.3g} and {of_other:.3g}: scale all sets alike"
        )


def _require_one_orientation(stage: str, train: Tensor, other: Tensor) -> None:
    one, two = train.mean(0), other.mean(0)
    noise = float((train.var(0) / len(train) + other.var(0) / len(other)).sum().sqrt())
    apart = float((one - two).norm())
    for name, turn in TURNED.items():
        turned = turn(two)
        if turned.shape == one.shape and apart > 3 * noise and float((one - turned).norm()) < min(2 * noise, apart / 2):
            raise CheckFailed(
                f"the mean image of {stage} is that of training {name}: their distance is {apart:.3g}, and "
                f"{(one - turned).norm():.3g} if turned back"
            )


def _require_statistics_of_training(stage: str, train: Tensor, other: Tensor) -> None:
    def standard(values: Tensor) -> bool:
        varies = values.std(0) > 0
        spreads = [values[:, varies].std(0, correction=c) for c in (0, 1)]
        near = [bool(((spread - 1).abs() < 1e-4).all()) for spread in spreads]
        return bool(varies.any()) and bool((values[:, varies].mean(0).abs() < 1e-4).all()) and any(near)

    if standard(other) and len(other) > 3:
        raise CheckFailed(
            f"each column of {stage} has mean 0 and standard deviation 1, so it was scaled with its own statistics, "
            "and a sample's inputs depend on the others: scale it with those of the training set"
        )
    if standard(torch.cat([train, other])) and not standard(train):
        raise CheckAdvised(
            f"training and {stage} together have mean 0 and standard deviation 1, training alone has not, so what "
            "training sees depends on samples that it may not know: take statistics of the training set alone"
        )
