"""The distance between what both networks' BatchNorm layers put out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from adadfq_core.game.feature_distance import FeatureDistance, feature_distance
from adadfq_core.quant.capture import capture
from adadfq_core.quant.convert import quantize_graph
from adadfq_core.quant.network import QuantizedNetwork


def test_a_distance_by_hand() -> None:
    # Differences 1 and 3, squares 1 and 9, mean 5; the target's variance is 2.
    assert feature_distance(torch.tensor([1.0, 3.0]), torch.tensor([2.0, 0.0])).item() == 2.5


def test_the_scale_of_a_layer_does_not_count() -> None:
    p, q = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0)).unbind()
    assert feature_distance(100 * p, 100 * q).item() == pytest.approx(feature_distance(p, q).item())


def test_equal_features_have_a_distance_too() -> None:
    same, other = torch.ones(2, 3), torch.zeros(2, 3)
    assert feature_distance(same, other).item() == 1 and feature_distance(same, same).item() == 0


def test_only_q_gets_a_gradient() -> None:
    p, q = torch.randn(4, requires_grad=True), torch.randn(4, requires_grad=True)
    feature_distance(p, q).backward()
    assert p.grad is None and q.grad is not None


class Branches(nn.Module):
    """Of its BatchNorm layers one can be folded, one follows an addition, one is used twice.

    They are called in another order than they are declared.
    """

    def __init__(self) -> None:
        super().__init__()
        self.behind_sum = nn.BatchNorm2d(4)
        self.twice = nn.BatchNorm2d(4)
        self.folded = nn.BatchNorm2d(4)
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.last = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.folded(self.first(x)))
        x = self.twice(torch.relu(self.twice(x)))
        x = torch.relu(self.behind_sum(x + self.second(x)))
        logits: Tensor = self.last(x.mean((2, 3)))
        return logits


Norms = Callable[[nn.Module], nn.Module]


def both(network: nn.Module, bits: int) -> tuple[nn.Module, QuantizedNetwork]:
    p = capture(network.eval(), torch.zeros(2, 1, 8, 8)).requires_grad_(False)
    q = quantize_graph(p, bits, bits)
    with q.observing_ranges():
        q(torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(1)))
    return p, q


def outputs(network: nn.Module, name: str, x: Tensor) -> list[Tensor]:
    seen: list[Tensor] = []
    hook = network.get_submodule(name).register_forward_hook(lambda m, i, o: seen.append(o))
    network(x)
    hook.remove()
    return seen


def test_each_layer_is_compared_with_its_own(random_norms: Norms) -> None:
    torch.manual_seed(3)
    p, q = both(random_norms(Branches()), 3)
    features = FeatureDistance(p, q)
    assert sorted(features.layers) == ["behind_sum", "folded", "twice"]
    x = torch.randn(6, 1, 8, 8)
    with features.compared():
        p(x)
        q(x)
    expected = []
    for name, own in (("behind_sum",) * 2, ("twice",) * 2, ("folded", "first")):
        pairs = zip(outputs(p, name, x), outputs(q.graph_module, own, x), strict=True)
        expected += [feature_distance(*pair) for pair in pairs]
    assert len(expected) == 4 and all(distance > 0 for distance in expected)
    assert features.collect().item() == pytest.approx(torch.stack(expected).mean().item())


def test_more_bits_are_closer(random_norms: Norms) -> None:
    torch.manual_seed(0)
    network = random_norms(Branches())
    x = torch.randn(6, 1, 8, 8)
    found = []
    for bits in (2, 4, 8):
        p, q = both(network, bits)
        features = FeatureDistance(p, q)
        with features.compared():
            p(x)
            q(x)
        found.append(features.collect().item())
    assert found[0] > found[1] > found[2] > 0


def test_nothing_is_kept_outside(random_norms: Norms) -> None:
    p, q = both(random_norms(Branches()), 3)
    features = FeatureDistance(p, q)
    x = torch.randn(6, 1, 8, 8)
    for network in (p, q):
        network(x)
    assert features.collect().item() == 0
    with pytest.raises(RuntimeError, match="stopped"), features.compared():
        raise RuntimeError("stopped")
    assert not any(module._forward_hooks for each in (p, q) for module in each.modules())


def test_a_network_without_batchnorm_has_no_distance() -> None:
    p, q = both(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)), 3)
    features = FeatureDistance(p, q)
    assert features.layers == []
    with features.compared():
        p(torch.zeros(2, 1, 8, 8))
        q(torch.zeros(2, 1, 8, 8))
    assert features.collect().item() == 0
