from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adadfq_core.errors import InputError
from adadfq_core.quant.convert import quantize
from adadfq_core.quant.fake_quant import fake_quantize
from adadfq_core.quant.layers import QuantizedLayer
from adadfq_core.quant.ranges import weight_range
from adadfq_core.zoo.networks import SmallResNet


class SharedReLU(nn.Module):
    """Two call sites of one ReLU whose activations differ a hundredfold."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 2, 1)
        self.conv2 = nn.Conv2d(2, 2, 1)
        self.relu = nn.ReLU()
        with torch.no_grad():
            for conv, value in ((self.conv1, 1.0), (self.conv2, 50.0)):
                conv.weight.fill_(value)
                assert conv.bias is not None
                conv.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv2(self.relu(self.conv1(x))))


class ConvNormReLU(nn.Sequential):
    """The pattern of MobileNet: a subclass of Sequential with digit-named children."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU6())


class Lists(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(2, 2, 1) for _ in range(3))
        self.block = ConvNormReLU()
        self.head = nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = F.relu(conv(x))
        return self.head(self.block(x).relu().mean((2, 3)))


class Unused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used = nn.Linear(2, 2)
        self.unused = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x)


def test_one_relu_object_gets_one_range_for_each_call() -> None:
    q = quantize(SharedReLU(), 8, 8, torch.rand(2, 1, 3, 3))
    x = torch.rand(4, 1, 3, 3)
    with q.observing_ranges():
        q(x)
    sites = q.activation_quantizers()
    assert len(sites) == len(q.coverage.activations) == 2
    first, second = (quantizer.range()[1].item() for _, quantizer in sites)
    assert second / first == pytest.approx(100, rel=0.02)


def test_module_lists_and_subclasses_of_sequential_are_all_counted() -> None:
    q = quantize(Lists().eval(), 4, 4, torch.rand(2, 2, 5, 5))
    assert q.coverage.weighted_layers == len(q.coverage.layers) == 5
    assert set(q.coverage.layers) == {"convs.0", "convs.1", "convs.2", "block.0", "head"}
    assert len(q.coverage.activations) == len(q.activation_quantizers()) == 5
    assert "quantized 5 of 5" in str(q.coverage)
    found = [m for m in q.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(found) == sum(isinstance(m, QuantizedLayer) for m in q.modules()) == 5


def test_a_layer_outside_the_graph_makes_the_count_short() -> None:
    coverage = quantize(Unused(), 4, 4, torch.rand(2, 2)).coverage
    assert (len(coverage.layers), coverage.weighted_layers) == (1, 2)
    assert "quantized 1 of 2" in str(coverage)
    row = coverage.left_alone[0]
    assert (row.name, row.operation) == ("unused", "Linear")
    assert row.reason == "the forward pass never uses it"


def test_a_residual_network_is_covered_whole() -> None:
    network = SmallResNet(1, 3, widths=(2, 4), blocks=(1, 1)).eval()
    q = quantize(network, 4, 4, torch.rand(2, 1, 8, 8))
    assert len(q.coverage.layers) == q.coverage.weighted_layers == 7
    assert len(q.coverage.activations) == 5
    assert not any(isinstance(m, nn.BatchNorm2d) for m in q.graph_module.children())


def test_a_network_without_a_layer_is_refused() -> None:
    with pytest.raises(InputError, match=r"no convolution or linear layer.*made of .*relu"):
        quantize(nn.Sequential(nn.ReLU(), nn.Flatten()), 4, 4, torch.rand(2, 3))


class Reference(nn.Module):
    """The layer with quantized weights, then the BatchNorm as it is: nothing folded."""

    def __init__(self, layer: nn.Module, norm: nn.Module, bits: int) -> None:
        super().__init__()
        self.layer, self.norm, self.bits = layer, norm, bits

    def forward(self, x: Tensor) -> Tensor:
        weight = self.layer.weight
        weight = fake_quantize(weight, self.bits, *weight_range(weight), channel_axis=0)
        if isinstance(self.layer, nn.Linear):
            return self.norm(F.linear(x, weight, self.layer.bias))
        layer = self.layer
        if layer.padding_mode != "zeros":
            x = F.pad(x, layer._reversed_padding_repeated_twice, mode=layer.padding_mode)
            return self.norm(F.conv2d(x, weight, layer.bias, layer.stride, 0))
        padding, groups = layer.padding, layer.groups
        return self.norm(F.conv2d(x, weight, layer.bias, layer.stride, padding, 1, groups))


LAYERS = {
    "no bias": lambda: (nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), (3, 2, 6, 6)),
    "bias": lambda: (nn.Conv2d(2, 4, 3, stride=2), nn.BatchNorm2d(4), (3, 2, 6, 6)),
    "grouped": lambda: (nn.Conv2d(4, 4, 3, groups=4), nn.BatchNorm2d(4), (3, 4, 6, 6)),
    "reflected": lambda: (
        nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect"),
        nn.BatchNorm2d(4),
        (3, 2, 6, 6),
    ),
    "not affine": lambda: (nn.Conv2d(2, 4, 1), nn.BatchNorm2d(4, affine=False), (3, 2, 6, 6)),
    "linear": lambda: (nn.Linear(5, 4), nn.BatchNorm1d(4), (3, 5)),
    "linear over a sequence": lambda: (nn.Linear(5, 4), nn.BatchNorm1d(4), (3, 4, 5)),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_folding_batchnorm_changes_nothing(
    kind: str, random_norms: Callable[[nn.Module], nn.Module]
) -> None:
    torch.manual_seed(1)
    layer, norm, shape = LAYERS[kind]()
    plain = random_norms(nn.Sequential(layer, norm)).double().eval()
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    q = quantize(plain, 4, 4, x.detach()).requires_grad_(True)
    expected_network = Reference(*copy.deepcopy(plain), 4)
    twin = x.detach().clone().requires_grad_(True)
    actual, expected = q(x), expected_network(twin)
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)

    upstream = torch.randn_like(expected)
    actual.backward(upstream)
    expected.backward(upstream)
    torch.testing.assert_close(x.grad, twin.grad, rtol=1e-9, atol=1e-11)
    own, other = list(q.parameters()), list(expected_network.parameters())
    assert len(own) == len(other)
    for a, b in zip(own, other, strict=True):
        assert a.grad is not None
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-9, atol=1e-11)


