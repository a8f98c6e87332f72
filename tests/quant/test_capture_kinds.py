"""One computation, many ways to write it: all are quantized alike."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adadfq_core.errors import InputError
from adadfq_core.quant import quantize
from adadfq_core.quant.capture import capture
from adadfq_core.quant.layers import QuantizedLayer, quantize_weight
from adadfq_core.quant.network import QuantizedNetwork

IMAGE = (2, 3, 8, 8)


class Plain(nn.Module):
    """conv, an activation, conv, mean, linear: `act` is what the variants below change."""

    def __init__(self, act: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 5)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.conv1(x))
        return self.head(self.act(self.conv2(x)).mean((2, 3)))


class PlainBranching(Plain):
    """The same behind a flag, which torch.fx cannot follow and torch.export can."""

    def forward(self, x: Tensor, aux: bool = False) -> Tensor:
        if len(x) < 1 or aux:
            return x
        return super().forward(x)


def overwrite(function: Callable[[Tensor], object]) -> Callable[[Tensor], Tensor]:
    def act(x: Tensor) -> Tensor:
        function(x)
        return x

    return act


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu module": nn.ReLU(),
    "relu module in place": nn.ReLU(inplace=True),
    "relu module in place, result not used": overwrite(nn.ReLU(inplace=True)),
    "relu function": F.relu,
    "torch.relu": torch.relu,
    "relu method": lambda x: x.relu(),
    "relu_ method": lambda x: x.relu_(),
    "relu_ method, result not used": overwrite(lambda x: x.relu_()),
    "F.relu in place, result not used": overwrite(lambda x: F.relu(x, inplace=True)),
    "relu6": F.relu6,
    "clamp": lambda x: x.clamp(min=0),
    "clamp to 6": lambda x: torch.clamp(x, 0, 6),
    "clamp_min": lambda x: x.clamp_min(0),
    "hardtanh": lambda x: F.hardtanh(x, 0, 6),
    "leaky relu": lambda x: F.leaky_relu(x, 0.1),
    "prelu": nn.PReLU(),
    "elu": nn.ELU(),
    "silu": F.silu,
    "silu module": nn.SiLU(inplace=True),
    "silu written out": lambda x: x * torch.sigmoid(x),
    "hardswish": F.hardswish,
    "hardswish written out": lambda x: x * F.relu6(x + 3) / 6,
    "hardswish written out, gate first": lambda x: F.relu6(x + 3) / 6 * x,
    "gelu": F.gelu,
    "gelu module": nn.GELU(),
    "gelu written out": lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2))),
    "mish": F.mish,
    "sigmoid": torch.sigmoid,
    "tanh module": nn.Tanh(),
}


def calibrated(network: nn.Module, bits: int = 8) -> QuantizedNetwork:
    torch.manual_seed(0)
    q = quantize(network.eval(), bits, bits, torch.randn(IMAGE))
    with torch.no_grad(), q.observing_ranges():
        q(torch.randn(32, *IMAGE[1:]))
    return q


def close(q: nn.Module, p: nn.Module, tolerance: float = 0.02) -> bool:
    torch.manual_seed(1)
    x = torch.randn(32, *IMAGE[1:])
    with torch.no_grad():
        expected = p.eval()(x)
        return bool((q(x) - expected).norm() < tolerance * expected.norm())


@pytest.mark.parametrize("base", [Plain, PlainBranching])
@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_every_activation_is_quantized_once_a_call(kind: str, base: type[Plain]) -> None:
    torch.manual_seed(0)
    network = base(ACTIVATIONS[kind])
    q = calibrated(network)
    assert q.coverage.layers == ("conv1", "conv2", "head")
    assert len(q.coverage.activations) == 2, q.coverage.rows
    assert [row.part for row in q.coverage.left_alone] == ["input"]  # the images
    assert close(q, network)
    for _, quantizer in q.activation_quantizers():
        quantizer.bits = 2
    seen: list[Tensor] = []
    second = [m for m in q.modules() if isinstance(m, QuantizedLayer)][1]
    second.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    q(torch.randn(IMAGE))
    assert seen[0].unique().numel() <= 4, "the layer reads quantized values"


def test_a_smooth_activation_gets_a_signed_range() -> None:
    q = calibrated(Plain(nn.SiLU()))
    for _, quantizer in q.activation_quantizers():
        low, high = quantizer.range()
        assert -0.3 < low < 0 < high


class Merging(nn.Module):
    """Residual additions as in MobileNetV2, where no activation follows them."""

    def __init__(self, add: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 1)
        self.inner = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 5)
        self.add = add

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.first(x))
        x = self.add(x, self.norm(self.inner(x)))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


@pytest.mark.parametrize(
    "add",
    [
        lambda x, y: x + y,
        lambda x, y: x.add(y),
        lambda x, y: torch.add(y, x),
        lambda x, y: y.add_(x),
        lambda x, y: x * y,
    ],
    ids=["+", "method", "function", "in place", "product"],
)
def test_a_residual_addition_that_a_layer_reads_is_quantized(
    add: Callable[[Tensor, Tensor], Tensor],
) -> None:
    torch.manual_seed(0)
    network = Merging(add)
    q = calibrated(network)
    assert len(q.coverage.activations) == 2
    assert q.coverage.rows[4].operation in ("add", "mul")
    assert close(q, network)


def test_an_addition_is_left_to_the_activation_that_follows_it() -> None:
    class Follows(Merging):
        def forward(self, x: Tensor) -> Tensor:
            x = F.relu(self.first(x))
            x = F.relu(self.norm(x + self.inner(x)))
            return self.head(x.mean((2, 3)) + 1)

    coverage = calibrated(Follows(torch.add)).coverage
    assert coverage.activations == ("relu", "relu#2")


def test_sizes_and_scalars_are_no_residual_additions() -> None:
    class Sizes(Plain):
        def forward(self, x: Tensor) -> Tensor:
            x = F.relu(self.conv1(x)) + 0.5
            x = x.reshape(x.size(0), x.size(1), x.size(2) * x.size(3) + 0)
            return self.head(x.mean(2))

    coverage = calibrated(Sizes(F.relu)).coverage
    assert coverage.activations == ("relu",)


class Excitation(nn.Module):
    """Squeeze and excitation: a gate from pooled features (Hu et al., CVPR 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.squeeze = nn.Conv2d(4, 2, 1)
        self.excite = nn.Conv2d(2, 4, 1)
        self.head = nn.Conv2d(4, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardswish(self.conv(x))
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        return self.head(x * gate).mean((2, 3))


def test_a_gate_and_the_gated_map_are_quantized() -> None:
    torch.manual_seed(0)
    network = Excitation()
    q = calibrated(network)
    assert q.coverage.activations == ("hardswish", "relu", "sigmoid", "mul")
    assert q.coverage.layers == ("conv", "squeeze", "excite", "head")
    assert close(q, network)


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "Conv1d": lambda: nn.Sequential(nn.Flatten(2), nn.Conv1d(3, 4, 3), nn.ReLU()),
    "depthwise": lambda: nn.Sequential(nn.Conv2d(3, 6, 3, groups=3), nn.ReLU()),
    "ConvTranspose2d": lambda: nn.Sequential(
        nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1), nn.ReLU()
    ),
    "grouped ConvTranspose2d with BatchNorm": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
    ),
    "ConvTranspose1d": lambda: nn.Sequential(nn.Flatten(2), nn.ConvTranspose1d(3, 4, 3)),
    "Linear over a sequence": lambda: nn.Sequential(nn.Flatten(2), nn.Linear(64, 7), nn.ReLU()),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_every_kind_of_layer_is_quantized_per_output_channel(
    kind: str, random_norms: Callable[[nn.Module], nn.Module]
) -> None:
    torch.manual_seed(0)
    network = random_norms(LAYERS[kind]()).eval()
    q = calibrated(network)
    assert len(q.coverage.layers) == q.coverage.weighted_layers == kind.count(" with") + 1
    assert close(q, network, 0.03)
    for layer in (m for m in q.modules() if isinstance(m, QuantizedLayer)):
        layer.bits = 3
        weight = layer.quantized_weight()
        assert weight.shape == layer.layer.weight.shape
        if isinstance(layer.layer, nn.ConvTranspose1d | nn.ConvTranspose2d):
            groups = layer.layer.groups
            channels = [w for part in weight.chunk(groups) for w in part.unbind(1)]
        else:
            channels = list(weight)
        assert all(channel.unique().numel() <= 8 for channel in channels)


