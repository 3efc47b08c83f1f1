"""Networks for pixels, sequences and autoencoders: shapes, what an output depends on, refusals."""

from typing import Any

import pytest
import torch
from torch import nn

from lightning_template.networks import Autoencoder, ConvAutoencoder, ConvTagger, TokenTagger, UNet


@pytest.mark.parametrize("size", [(16, 16), (17, 30), (4, 7)], ids=str)
def test_unet_keeps_any_size(size: tuple[int, int]) -> None:
    assert UNet(2, [4, 6, 8], 5)(torch.randn(3, 2, *size)).shape == (3, 5, *size)


@pytest.mark.parametrize(("channels", "reach"), [([4], 2), ([4, 4], 10)])
def test_a_pixel_of_unet_depends_on_what_is_near(channels: list[int], reach: int) -> None:
    network = UNet(1, channels, 1).eval()
    image = torch.randn(1, 1, 33, 33, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(image)[0, 0, 16, 16], image)
    rows, columns = gradient[0, 0].nonzero().T
    assert 1 <= max((rows - 16).abs().max(), (columns - 16).abs().max()) <= reach


def test_unet_hands_details_across() -> None:
    network = UNet(1, [4, 8], 2).eval()
    nn.init.zeros_(network.down.get_submodule("1.0").weight)  # type: ignore[arg-type]  # nothing comes from below
    images = torch.randn(2, 1, 8, 8)
    assert not torch.allclose(network(images)[0], network(images)[1])


def test_a_position_of_the_tagger_depends_on_7_before_and_after() -> None:
    network = ConvTagger(3, 2, channels=8)
    values = torch.randn(1, 30, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(values)[0, 0, 15], values)
    positions = gradient[0].abs().sum(1).nonzero().flatten()
    assert positions.tolist() == [*range(8, 23)]


@pytest.mark.parametrize("takes_tokens", [True, False])
def test_padding_changes_no_output_of_the_tagger(takes_tokens: bool) -> None:
    network = TokenTagger(9, 2, channels=8) if takes_tokens else ConvTagger(3, 2, channels=8)
    short = torch.randint(1, 9, (4, 5)) if takes_tokens else torch.randn(4, 5, 3)
    lengths = torch.full((4,), 5)
    for filler in (0, 7):
        longer = torch.cat([short, torch.full_like(short, filler)], dim=1)
        torch.testing.assert_close(network(longer, lengths)[..., :5], network(short))
    if takes_tokens:
        longer = torch.cat([short, torch.zeros_like(short)], dim=1)
        torch.testing.assert_close(network(longer)[..., :5], network(short))
        short[0, 2] = 0  # within a sequence it is a token
        longer[0, 2] = 0
        torch.testing.assert_close(network(longer)[..., :5], network(short))


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_autoencoders_return_the_shape_of_their_inputs(dropout: float) -> None:
    for network, shape in (
        (Autoencoder(12, [8, 4], 2, dropout=dropout), (3, 4)),
        (ConvAutoencoder(3, [4], 2, image_size=6, dropout=dropout), (3, 6, 6)),
        (ConvAutoencoder(1, [4, 8, 16], 2, image_size=32, dropout=dropout), (1, 32, 32)),
    ):
        inputs = torch.randn(5, *shape)
        assert network(inputs).shape == inputs.shape
        assert network.encoder(inputs).shape == (5, 2)
        assert torch.equal(network(inputs), network(inputs)) == (dropout == 0)
        assert torch.equal(network.eval()(inputs), network(inputs))


MISTAKES: dict[str, tuple[type[nn.Module], dict[str, Any], str]] = {
    "no size": (UNet, {"in_channels": 1, "channels": [], "out_features": 1}, "at least one number"),
    "no multiple": (
        ConvAutoencoder,
        {"in_channels": 1, "channels": [4, 4], "latent_features": 2, "image_size": 30},
        "a multiple of 4 for 2 of them, got 30",
    ),
}


@pytest.mark.parametrize(("network", "arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(network: type[nn.Module], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(**arguments)
