"""Checks of class labels against inputs."""

import torch

from lightning_template.testing.batches import pair
from lightning_template.testing.exceptions import CheckFailed, CheckSkipped
from lightning_template.testing.samples import dataset_of, features, train_table, val_table
from lightning_template.testing.subject import Subject

MANY = 20


def labels_mean_the_same(subject: Subject) -> None:
    """The nearest training samples of a validation sample have its class, if they tell anything."""
    train, val = subject.once(train_table), subject.once(val_table)
    for table in (train, val):
        if table.targets.is_floating_point() or table.targets.ndim != 1:
            raise CheckSkipped("known only for targets that are classes")
    if train.inputs.shape[1:] != val.inputs.shape[1:] or min(len(train.inputs), len(val.inputs)) < MANY / 2:
        raise CheckSkipped("there are too few samples")
    one, two = features(train)[:1000], features(val)[:300]
    labels, known = val.targets[:300], train.targets[:1000]
    spread = one.std(0).clamp(min=1e-6)
    distances = torch.cdist(one / spread, one / spread)
    distances.fill_diagonal_(torch.inf)
    itself = known[distances.topk(3, largest=False).indices].mode(1).values
    nearest = known[torch.cdist(two / spread, one / spread).topk(3, largest=False).indices].mode(1).values
    _require_no_shift(subject)
    for label in labels.unique().tolist():
        rows = labels == label
        other = int(nearest[rows].mode().values)
        share = float((nearest[rows] == other).float().mean())
        sure = all(float((itself[known == k] == k).float().mean()) > 0.7 for k in {label, other} & {*known.tolist()})
        if other != label and rows.sum() >= 4 and share > 0.75 and sure:
            raise CheckFailed(
                f"{share:.0%} of the {rows.sum()} validation samples of class {label} look like class {other} of "
                "training, whose own samples are told apart: the sets number their classes differently"
            )


def _require_no_shift(subject: Subject) -> None:
    """Require labels not to be those of the sample before or after, in the order of the dataset."""
    dataset = dataset_of(subject.data.train_dataloader())
    parts = [pair(dataset[index]) for index in range(min(len(dataset), 300))] if dataset is not None else []
    whole = [part for part in parts if part is not None]
    if len(whole) < MANY or len(whole) < len(parts) or len({part[0].shape for part in whole}) > 1:
        return
    inputs = torch.stack([part[0].flatten().double() for part in whole])
    labels = torch.stack([part[1] for part in whole])
    distances = torch.cdist(inputs / inputs.std(0).clamp(min=1e-6), inputs / inputs.std(0).clamp(min=1e-6))
    nearest = distances.fill_diagonal_(torch.inf).topk(3, largest=False).indices
    agree = {
        shift: float((rolled[nearest].mode(1).values == rolled).float().mean())
        for shift in (0, 1, -1)
        for rolled in [labels.roll(shift, 0)]
    }
    best = max(agree, key=agree.__getitem__)
    if agree[best] > max(0.7, agree[0] + 0.3):
        raise CheckFailed(
            f"the nearest neighbours of a training sample share its class in {agree[0]:.0%} of {len(labels)} samples, "
            f"and in {agree[best]:.0%} if each gets the class of the sample {'before' if best > 0 else 'after'} it: "
            "inputs and targets are shifted against each other"
        )