class Functional(nn.Module):
    """Everything as functions of the network's own parameters; one weight serves twice."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(3, 3, 3, 3) / 5)
        self.up = nn.Parameter(torch.randn(3, 4, 2, 2) / 3)
        self.matrix = nn.Parameter(torch.randn(5, 4) / 2)
        self.bias = nn.Parameter(torch.randn(5))
        self.factor = nn.Parameter(torch.rand(3) + 0.5)
        self.register_buffer("mean", torch.randn(3) / 5)
        self.register_buffer("variance", torch.rand(3) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(2):
            x = F.conv2d(x, self.kernel, padding=1)
            x = F.batch_norm(x, self.mean, self.variance, weight=self.factor, eps=1e-3).relu()
        x = F.conv_transpose2d(x, self.up, stride=2).relu().mean((2, 3))
        return F.linear(x, self.matrix, self.bias)


class FunctionalBranching(Functional):
    def forward(self, x: Tensor, aux: bool = False) -> Tensor:
        if aux:
            return x
        return super().forward(x)


@pytest.mark.parametrize("base", [Functional, FunctionalBranching])
def test_functional_layers_and_batchnorm_are_found(base: type[Functional]) -> None:
    torch.manual_seed(0)
    network = base()
    q = calibrated(network)
    assert q.coverage.layers == ("kernel", "up", "matrix")
    assert q.coverage.weighted_layers == 3 and len(q.coverage.activations) == 3
    assert close(q, network)
    parameters = dict(q.named_parameters())
    assert sum(p.numel() for p in parameters.values()) == sum(
        p.numel() for p in network.parameters()
    )
    norms = [m for m in capture(network, torch.randn(IMAGE)).modules() if hasattr(m, "running_var")]
    assert len(norms) == 1


class Standardised(nn.Conv2d):
    """Weight standardisation: the weights are computed in the forward pass."""

    def forward(self, x: Tensor) -> Tensor:
        mean = self.weight.mean((1, 2, 3), keepdim=True)
        weight = (self.weight - mean) / self.weight.std((1, 2, 3), keepdim=True)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


def test_computed_weights_are_quantized_after_they_are_computed() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(Standardised(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
    q = calibrated(network, 3)
    assert q.coverage.layers == ("0", "3") and q.coverage.weighted_layers == 2
    x = torch.randn(IMAGE)
    conv = network[0]
    mean, deviation = (
        getattr(conv.weight, name)((1, 2, 3), keepdim=True) for name in ("mean", "std")
    )
    expected = F.conv2d(x, quantize_weight((conv.weight - mean) / deviation, 3), conv.bias)
    seen: list[Tensor] = []
    relu = next(m for m in q.modules() if isinstance(m, nn.ReLU))
    relu.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    q(x)
    torch.testing.assert_close(seen[0], expected)


def test_parametrized_weights_stay_trainable_through_their_parametrization() -> None:
    torch.manual_seed(0)
    layer = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3))
    network = nn.Sequential(layer, nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
    q = calibrated(network)
    assert q.coverage.layers == ("0", "3")
    assert close(q, network)
    q.requires_grad_(True)
    q(torch.randn(IMAGE)).sum().backward()
    assert all(parameter.grad is not None for parameter in q.parameters())


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(1, 64, 3))
        self.attention = nn.MultiheadAttention(3, 1, batch_first=True)
        self.mixing = nn.Parameter(torch.randn(3, 3))
        self.hooked = nn.Linear(3, 3)
        self.head = nn.Linear(3, 5)
        self.hooked.register_forward_hook(lambda _module, _inputs, output: output * 1)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2).transpose(1, 2) + self.position
        x = self.attention(x, x, x)[0] @ self.mixing
        return self.head(self.hooked(x).mean(1))


def test_what_is_left_alone_is_told_with_its_reason() -> None:
    coverage = calibrated(Attention()).coverage
    reasons = {row.name: row.reason for row in coverage.left_alone if row.part == "weights"}
    assert "inside one operation" in reasons["attention"]
    assert "read by matmul" in reasons["mixing"]
    assert "forward hooks" in reasons["hooked"]
    assert "read by add" in reasons["position"]
    inputs = {row.name: row.reason for row in coverage.left_alone if row.part == "input"}
    assert set(inputs) == {"hooked", "head"}
    assert "behind which no activation follows" in inputs["head"]
    assert coverage.layers == ("head",)


class ByValue(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.ModuleList([ByValueInner()])

    def forward(self, x: Tensor) -> Tensor:
        return self.inner[0](x)


class ByValueInner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return self.layer(x)
        return -self.layer(x)


class Fails(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.view(-1, 7)


class Random(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + torch.rand_like(x)[..., :2]


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


class Infinite(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / 0


REFUSED: list[tuple[nn.Module, str]] = [
    (
        ByValue(),
        r"ByValue cannot be captured as a graph: .* in inner\.0 \(ByValueInner\.forward, "
        r"test_capture_kinds\.py, line \d+\); write its forward without branches",
    ),
    (Fails(), r"Fails fails on an input of shape \(2, 3, 8, 8\): .* in the network itself "),
    (Random(), r"computes something else as a graph .*random numbers"),
    (Pair(), r"Pair gives a tuple .*one tensor whose first axis is the batch"),
    (Infinite(), r"NaN or infinite values; check its weights"),
]


@pytest.mark.parametrize(("network", "message"), REFUSED, ids=lambda v: type(v).__name__)
def test_what_cannot_be_captured_is_refused_with_the_place(
    network: nn.Module, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        quantize(network, 4, 4, torch.randn(IMAGE))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("base", [Plain, PlainBranching])
@pytest.mark.parametrize("example", [1, 2, 5])
def test_any_batch_size_passes_whatever_the_example_had(base: type[Plain], example: int) -> None:
    q = quantize(base(F.relu).eval(), 4, 4, torch.randn(example, *IMAGE[1:]))
    for batch in (1, 2, 3, 17):
        assert q(torch.randn(batch, *IMAGE[1:])).shape == (batch, 5)


def test_overrides_change_single_layers_and_the_last_one_holds() -> None:
    torch.manual_seed(0)
    network = Plain(F.relu).eval()
    overrides = {"first": 8, "conv*": 3, "conv2": 6, "last": 7, "relu#2": 5}
    q = quantize(network, 4, 4, torch.randn(IMAGE), overrides)
    bits = {row.name: row.bits for row in q.coverage.rows if row.part != "input"}
    assert bits == {"conv1": 3, "conv2": 6, "head": 7, "relu": 4, "relu#2": 5}
    modules = [m.bits for m in q.modules() if isinstance(m, QuantizedLayer)]
    assert sorted(modules) == [3, 6, 7]
    assert [quantizer.bits for _, quantizer in q.activation_quantizers()] == [4, 5]


def test_an_override_that_fits_nothing_is_refused_with_near_names() -> None:
    with pytest.raises(InputError, match=r"'convl=5' matches no layer.* conv1"):
        quantize(Plain(F.relu).eval(), 4, 4, torch.randn(IMAGE), {"convl": 5})


def test_before_ranges_are_set_each_batch_is_quantized_with_its_own() -> None:
    torch.manual_seed(0)
    network = Plain(F.relu).eval()
    x = torch.randn(8, *IMAGE[1:])
    q = quantize(network, 8, 8, x)
    with torch.no_grad():
        first = q(x)
        assert (first - network(x)).norm() < 0.02 * network(x).norm()
        with q.observing_ranges():
            q(x)
        torch.testing.assert_close(q(x), first, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(q(x * 3), quantize(network, 8, 8, x)(x * 3))
