"""Q with integer codes computes what the fake-quantized Q computes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from adadfq_core.errors import InputError
from adadfq_core.export.frozen import coded, freeze
from adadfq_core.quant import quantize
from adadfq_core.quant.layers import quantize_weight
from adadfq_core.quant.ranges import weight_range


@pytest.mark.parametrize("bits", range(2, 9))
def test_codes_stand_for_the_fake_quantized_weights(bits):
    weight = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    frozen = coded(weight, bits, weight_range(weight))
    torch.testing.assert_close(frozen(), quantize_weight(weight, bits))
    assert frozen.codes.dtype == torch.uint8
    assert int(frozen.codes.max()) == 2**bits - 1 and int(frozen.codes.min()) == 0
    assert int(frozen.zero_point.max()) <= 2**bits - 1


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_a_factor_of_either_sign_or_zero_goes_into_the_step(bits):
    weight = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    factor = torch.tensor([2.0, -0.5, 0.0])
    frozen = coded(weight, bits, weight_range(weight), factor)
    expected = quantize_weight(weight, bits) * factor[:, None]
    torch.testing.assert_close(frozen(), expected)
    assert bool((frozen.step >= 0).all())
    assert int(frozen.codes.max()) <= 2**bits - 1


def test_by_hand():
    # Range -1 to 2 at 2 bits: step 1, zero point 1.
    weight = torch.tensor([[-1.0, 0.4, 0.6, 2.0]])
    frozen = coded(weight, 2, weight_range(weight))
    assert frozen.codes.tolist() == [[0, 1, 2, 3]]
    assert frozen.zero_point.tolist() == [1] and frozen.step.tolist() == [1.0]
    assert frozen().tolist() == [[-1.0, 0.0, 1.0, 2.0]]


class _Everything(nn.Module):
    """Every kind of layer, with a shared one and one whose weights are computed."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect")
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.norm = nn.BatchNorm2d(8)
        self.shared = nn.Conv2d(8, 8, 1)
        self.up = nn.ConvTranspose2d(8, 6, 2, stride=2, groups=2)
        self.raw = nn.Parameter(torch.randn(4, 6, 3, 3))
        self.sequence = nn.Conv1d(4, 4, 3)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = F.relu(self.first(x))
        x = F.silu(self.norm(self.grouped(x)))
        x = self.shared(F.relu(self.shared(x))) + x
        x = F.relu(self.up(x))
        weight = (self.raw - self.raw.mean((1, 2, 3), keepdim=True)) * 0.7
        x = F.relu(F.conv2d(x, weight))
        x = F.relu(self.sequence(x.flatten(2)))
        return self.head(x.mean(2))


@pytest.mark.parametrize("bits", [3, 8])
def test_every_kind_of_layer(calibrated, random_norms, bits):
    torch.manual_seed(0)
    quantized, frozen, _, x = calibrated(random_norms(_Everything()), bits)
    with torch.no_grad():
        torch.testing.assert_close(frozen(x), quantized(x), rtol=0.02, atol=0.02)
    names = [name for name, _ in frozen.weights()]
    assert names == list(quantized.coverage.layers)
    assert [w.codes.ndim for _, w in frozen.weights()] == [4, 4, 4, 4, 4, 3, 2]
    parameters = [name for name, tensor in frozen.state_dict().items() if tensor.ndim > 1]
    assert all(name.endswith(".codes") for name in parameters), "a float weight is left"


def test_the_bundled_network_predicts_the_same(bundled, real):
    for bits in (2, 4):
        quantized, frozen, _ = bundled(bits)
        with torch.no_grad():
            same = quantized(real.images[:500]).argmax(1) == frozen(real.images[:500]).argmax(1)
        assert float(same.float().mean()) >= 0.998


def test_bits_of_single_layers_are_kept(calibrated):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 196, 3))
    _, frozen, _, _ = calibrated(network, 3, overrides="first=8,last=6")
    assert [weight.bits for _, weight in frozen.weights()] == [8, 6]
    assert [coder.bits for _, coder in frozen.activations()] == [3]
    assert sorted(bits for _, bits in frozen.code_bits()) == [6, 8]


def test_a_network_without_ranges_is_refused():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 36, 3))
    quantized = quantize(network.eval(), 4, 4, torch.zeros(2, 1, 8, 8))
    with pytest.raises(InputError, match="no range yet"):
        freeze(quantized)


def test_the_original_is_left_as_it_is(calibrated):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 196, 3))
    quantized, frozen, _, x = calibrated(network, 4)
    before = quantized(x)
    frozen.weights()[0][1].codes.zero_()
    torch.testing.assert_close(quantized(x), before, rtol=0, atol=0)
    assert any(parameter.requires_grad for parameter in quantized.parameters())
