from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from adadfq_core.game.batchnorm_loss import (
    BatchNormStatisticsLoss,
    channel_moments,
    statistics_mismatch,
)


def term(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    axes = [0, *range(2, x.ndim)]
    assert norm.running_mean is not None and norm.running_var is not None
    mean = (x.mean(axes) - norm.running_mean).pow(2).mean()
    return mean + (x.var(axes, unbiased=False) - norm.running_var).pow(2).mean()


def plain_loss(network: nn.Sequential, x: Tensor) -> Tensor:
    terms = []
    for module in network:
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            terms.append(term(x, module))
        x = module(x)
    return torch.stack(terms).mean()


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 5), (4, 3, 5, 2), (2, 3, 2, 2, 2)])
def test_moments_and_their_gradient(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    mean, variance = channel_moments(x)
    axes = [0, *range(2, x.ndim)]
    torch.testing.assert_close(mean, x.mean(axes))
    torch.testing.assert_close(variance, x.var(axes, unbiased=False))
    assert torch.autograd.gradcheck(channel_moments, (x,))


def test_the_two_parts_of_a_term_by_hand() -> None:
    norm = nn.BatchNorm1d(2)
    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.copy_(torch.tensor([1.0, -2.0]))
    norm.running_var.copy_(torch.tensor([4.0, 1.0]))
    parts = statistics_mismatch(norm, torch.tensor([2.0, 1.0]), torch.tensor([2.0, 1.0]))
    # Squares of (1, 3) and of (-2, 0), each averaged over the channels.
    assert [part.item() for part in parts] == [5, 2]


def test_against_a_plain_computation(random_norms: Callable[[nn.Module], nn.Module]) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 3, 3),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.Conv2d(3, 2, 3),
        nn.BatchNorm2d(2, affine=False),
        nn.Flatten(),
        nn.Linear(8, 5),
        nn.BatchNorm1d(5),
    )
    random_norms(network).double().eval()
    x = torch.randn(6, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    expected = plain_loss(network, x)
    loss = BatchNormStatisticsLoss(network)
    assert len(loss.layers) == 3
    loss.enabled = True
    network(x)
    actual = loss.collect()
    torch.testing.assert_close(actual, expected)
    (own,) = torch.autograd.grad(actual, x)
    (other,) = torch.autograd.grad(expected, x)
    torch.testing.assert_close(own, other)


def test_a_network_without_batchnorm_has_no_such_term() -> None:
    for network in (
        nn.Sequential(nn.Linear(3, 3)),
        nn.Sequential(nn.Conv2d(1, 4, 1), nn.GroupNorm(2, 4)),
        nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False)),
    ):
        loss = BatchNormStatisticsLoss(network)
        loss.enabled = True
        network(torch.randn(2, 1, 3, 3))
        assert loss.layers == []
        assert loss.collect().item() == 0


def test_zero_where_the_batch_matches_and_nothing_is_kept() -> None:
    norm = nn.BatchNorm2d(2).eval()
    x = torch.randn(5, 2, 3, 3)
    mean, variance = channel_moments(x)
    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    loss = BatchNormStatisticsLoss(norm)
    loss.enabled = True
    norm(x)
    assert loss.collect().item() < 1e-12
    norm(x + 1)
    assert loss.collect().item() == pytest.approx(1, rel=1e-5)
    assert loss.collect().item() == 0


def test_disabled_or_removed_hooks_observe_nothing() -> None:
    norm = nn.BatchNorm2d(2).eval()
    loss = BatchNormStatisticsLoss(norm)
    norm(torch.ones(2, 2, 1, 1))
    assert loss.collect().item() == 0
    loss.enabled = True
    loss.remove()
    norm(torch.ones(2, 2, 1, 1))
    assert loss.collect().item() == 0