def test_a_convolution_read_twice_keeps_its_batchnorm_apart(
    random_norms: Callable[[nn.Module], nn.Module],
) -> None:
    class TwoReaders(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 1)
            self.norm = nn.BatchNorm2d(2)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            return y + self.norm(y)

    p = random_norms(TwoReaders()).double().eval()
    x = torch.randn(3, 1, 4, 4, dtype=torch.float64)
    y = Reference(p.conv, nn.Identity(), 3)(x)
    torch.testing.assert_close(quantize(p, 3, 8, x)(x), y + p.norm(y))


def test_batchnorm_stays_in_evaluation_mode() -> None:
    network = nn.Sequential(nn.BatchNorm2d(1), nn.ReLU(), nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    q = quantize(network, 4, 4, torch.randn(2, 1, 3, 3))
    q.train()
    assert not any(module.training for module in q.modules())
    before = {name: value.clone() for name, value in q.named_buffers()}
    q(torch.randn(4, 1, 3, 3) * 5 + 2)
    for name, value in q.named_buffers():
        assert torch.equal(value, before[name]), name
    assert network.training


def test_eight_bits_approximate_p_and_fewer_bits_do_it_worse(
    tiny_network: Callable[..., nn.Module],
) -> None:
    p = tiny_network()
    before = copy.deepcopy(p.state_dict())
    x = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    errors = {}
    for bits in (2, 4, 8):
        q = quantize(p, bits, bits, x)
        with torch.no_grad(), q.observing_ranges():
            q(x)
        with torch.no_grad():
            errors[bits] = ((q(x) - p(x)).norm() / p(x).norm()).item()
    assert errors[8] < 0.02 < errors[2]
    assert errors[8] < errors[4] < errors[2]
    assert all(torch.equal(value, before[name]) for name, value in p.state_dict().items())


def test_q_has_its_own_copy_of_the_weights(tiny_network: Callable[..., nn.Module]) -> None:
    p = tiny_network()
    q = quantize(p, 4, 4, torch.randn(2, 1, 8, 8))
    assert {x.data_ptr() for x in p.parameters()}.isdisjoint(x.data_ptr() for x in q.parameters())
    assert sum(x.numel() for x in p.parameters()) == sum(x.numel() for x in q.parameters())


def test_ranges_are_observed_only_where_asked(tiny_network: Callable[..., nn.Module]) -> None:
    q = quantize(tiny_network(), 4, 4, torch.randn(2, 1, 8, 8))
    x = torch.randn(4, 1, 8, 8)

    def counts() -> list[int]:
        return [int(quantizer.batches) for _, quantizer in q.activation_quantizers()]

    q(x)
    with q.observing_ranges(False):
        q(x)
    assert counts() == [0, 0]
    with pytest.raises(ZeroDivisionError), q.observing_ranges():
        q(x)
        raise ZeroDivisionError
    q(x)
    assert counts() == [1, 1]


@pytest.mark.parametrize("bits", range(2, 9))
def test_weights_take_at_most_two_to_the_bits_values_a_channel(bits: int) -> None:
    layer = nn.Conv2d(8, 3, 7)
    weight = QuantizedLayer(layer, None, bits).quantized_weight()
    assert all(channel.unique().numel() <= 2**bits for channel in weight)
