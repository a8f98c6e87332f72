from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from adadfq_core.export.cost import FLOAT_BITS, Cost, LayerCost
from adadfq_core.export.counting import count
from adadfq_core.export.description import describe
from adadfq_core.export.frozen import FrozenNetwork, freeze
from adadfq_core.export.runtime_variant import for_runtimes
from adadfq_core.export.torch_file import save_torch
from adadfq_core.quant import quantize
from adadfq_core.settings import make_settings
from adadfq_core.zoo.formats import ImageFormat
from adadfq_core.zoo.networks import SmallResNet

IMAGE = (3, 8, 8)
WEIGHT_BITS, ACTIVATION_BITS = 3, 5


def frozen(
    network: nn.Module,
    image: tuple[int, int, int] = IMAGE,
    overrides: Mapping[str, int] | None = None,
) -> FrozenNetwork:
    images = torch.rand(2, *image, generator=torch.Generator().manual_seed(0))
    q = quantize(network.eval(), WEIGHT_BITS, ACTIVATION_BITS, images, overrides)
    with torch.no_grad(), q.observing_ranges():
        q(images)
    return freeze(q)


def cost(
    network: nn.Module,
    image: tuple[int, int, int] = IMAGE,
    overrides: Mapping[str, int] | None = None,
) -> Cost:
    return count(frozen(network, image, overrides), image)


def test_a_small_network_worked_by_hand(tiny_network: Callable[..., nn.Module]) -> None:
    image = (1, 8, 8)
    found = cost(tiny_network(), image, {"0": 8, "5": 2})
    assert found.layers == (
        LayerCost("0", 4 * 1 * 9, 8, FLOAT_BITS, operations=64 * 4 * 9),
        LayerCost("3", 6 * 4 * 9, WEIGHT_BITS, ACTIVATION_BITS, operations=16 * 6 * 4 * 9),
        LayerCost("7", 3 * 96, WEIGHT_BITS, 2, operations=3 * 96),
    )
    # Biases and steps in float, zero points in a byte: of each output channel, of two activations.
    floats, zero_points = (4 + 6 + 3) + (4 + 6 + 3) + 2, 4 + 6 + 3 + 2
    assert found.others == floats + 4  # 15 bytes, rounded up
    assert zero_points == 15


class Sequence(nn.Module):
    """A linear layer for each of 64 places, as transformers have it."""

    def __init__(self) -> None:
        super().__init__()
        self.each = nn.Linear(3, 7)
        self.head = nn.Linear(7, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.each(x.flatten(2).transpose(1, 2))).mean(1))


class Standardised(nn.Module):
    """Weights that the forward computes, in groups."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.weight = nn.Parameter(torch.randn(6, 2, 3, 3))
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        x = F.relu(F.conv2d(F.relu(self.first(x)), weight, None, 1, 1, 1, 2))
        return self.head(x.mean((2, 3)))


def convolutions(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers, nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "residual": lambda: SmallResNet(3, 4, widths=(4, 8), blocks=(1, 2)),
    "strided, dilated": lambda: convolutions(nn.Conv2d(3, 8, 3, 2, 2, dilation=2)),
    "grouped": lambda: convolutions(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 4, 3, groups=2)),
    "depthwise": lambda: convolutions(nn.Conv2d(3, 6, 5, groups=3)),
    "transposed": lambda: convolutions(nn.ConvTranspose2d(3, 4, 4, 2, 1)),
    "transposed, grouped": lambda: convolutions(
        nn.Conv2d(3, 4, 1), nn.ReLU(), nn.ConvTranspose2d(4, 6, 3, 2, groups=2)
    ),
    "linear over a sequence": Sequence,
    "computed weights": Standardised,
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_operations_are_those_that_pytorch_counts(kind: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS[kind]()
    image = torch.zeros(1, *IMAGE)
    network.eval()(image)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    # PyTorch counts the multiplication and the addition.
    assert 2 * cost(network).operations == counter.get_total_flops() > 0


class Twice(nn.Module):
    """One layer for the image and for what comes of it, at half the size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv(x)), 2)
        return self.head(F.relu(self.conv(x)).mean((2, 3)))


def test_a_layer_that_is_called_twice_has_its_weights_once() -> None:
    conv, head = cost(Twice()).layers
    assert conv == LayerCost("conv", 81, WEIGHT_BITS, FLOAT_BITS, operations=(64 + 16) * 81)
    assert head.input_bits == ACTIVATION_BITS


