"""A walk through the generator's latent space, from one noise and class to another."""

from __future__ import annotations

import copy

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from adadfq_core.errors import InputError
from adadfq_core.game.generator import Generator
from adadfq_core.zoo.formats import ImageFormat

# Images that G makes at once, as many as in the paper's protocol: its maps at 224 pixels are large.
_BATCH = 16
_REFERENCE_BATCHES = 4
# Below this sine two directions are parallel or opposite, and no arc leads from one to the other.
_NARROWEST_ARC = 1e-6


def latent_points(seed: int, count: int, dim: int) -> Tensor:
    """Standard normal latent points `(count, dim)`, the same for the same `seed`."""
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))


def latent_walk(
    generator: Generator,
    images: ImageFormat,
    z_from: Tensor,
    z_to: Tensor,
    class_from: int,
    class_to: int,
    steps: int,
) -> NDArray[np.uint8]:
    """Pixels `(steps, C, H, W)` of what G makes on the way, both ends included.

    The noise follows `arc`; from one class to another what G has learned for each is mixed in
    equal steps. Neighbouring images differ little, and an image depends on nothing but its place
    on the way: G works in evaluation mode, since in training mode its BatchNorm would move every
    image with the others of its batch, and would force even near-equal images to unit variance.
    The statistics are measured anew (see `_settled`). G itself is left as it is.

    Args:
        generator: G on the CPU, in any mode.
        images: the format of G's images; names the classes.
        z_from, z_to: `(latent_dim,)` each.
        class_from, class_to: indices of classes.
        steps: 2 or more.

    Raises:
        InputError: there is no such class, or too few steps.
    """
    num_classes = len(images.classes)
    for name, label in (("class_from", class_from), ("class_to", class_to)):
        if not 0 <= label < num_classes:
            raise InputError(
                f"{name} = {label} is not allowed; it must be a whole number from 0 to "
                f"{num_classes - 1}."
            )
    if steps < 2:
        raise InputError(
            f"steps = {steps} is not allowed; it must be a whole number of at least 2."
        )
    way = torch.linspace(0, 1, steps, dtype=torch.float64)
    z = arc(z_from, z_to, way).to(torch.float32)
    ends = F.one_hot(torch.tensor([class_from, class_to]), num_classes)
    shares = torch.stack([1 - way, way], dim=1).to(torch.float32) @ ends.to(torch.float32)
    settled = _settled(generator, num_classes)
    with torch.inference_mode():
        parts = [
            images.pixels(settled(*part))
            for part in zip(torch.split(z, _BATCH), torch.split(shares, _BATCH), strict=True)
        ]
    pixels: NDArray[np.uint8] = torch.cat(parts).numpy()
    return pixels


def arc(z_from: Tensor, z_to: Tensor, way: Tensor) -> Tensor:
    """Points `(n, dim)` between `z_from` and `z_to` `(dim,)` at `way` `(n,)` within [0, 1].

    The direction turns at an even pace (spherical interpolation, Shoemake 1985) and the length
    changes evenly. On the straight line the middle would be shorter than almost any standard
    normal noise: outside of what G has been trained on. That line is taken only where no arc leads
    from one direction to the other.
    """
    start, end, way = z_from.double(), z_to.double(), way[:, None]
    lengths = start.norm(), end.norm()
    straight = torch.lerp(start, end, way)
    if min(lengths) == 0:
        return straight
    cosine = ((start / lengths[0]) @ (end / lengths[1])).clamp(-1, 1)
    angle = torch.acos(cosine)
    if torch.sin(angle) < _NARROWEST_ARC:
        return straight
    turned = torch.sin((1 - way) * angle) * start / lengths[0]
    turned = turned + torch.sin(way * angle) * end / lengths[1]
    points: Tensor = torch.lerp(*lengths, way) * turned / torch.sin(angle)
    return points


def _settled(generator: Generator, num_classes: int) -> Generator:
    """A copy of G in evaluation mode, with the statistics of what it makes now.

    The running ones would be for free, but follow the training by tens of iterations and start
    from 0 and 1: in a checkpoint of the first ones all images would be nearly grey.
    """
    settled = copy.deepcopy(generator).train()
    norms = [module for module in settled.modules() if isinstance(module, _BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
    random = torch.Generator().manual_seed(0)
    latent_dim = settled.spread.in_features
    with torch.inference_mode():
        for _ in range(_REFERENCE_BATCHES):
            z = torch.randn(_BATCH, latent_dim, generator=random)
            settled(z, torch.randint(num_classes, (_BATCH,), generator=random))
    return settled.eval()
