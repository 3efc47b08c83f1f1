"""Gives a network that was made, and perhaps trained, for something else a new last layer."""

from typing import Any

from torch import nn


class WithHead(nn.Module):
    """A network, the backbone, whose last layer is replaced by a new linear one, the head.

    Lightning's `BackboneFinetuning` trains the head alone at first.

    Args:
        backbone: Network that maps inputs to features `(N, num_features)`, or ends in a `torch.nn.Linear`, which is
            replaced; for example `torchvision.models.resnet18`.
        out_features: Number of values returned for each sample.
        num_features: Number of features, where the backbone does not end in a `torch.nn.Linear` and, unlike those of
            timm, does not tell.

    Raises:
        ValueError: If nothing tells the number of features.

    Example:
        >>> import torch
        >>> from torchvision.models import resnet18
        >>> network = WithHead(resnet18(), out_features=10)
        >>> network(torch.rand(2, 3, 64, 64)).shape, network.head
        (torch.Size([2, 10]), Linear(in_features=512, out_features=10, bias=True))
    """

    def __init__(self, backbone: nn.Module, out_features: int, num_features: int | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        is_headless = getattr(backbone, "num_classes", None) == 0  # as timm makes it
        name, last = next((n, m) for n, m in reversed([*self.named_modules()]) if not [*m.children()])
        if num_features is None and isinstance(last, nn.Linear) and not is_headless:
            self.set_submodule(name, nn.Identity())
            num_features = last.in_features
        num_features = num_features or getattr(backbone, "num_features", None)
        if not isinstance(num_features, int):
            raise ValueError(
                f"`num_features` must be given: {type(backbone).__name__} ends in {type(last).__name__}, not in a "
                "torch.nn.Linear to replace"
            )
        self.head = nn.Linear(num_features, out_features)

    def forward(self, inputs: Any) -> Any:
        """Map inputs `(N, ...)` to `(N, out_features)`."""
        return self.head(self.backbone(inputs))
