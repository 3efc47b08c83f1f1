"""Networks, checked against the same layers put together by hand."""

import copy
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models import efficientnet_b0, mobilenet_v3_small, resnet18, squeezenet1_0

from lightning_template.networks import MLP, ConvNet, WithHead, WithInputChannels


def assert_same_weights(network: nn.Module, expected: nn.Module) -> None:
    for weight, wanted in zip(network.parameters(), expected.parameters(), strict=True):
        assert torch.equal(weight, wanted)


@pytest.mark.parametrize("ends_in_relu", [False, True])
def test_the_mlp_of_the_tutorial(ends_in_relu: bool) -> None:
    network = MLP(784, [512, 512], 10, last_activation=nn.ReLU if ends_in_relu else None)
    torch.manual_seed(0)  # as the fixture `seeded` does before each test
    by_hand = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )
    if ends_in_relu:
        by_hand.append(nn.ReLU())
    assert sum(weight.numel() for weight in network.parameters()) == 669_706
    assert_same_weights(network, by_hand)
    images = torch.rand(64, 1, 28, 28)
    assert torch.equal(network(images), by_hand(images))
    assert bool((network(images) < 0).any()) != ends_in_relu


def test_mlp_takes_another_activation() -> None:
    network = MLP(3, [5, 4], 2, activation=nn.Tanh)
    assert [type(layer).__name__ for layer in network] == ["Flatten", "Linear", "Tanh", "Linear", "Tanh", "Linear"]
    x = torch.randn(7, 3)
    w1, b1, w2, b2, w3, b3 = network.parameters()
    torch.testing.assert_close(network(x), (((x @ w1.T + b1).tanh() @ w2.T + b2).tanh()) @ w3.T + b3)


def test_mlp_without_hidden_layers_is_linear() -> None:
    network, x = MLP(6, [], 2), torch.randn(5, 2, 3)
    assert sum(weight.numel() for weight in network.parameters()) == 14
    weight, bias = network.parameters()
    torch.testing.assert_close(network(x), x.reshape(5, 6) @ weight.T + bias)


@pytest.mark.parametrize("widths", [(0, [3], 2), (4, [3, 0], 2), (4, [3], -1)])
def test_mlp_refuses_widths_below_one(widths: tuple[int, list[int], int]) -> None:
    num_in, hidden, num_out = widths
    with pytest.raises(ValueError, match="must be at least 1, got") as caught:
        MLP(num_in, hidden, num_out)
    assert str([num_in, *hidden, num_out]) in str(caught.value)


@pytest.mark.parametrize("image_size", [28, 29, 31, 32])
@pytest.mark.parametrize("channels", [[8], [4, 6, 8], [4, 4, 4, 5]], ids=len)
def test_convnet_is_its_blocks(image_size: int, channels: list[int]) -> None:
    network, images = ConvNet(3, channels, 10, image_size), torch.rand(8, 3, image_size, image_size)
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for num_in, num_out in pairwise([3, *channels]):
        conv = nn.Conv2d(num_in, num_out, 3, padding=1, bias=False)
        layers += [conv, nn.MaxPool2d(2), nn.BatchNorm2d(num_out), nn.ReLU()]
    num_features = nn.Sequential(*layers)(images).flatten(1).shape[1]
    by_hand = nn.Sequential(*layers, nn.Flatten(), nn.Linear(num_features, 10))
    assert_same_weights(network, by_hand)
    assert network(images).shape == (8, 10)
    torch.testing.assert_close(network(images), by_hand(images), atol=1e-4, rtol=0)


def test_convnet_may_end_in_log_softmax() -> None:
    images = torch.rand(5, 1, 28, 28)
    network = ConvNet(1, [4, 8], 10, 28, last_activation=partial(nn.LogSoftmax, dim=1))
    torch.testing.assert_close(network(images).exp().sum(dim=1), torch.ones(5))
    without = ConvNet(1, [4, 8], 10, 28)
    assert not torch.allclose(without(images).exp().sum(dim=1), torch.ones(5))


def test_dropout_acts_in_training_alone() -> None:
    network, images = ConvNet(1, [4], 10, 28, dropout=0.5), torch.rand(5, 1, 28, 28)
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))


@pytest.mark.parametrize(("channels", "image_size"), [([], 28), ([4] * 5, 28), ([4], 1)])
def test_convnet_refuses_blocks_that_leave_no_pixel(channels: list[int], image_size: int) -> None:
    with pytest.raises(ValueError, match=rf"leave a pixel of `image_size` {image_size}, got \[") as caught:
        ConvNet(1, channels, 10, image_size)
    assert str(channels) in str(caught.value)


