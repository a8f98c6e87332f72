"""Batches made without data, and how far they are from what BatchNorm remembers of real ones."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adadfq_core.game.batchnorm_loss import BatchNormStatisticsLoss, channel_moments

_SEED = 0


@dataclass(frozen=True, eq=False)
class Recall:
    """What one BatchNorm layer stored and what it sees of a batch, a number a channel, `(C,)`."""

    stored_mean: NDArray[np.float32]
    stored_std: NDArray[np.float32]
    seen_mean: NDArray[np.float32]
    seen_std: NDArray[np.float32]


def patchwork(
    shape: tuple[int, int, int, int], patch: int, brightness: float, contrast: float
) -> Tensor:
    """Images `(N, C, H, W)` of square patches, each of one grey level drawn at random.

    Grey levels are uniform within `brightness` ± `contrast / 2`, cut off at 0 (black) and 1
    (white). The same arguments give the same images.

    Args:
        patch: side of a patch in pixels, from 1 (noise).
    """
    *outer, height, width = shape
    random = torch.Generator().manual_seed(_SEED)
    rows, columns = -(-height // patch), -(-width // patch)
    grey = brightness + contrast * (torch.rand(*outer, rows, columns, generator=random) - 0.5)
    grey = grey.repeat_interleave(patch, -2).repeat_interleave(patch, -1)
    return grey[..., :height, :width].clamp(0, 1)


def blend(made: Tensor, real: Tensor, share: float) -> Tensor:
    """uint8 pixels of `made` `(N, C, H, W)` in [0, 1] with `share` (0..1) of uint8 `real`."""
    mixed = (1 - share) * 255 * made + share * real
    return mixed.round().to(torch.uint8)


@torch.inference_mode()
def recall(network: nn.Module, images: Tensor, layer: int) -> tuple[float, Recall]:
    """`L_BNS` of a batch, and what BatchNorm layer number `layer` stored and sees.

    Args:
        network: P; it is left as it is.
        images: normalised, `(N, C, H, W)`.
        layer: from 0, in the order of `BatchNormStatisticsLoss.layers`.
    """
    # Hooks on the network itself would meet those of whoever else looks at it.
    network = copy.deepcopy(network)
    loss = BatchNormStatisticsLoss(network)
    seen: list[tuple[Tensor, Tensor]] = []
    norm = loss.layers[layer]
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(channel_moments(inputs[0])))
    loss.enabled = True
    network(images)
    ((mean, variance),) = seen
    stored_mean, stored_variance = norm.running_mean, norm.running_var
    assert isinstance(stored_mean, Tensor) and isinstance(stored_variance, Tensor)
    found = Recall(
        stored_mean.numpy(), stored_variance.sqrt().numpy(), mean.numpy(), variance.sqrt().numpy()
    )
    return float(loss.collect()), found


def batchnorm_count(network: nn.Module) -> int:
    """How many layers `L_BNS` is the mean of."""
    return len(BatchNormStatisticsLoss(copy.deepcopy(network)).layers)
