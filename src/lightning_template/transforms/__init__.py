"""Transforms: random changes of training inputs, whole batches at once."""

from lightning_template.transforms.augmentation import Augmentation, RandomCrop, RandomErasing, RandomHorizontalFlip

__all__ = ["Augmentation", "RandomCrop", "RandomErasing", "RandomHorizontalFlip"]
