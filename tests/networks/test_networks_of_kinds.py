"""Networks for pixels, sequences and autoencoders: shapes, what an output depends on, refusals."""

from typing import Any

import pytest
import torch
from torch import nn

from lightning_template.networks import (
    Autoencoder,
    ConvAutoencoder,
    ConvTagger,
    ResidualConvNet,
    TokenTagger,
    UNet,
)


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


def test_the_residual_network_has_these_shapes_parameters_and_multiply_adds() -> None:
    network = ResidualConvNet(1, [16, 32, 64], [0, 1, 1], 10)
    shapes: list[tuple[int, ...]] = []
    multiply_adds = 0

    def count(layer: Any, _: Any, output: torch.Tensor) -> None:
        nonlocal multiply_adds
        if isinstance(layer, nn.Conv2d):
            shapes.append(tuple(output.shape[1:]))
            multiply_adds += layer.weight.numel() * output[0, 0].numel()

    for layer in network.modules():
        layer.register_forward_hook(count)
    assert network(torch.rand(2, 1, 28, 28)).shape == (2, 10)
    assert shapes == [(16, 28, 28), (32, 14, 14), *[(32, 7, 7)] * 2, (64, 7, 7), *[(64, 3, 3)] * 2]
    # 9 numbers a filter and input channel, at each pixel
    assert multiply_adds == 9 * (16 * 784 + 16 * 32 * 196 + 2 * 32 * 32 * 49 + 32 * 64 * 49 + 2 * 64 * 64 * 9)
    weights = 9 * (16 + 16 * 32 + 2 * 32 * 32 + 32 * 64 + 2 * 64 * 64)
    norms = 2 * (16 + 3 * 32 + 3 * 64)
    assert sum(weight.numel() for weight in network.parameters()) == weights + norms + 64 * 10 + 10


def test_the_residual_network_equals_its_layers_by_hand() -> None:
    def layers(num_in: int, num_out: int, *pool: nn.Module) -> list[nn.Module]:
        convolution = nn.Conv2d(num_in, num_out, 3, padding=1, bias=False)
        return [convolution, *pool, nn.BatchNorm2d(num_out), nn.ReLU()]

    network = ResidualConvNet(2, [4, 6], [1, 0], 3, pool="mean", output_scale=0.5)
    first = nn.Sequential(*layers(2, 4, nn.MaxPool2d(2)))
    block = nn.Sequential(*layers(4, 4), *layers(4, 4))
    last, classifier = nn.Sequential(*layers(4, 6, nn.MaxPool2d(2))), nn.Linear(6, 3)
    for weight, trained in zip(
        nn.ModuleList([first, block, last, classifier]).parameters(), network.parameters(), strict=True
    ):
        weight.data.copy_(trained.data)
    images = torch.rand(5, 2, 8, 12)
    inner = first(images)
    expected = 0.5 * classifier(last(inner + block(inner)).mean((2, 3)))
    torch.testing.assert_close(network(images), expected)
    brightest = ResidualConvNet(2, [4, 6], [1, 0], 3)
    brightest.load_state_dict(network.state_dict())
    expected = classifier(last(first(images) + block(first(images))).amax((2, 3)))
    torch.testing.assert_close(brightest(images), expected)
    assert next(brightest.parameters()).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("channels", "blocks"), [([], []), ([4, 8], [1]), ([4], [0, 1])])
def test_the_residual_network_refuses_lists_that_differ(channels: list[int], blocks: list[int]) -> None:
    with pytest.raises(ValueError, match="`residual_blocks` must have a number for each of `channels`"):
        ResidualConvNet(1, channels, blocks, 10)