class Between(nn.Module):
    """Codes of two activations, of 4 and of 6 bits, and what lies between them and a layer."""

    def __init__(self, between: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 1)
        self.four = nn.ReLU()
        self.six = nn.ReLU()
        self.last = nn.LazyConv2d(2, 1)
        self.dropout = nn.Dropout()
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        four, six = self.four(y), self.six(-y)
        return self.last(self.between(four, six, y)).mean((2, 3))


BETWEEN: dict[str, tuple[Callable[[Tensor, Tensor, Tensor], Tensor], int]] = {
    "nothing": (lambda four, six, y: four, 4),
    "max pooling": (lambda four, six, y: F.max_pool2d(four, 2), 4),
    "average pooling": (lambda four, six, y: F.adaptive_avg_pool2d(four, 1), 4),
    "reshape by size": (lambda four, six, y: four.reshape(four.size(0), 12, 4, 4), 4),
    "dropout, identity": (lambda four, six, y: F.dropout(nn.Identity()(four), 0.5, False), 4),
    "a constant factor": (lambda four, six, y: four * 0.5, 4),
    "pieces": (lambda four, six, y: four.chunk(3, 1)[1], 4),
    "concat": (lambda four, six, y: torch.cat([four, six], 1), 6),
    "maximum": (lambda four, six, y: torch.maximum(four, six), 6),
    "largest channel": (lambda four, six, y: four.max(1, keepdim=True)[0], 4),
    "concat with sums": (lambda four, six, y: torch.cat([four, y], 1), FLOAT_BITS),
    "sums alone": (lambda four, six, y: y, FLOAT_BITS),
    "a constant beside": (lambda four, six, y: four + 0.1, FLOAT_BITS),
    "soft codes": (lambda four, six, y: four.softmax(1), FLOAT_BITS),
}


@pytest.mark.parametrize("kind", BETWEEN)
def test_input_bits_are_those_of_the_codes_that_arrive(kind: str) -> None:
    between, bits = BETWEEN[kind]
    torch.manual_seed(0)
    network = Between(between).eval()
    network(torch.zeros(2, *IMAGE))
    _, last = cost(network, overrides={"four": 4, "six": 6}).layers
    assert last.input_bits == bits


class Branching(Between):
    """The same behind a branch that only torch.export can follow."""

    def forward(self, x: Tensor) -> Tensor:
        if len(x) < 1:
            return x
        return super().forward(x)


def test_an_exported_graph_counts_like_a_traced_one() -> None:
    def between(four: Tensor, six: Tensor, y: Tensor) -> Tensor:
        return F.max_pool2d(torch.cat([four, six], 1).flatten(2).view(-1, 6, 8, 8), 2)

    found = []
    for kind in (Between, Branching):
        torch.manual_seed(0)
        network = kind(between).eval()
        Between.forward(network, torch.zeros(2, *IMAGE))
        found.append(cost(network))
    traced, exported = found
    assert traced == exported
    assert exported.layers[1].input_bits == ACTIVATION_BITS


def test_the_runtime_variant_has_bytes_everywhere() -> None:
    network = frozen(SmallResNet(3, 4, widths=(4,), blocks=(1,)))
    images = ImageFormat(IMAGE, tuple("abcd"), (0.5,) * 3, (0.25,) * 3)
    samples = torch.randn(4, *IMAGE, generator=torch.Generator().manual_seed(0))
    few, bytes_ = count(network, IMAGE), count(for_runtimes(network, images, samples), IMAGE)
    assert {(layer.weight_bits, layer.input_bits) for layer in bytes_.layers} == {(8, 8)}
    assert bytes_.operations == few.operations
    assert bytes_.packed_bytes == bytes_.byte_bytes > few.packed_bytes


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_packed_bytes_are_those_of_the_file(bits: int, tmp_path: Path) -> None:
    # A BatchNorm behind an activation is not folded: it stays in the file.
    network = nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.ReLU(), nn.BatchNorm2d(5), nn.Flatten(), nn.Linear(180, 7)
    )
    packed = frozen(network, overrides={"*": bits})
    images = ImageFormat(IMAGE, tuple("abcdefg"), (0.5,) * 3, (0.25,) * 3)
    description = describe(make_settings({}), images, None, "run", 1)
    path = tmp_path / "packed.safetensors"
    save_torch(packed, description.model_copy(update={"packed": True}), path)
    with path.open("rb") as file:
        (header,) = struct.unpack("<Q", file.read(8))
    tensors = path.stat().st_size - 8 - header
    assert 0 <= count(packed, IMAGE).packed_bytes - tensors < 4
