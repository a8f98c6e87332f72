from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adadfq_core.errors import InputError
from adadfq_core.game.batchnorm_loss import BatchNormStatisticsLoss
from adadfq_core.inspection.layers import (
    BULK,
    activation_ranges,
    batchnorm_mismatch,
    clipped,
)
from adadfq_core.quant.capture import capture
from adadfq_core.quant.convert import quantize
from adadfq_core.quant.network import QuantizedNetwork
from adadfq_core.quant.ranges import ActivationQuantizer
from adadfq_core.zoo.networks import SmallResNet


class SharedNorm(nn.Module):
    """One BatchNorm that is used twice, and one whose statistics a function reads."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 3, 3)
        self.second = nn.Conv2d(3, 3, 3)
        self.norm = nn.BatchNorm2d(3)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.first(x)))
        return self.head(F.relu(self.norm(self.second(x))).mean((2, 3)))


def images(count: int, seed: int, channels: int = 1) -> Tensor:
    return torch.randn(count, channels, 8, 8, generator=torch.Generator().manual_seed(seed))


def l_bns(network: nn.Module, x: Tensor) -> float:
    loss = BatchNormStatisticsLoss(network)
    loss.enabled = True
    with torch.no_grad():
        network(x)
    loss.remove()
    return loss.collect().item()


def hooks(network: nn.Module) -> int:
    return sum(len(module._forward_pre_hooks) for module in network.modules())


@pytest.mark.parametrize("part", [7, 40, 250])
def test_the_terms_average_to_l_bns_of_all_images_in_parts_of_any_size(
    part: int, random_norms: Callable[[nn.Module], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    x = images(40, 0, channels=3) + 0.5
    network = capture(random_norms(SmallResNet(3, 4, (4, 6), (1, 1))).eval(), x[:2])
    monkeypatch.setattr("adadfq_core.inspection.layers.EVALUATION_BATCH", part)
    layers = batchnorm_mismatch(network, x)
    mean = sum(layer.total for layer in layers) / len(layers)
    assert mean == pytest.approx(l_bns(network, x), rel=1e-5)
    norms = [n for n, m in network.named_modules() if isinstance(m, nn.BatchNorm2d)]
    assert sorted(layer.name for layer in layers) == sorted(norms)
    assert hooks(network) == 0


def test_both_parts_of_a_term_by_hand() -> None:
    norm = nn.BatchNorm2d(1).eval()
    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.fill_(1)
    norm.running_var.fill_(10)
    x = torch.tensor([1.0, 3.0, 5.0, 7.0]).view(4, 1, 1, 1)  # mean 4, biased variance 5
    network = capture(nn.Sequential(norm, nn.Conv2d(1, 1, 1)), x)
    (layer,) = batchnorm_mismatch(network, x)
    assert (layer.name, layer.mean_part, layer.variance_part) == ("0", 9, 25)
    assert layer.total == 34


def test_a_layer_used_twice_is_two_terms(random_norms: Callable[[nn.Module], nn.Module]) -> None:
    torch.manual_seed(0)
    x = images(6, 1)
    network = capture(random_norms(SharedNorm()).eval(), x)
    layers = batchnorm_mismatch(network, x)
    assert [layer.name for layer in layers] == ["norm", "norm#2"]
    assert layers[0].total != layers[1].total
    assert sum(layer.total for layer in layers) / 2 == pytest.approx(l_bns(network, x), rel=1e-5)


def test_functional_batchnorm_has_its_own_name() -> None:
    class Functional(SharedNorm):
        def forward(self, x: Tensor) -> Tensor:
            norm = self.norm
            x = F.batch_norm(self.first(x), norm.running_mean, norm.running_var, training=False)
            return self.head(x.mean((2, 3)))

    torch.manual_seed(0)
    x = images(6, 1)
    network = capture(Functional().eval(), x)
    (layer,) = batchnorm_mismatch(network, x)
    assert layer.total == pytest.approx(l_bns(network, x), rel=1e-5)


def test_a_network_without_batchnorm_has_no_terms() -> None:
    x = images(3, 0)
    assert batchnorm_mismatch(capture(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), x), x) == []


def test_no_images_are_refused(tiny_network: Callable[..., nn.Module]) -> None:
    x = images(2, 0)
    none = x[:0]
    network, q = capture(tiny_network(), x), quantize(tiny_network(), 8, 8, x)
    with pytest.raises(InputError, match="no images"):
        batchnorm_mismatch(network, none)
    for synthetic, real in ((none, x), (x, none)):
        with pytest.raises(InputError, match="no images"):
            activation_ranges(q, synthetic, real)
    assert hooks(network) == hooks(q) == 0


@pytest.fixture
def q(tiny_network: Callable[..., nn.Module]) -> QuantizedNetwork:
    """A quantized network whose ranges were observed on one batch."""
    quantized = quantize(tiny_network(), 4, 4, images(2, 0))
    with torch.no_grad(), quantized.observing_ranges():
        quantized(images(16, 5))
    return quantized


def inputs_of_sites(q: QuantizedNetwork, x: Tensor) -> dict[str, Tensor]:
    kept: dict[str, Tensor] = {}
    handles = [
        site.register_forward_hook(lambda _, inputs, __, name=name: kept.update({name: inputs[0]}))
        for name, site in q.activation_quantizers()
    ]
    with torch.no_grad():
        q(x)
    for handle in handles:
        handle.remove()
    return kept


@pytest.mark.parametrize("part", [7, 250])
def test_ranges_of_both_sets_beside_those_in_force(
    part: int, q: QuantizedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adadfq_core.inspection.layers.EVALUATION_BATCH", part)
    synthetic, real = images(30, 1), 3 * images(20, 2)
    before = {name: value.clone() for name, value in q.state_dict().items()}
    found = activation_ranges(q, synthetic, real)
    assert [site.name for site in found] == list(q.coverage.activations)
    for x, values_of in ((synthetic, "synthetic"), (real, "real")):
        inputs = inputs_of_sites(q, x)
        for site, (_, quantizer) in zip(found, q.activation_quantizers(), strict=True):
            low, high = quantizer.range()
            assert site.in_force == (low.item(), high.item())
            values, range_ = inputs[site.name], getattr(site, values_of)
            assert (range_.low, range_.high) == pytest.approx(
                (values.min().item(), values.max().item()), rel=1e-5
            )
            bulk = values.flatten().quantile(torch.tensor(BULK)).tolist()
            assert [range_.bulk_low, range_.bulk_high] == pytest.approx(bulk, rel=1e-5)
            half_step = (high - low) / (2**quantizer.bits - 1) / 2
            zero_point = torch.round(low / (2 * half_step)) * 2 * half_step
            top = zero_point + (2**quantizer.bits - 1) * 2 * half_step
            beyond = (values < zero_point - half_step) | (values > top + half_step)
            assert range_.clipped == pytest.approx(beyond.float().mean().item(), abs=1e-3)
    first = found[0]
    assert first.real is not None and first.real.clipped is not None
    assert first.synthetic.clipped is not None
    assert first.real.clipped > first.synthetic.clipped  # three times as large inputs
    assert all(torch.equal(before[name], value) for name, value in q.state_dict().items())
    assert hooks(q) == 0


def test_clipped_is_what_lies_half_a_step_outside_or_more() -> None:
    site = ActivationQuantizer(2)
    site.observing = True
    site(torch.tensor([[-1.0, 2.0]]))  # codes 0..3 for -1, 0, 1, 2
    x = torch.tensor([[-1.6, -1.4, 0.0, 2.4, 2.6]])
    below, above = clipped(x, site)
    assert below.tolist() == [[True, False, False, False, False]]
    assert above.tolist() == [[False, False, False, False, True]]


def test_quantiles_of_many_values_come_from_an_even_sample(
    q: QuantizedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The second of two parts is much larger in value and much smaller in number.
    x = torch.cat([images(90, 1), 20 * images(10, 2)])
    exact = activation_ranges(q, x)
    monkeypatch.setattr("adadfq_core.inspection.layers.EVALUATION_BATCH", 90)
    monkeypatch.setattr("adadfq_core.inspection.layers._SAMPLED", 8000)
    monkeypatch.setattr("adadfq_core.inspection.layers.BULK", (0.1, 0.8))
    values = inputs_of_sites(q, x)
    sampled = activation_ranges(q, x)
    for site, whole in zip(sampled, exact, strict=True):
        assert (site.synthetic.low, site.synthetic.high) == pytest.approx(
            (whole.synthetic.low, whole.synthetic.high), rel=1e-5
        )
        quantile = values[site.name].flatten().quantile(0.8).item()
        assert site.synthetic.bulk_high == pytest.approx(quantile, rel=0.15)
    assert sampled == activation_ranges(q, x)


def test_before_the_warm_up_and_without_real_images(tiny_network: Callable[..., nn.Module]) -> None:
    fresh = quantize(tiny_network(), 4, 4, images(2, 0))
    for site in activation_ranges(fresh, images(3, 1)):
        assert site.in_force is None and site.real is None
        assert site.synthetic.clipped is None
        assert site.synthetic.high > 0
