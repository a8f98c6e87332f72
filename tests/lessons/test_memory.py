from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from adadfq_core.game.batchnorm_loss import BatchNormStatisticsLoss
from adadfq_core.lessons.memory import batchnorm_count, blend, patchwork, recall

SHAPE = (64, 1, 8, 8)


def test_the_loss_is_the_games_and_the_network_stays_as_it_is(
    tiny_network: Callable[..., nn.Module],
) -> None:
    network = tiny_network()
    images = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    found, layer = recall(network, images, layer=0)
    loss = BatchNormStatisticsLoss(network)
    loss.enabled = True
    seen = network[0](images)
    network(images)
    assert found == pytest.approx(loss.collect().item())
    loss.remove()
    np.testing.assert_allclose(layer.seen_mean, seen.mean((0, 2, 3)).detach(), rtol=1e-4, atol=1e-6)
    spread = seen.std((0, 2, 3), correction=0).detach()
    np.testing.assert_allclose(layer.seen_std, spread, rtol=1e-4)
    np.testing.assert_array_equal(layer.stored_mean, network[1].running_mean)
    np.testing.assert_allclose(layer.stored_std**2, network[1].running_var, rtol=1e-6)
    assert not any(module._forward_pre_hooks for module in network.modules())
    assert batchnorm_count(network) == 2
    assert len(recall(network, images, layer=1)[1].stored_mean) == 6


def test_patches_are_of_one_grey_level_each() -> None:
    images = patchwork(SHAPE, patch=3, brightness=0.5, contrast=0.4)
    assert images.shape == SHAPE
    assert (images[:, :, :3, :3] == images[:, :, :1, :1]).all()
    assert (images[:, :, 2, 2] != images[:, :, 3, 3]).all()
    assert images.min() >= 0.3 and images.max() <= 0.7
    assert images.mean().item() == pytest.approx(0.5, abs=0.02)
    assert torch.equal(images, patchwork(SHAPE, patch=3, brightness=0.5, contrast=0.4))


def test_grey_levels_end_at_black_and_white() -> None:
    images = patchwork(SHAPE, patch=1, brightness=0.5, contrast=2.0)
    assert images.min() == 0 and images.max() == 1
    assert (patchwork(SHAPE, patch=1, brightness=0.25, contrast=0.0) == 0.25).all()


def test_a_blend_goes_from_made_to_real() -> None:
    made, real = torch.full(SHAPE, 0.2), torch.full(SHAPE, 255, dtype=torch.uint8)
    for share, grey in ((0.0, 51), (0.5, 153), (1.0, 255)):
        mixed = blend(made, real, share)
        assert mixed.dtype == torch.uint8 and (mixed == grey).all()