@pytest.mark.parametrize("training", [False, True])
def test_the_memory_format_does_not_change_outputs(training: bool) -> None:
    network, images = ConvNet(3, [8, 8], 10, 28).train(training), torch.rand(4, 3, 28, 28)
    name = "features.4.weight"
    assert network.get_parameter(name).is_contiguous(memory_format=torch.channels_last)
    contiguous = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    assert contiguous.get_parameter(name).is_contiguous()
    expected = contiguous(images)
    for given in (images, images.to(memory_format=torch.channels_last)):
        torch.testing.assert_close(network(given), expected, atol=1e-5, rtol=0)


def test_resnet18_for_grey_images() -> None:
    network = WithInputChannels(resnet18(num_classes=10), in_channels=1)
    torch.manual_seed(0)
    original = resnet18(num_classes=10)
    conv, (name, *names) = network.get_submodule("network.conv1"), original.state_dict()
    assert name == "conv1.weight"
    assert isinstance(conv, nn.Conv2d)
    assert conv.weight.shape == (64, 1, 7, 7)
    assert (conv.stride, conv.padding, conv.bias) == ((2, 2), (3, 3), None)
    assert all(torch.equal(network.network.state_dict()[name], original.state_dict()[name]) for name in names)
    images = torch.rand(2, 1, 28, 28)
    assert network(images).shape == (2, 10)
    with pytest.raises(RuntimeError, match="channels"):
        original(images)


def test_the_new_convolution_keeps_all_but_its_channels() -> None:
    options = {"stride": 2, "padding": 2, "dilation": 2, "bias": True, "padding_mode": "circular"}
    network = nn.Sequential(nn.Identity(), nn.Conv2d(3, 4, 3, **options), nn.Conv2d(4, 4, 1))  # type: ignore[arg-type]
    replaced = WithInputChannels(network, in_channels=2)
    torch.manual_seed(1)
    by_hand = nn.Conv2d(2, 4, 3, **options)  # type: ignore[arg-type]
    by_hand.load_state_dict(network[1].state_dict())
    images = torch.rand(2, 2, 9, 9)
    torch.testing.assert_close(replaced(images), network[2](by_hand(images)))
    assert network[2].in_channels == 4


def test_a_network_without_convolution_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must have a torch\.nn\.Conv2d to replace, got MLP"):
        WithInputChannels(MLP(4, [], 2), in_channels=1)


@pytest.mark.parametrize("training", [True, False])
def test_a_perceptron_with_batch_norm(training: bool) -> None:
    torch.manual_seed(0)
    network = MLP(6, [5, 4], 2, batch_norm=True)
    reference = nn.Sequential(
        nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)
    )
    for own, other in zip(network.parameters(), reference.parameters(), strict=True):
        other.data.copy_(own)
    x = torch.randn(7, 2, 3)
    assert torch.equal(network.train(training)(x), reference.train(training)(x.flatten(1)))


@pytest.mark.parametrize("make", [resnet18, mobilenet_v3_small, efficientnet_b0])
def test_a_new_head_reads_what_the_old_one_read(make: Any) -> None:
    trained = make().eval()
    network = WithHead(copy.deepcopy(trained), out_features=4).eval()
    images, seen = torch.rand(2, 3, 32, 32), []
    last = [layer for layer in trained.modules() if isinstance(layer, nn.Linear)][-1]
    last.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    trained(images)
    assert torch.equal(network.backbone(images), seen[0])
    assert torch.equal(network(images), network.head(seen[0]))
    assert network(images).shape == (2, 4)


def test_a_body_without_a_head_gets_one() -> None:
    body = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU())
    network = WithHead(body, out_features=2, num_features=3)
    inputs = torch.randn(5, 2, 2)
    assert torch.equal(network(inputs), network.head(body(inputs)))
    told = WithHead(WithSize(body), out_features=2)
    assert told.head.in_features == 3
    kept = WithHead(WithSize(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), num_classes=0), out_features=2)
    assert kept(inputs).shape == (5, 2)


class WithSize(nn.Sequential):
    """Tells its size as networks of timm do."""

    num_features = 3

    def __init__(self, body: nn.Module, num_classes: int = 10) -> None:
        super().__init__(body)
        self.num_classes = num_classes


def test_a_body_that_does_not_tell_its_size_is_refused() -> None:
    with pytest.raises(ValueError, match="`num_features` must be given: SqueezeNet ends in AdaptiveAvgPool2d"):
        WithHead(squeezenet1_0(), out_features=2)
