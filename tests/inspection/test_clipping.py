from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adadfq_core.inspection.clipping import activation_clipping
from adadfq_core.quant.convert import quantize
from adadfq_core.quant.network import QuantizedNetwork
from adadfq_core.training.trainer import Trainer
from adadfq_core.zoo.networks import SmallResNet


class Pass(nn.Module):
    """Lets images `(B, 1, 2, 2)` through to one activation, and adds them up."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1, bias=False)
        self.activation = nn.LeakyReLU(0.5)
        self.head = nn.Linear(4, 1)
        nn.init.ones_(self.conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.activation(self.conv(x)).flatten(1))


class PositionsFirst(nn.Module):
    """Keeps the batch on the second axis, as sequence models may."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.gelu(self.conv(x).flatten(2).permute(2, 0, 1)).mean(0))


class Squeezes(nn.Module):
    """Loses the batch's axis where the batch is a single image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        features = F.relu(self.conv(x)).mean((2, 3), keepdim=True).squeeze()
        return self.head(features).log_softmax(1)


def calibrated(network: nn.Module, images: Tensor, bits: int = 3) -> QuantizedNetwork:
    q = quantize(network.eval(), 8, bits, images)
    with q.observing_ranges():
        q(images)
    return q


def test_shares_and_extremes_by_hand() -> None:
    # The range is [-1, 2], so that with 2 bits the codes stand for -1, 0, 1 and 2.
    q = calibrated(Pass(), torch.tensor([[-2.0, 2.0, 0.0, 1.0]]).view(1, 1, 2, 2), bits=2)
    images = torch.tensor([[0.0, 1.0, 2.0, -1.0], [2.4, 2.6, 7.0, -2.8], [-3.2, -8.0, -4.0, -6.0]])
    (site,) = activation_clipping(q, images.view(3, 1, 2, 2))
    assert (site.name, site.bits) == ("activation", 2)
    assert (site.range_min, site.range_max) == pytest.approx((-1, 2))
    # Values: 0, 1, 2, -0.5; 2.4 (still rounded to 2), 2.6, 7, -1.4; -1.6, -4, -2, -3.
    assert site.smallest == pytest.approx([-0.5, -1.4, -4])
    assert site.largest == pytest.approx([2, 7, -1.6])
    assert site.below.tolist() == [0, 0, 1]
    assert site.above.tolist() == [0, 0.5, 0]


def test_round_off_at_the_ends_of_the_range_is_not_clipping() -> None:
    network = Pass()
    network.activation = nn.ReLU6()
    q = calibrated(network, torch.full((2, 1, 2, 2), 9.0))
    (_, quantizer), *_ = q.activation_quantizers()
    quantizer.average_max.mul_(1 - 1e-6)
    (site,) = activation_clipping(q, torch.full((1, 1, 2, 2), 9.0))
    assert 5.9 < site.range_max < 6
    assert site.largest.tolist() == [6] and site.above.tolist() == [0]


def reference(q: QuantizedNetwork, image: Tensor) -> list[tuple[float, float, float]]:
    """Smallest and largest value and the share that quantization moves by over half a step."""
    seen: list[tuple[float, float, float]] = []

    def watch(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        low, high = module.range()
        half = (high - low) / (2**module.bits - 1) / 2
        moved = (output - inputs[0]).abs() > half * (1 + 1e-4)
        seen.append((inputs[0].min().item(), inputs[0].max().item(), moved.float().mean().item()))

    hooks = [site.register_forward_hook(watch) for _, site in q.activation_quantizers()]
    with torch.no_grad():
        q(torch.stack([image, image]))
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize(
    "network", [PositionsFirst(), Squeezes(), SmallResNet(1, 3, (2, 4), (1, 1))]
)
def test_samples_of_any_network_are_told_apart(network: nn.Module) -> None:
    torch.manual_seed(0)
    q = calibrated(copy.deepcopy(network), torch.randn(4, 1, 8, 8))
    images = torch.randn(3, 1, 8, 8) * torch.tensor([0.5, 2.0, 5.0]).view(3, 1, 1, 1)
    sites = activation_clipping(q, images)
    assert [site.name for site in sites] == list(q.coverage.activations)
    for index, image in enumerate(images):
        for site, (low, high, moved) in zip(sites, reference(q, image), strict=True):
            assert site.smallest[index] == pytest.approx(low, abs=1e-5)
            assert site.largest[index] == pytest.approx(high, abs=1e-5)
            clipped = site.below[index] + site.above[index]
            # The zero point is rounded, so that the codes end up to half a step off the range.
            assert clipped == pytest.approx(moved, abs=0.02)
    assert max(site.above[2] for site in sites) > 0.05


def test_q_is_left_as_it_is(
    tiny_trainer: Callable[..., Trainer], weights_of: Callable[[nn.Module], dict[str, Tensor]]
) -> None:
    trainer = tiny_trainer(q_average=0.9)
    while not trainer.finished:
        images = trainer.play().images
    q = trainer.quantized_network()
    before = weights_of(q)
    sites = activation_clipping(q, images)
    assert [site.name for site in sites] == list(q.coverage.activations)
    assert all(len(site.above) == len(images) for site in sites)
    assert all(torch.equal(value, before[name]) for name, value in weights_of(q).items())
    assert not any(np.isnan(site.largest).any() for site in sites)


def test_without_ranges_there_is_nothing_to_tell(tiny_network: Callable[..., nn.Module]) -> None:
    q = quantize(tiny_network(), 4, 4, torch.randn(2, 1, 8, 8))
    assert activation_clipping(q, torch.randn(2, 1, 8, 8)) == ()
