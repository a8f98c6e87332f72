"""Q of a run's checkpoint, ready to be written in any format."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, fx

from adadfq_core.export.description import Description, describe
from adadfq_core.export.frozen import FrozenNetwork, freeze
from adadfq_core.game.generator import Generator
from adadfq_core.inspection.networks import load_networks
from adadfq_core.quant.network import QuantizedNetwork
from adadfq_core.runs.store import RunStore
from adadfq_core.zoo.evaluation_data import EvaluationData, load_evaluation_data
from adadfq_core.zoo.formats import ImageFormat

_SAMPLES = 256


@dataclass(frozen=True, eq=False)
class Taken:
    """The networks of one checkpoint.

    Attributes:
        p: the full-precision network, as `quant.capture` captures it.
        q: the fake-quantized network as it was trained.
        frozen: Q with integer codes.
        samples: normalised images `(n, C, H, W)` like those that Q learned from.
        real: the images that measure the run; `None` where it has none.
    """

    p: fx.GraphModule
    q: QuantizedNetwork
    frozen: FrozenNetwork
    description: Description
    images: ImageFormat
    samples: Tensor
    real: EvaluationData | None


def take(root: Path, run_id: str, iteration: int | None = None, *, own_code: bool = False) -> Taken:
    """Q of the newest checkpoint of run `run_id`, or of the last one up to `iteration`.

    Args:
        own_code: see `inspection.networks.load_networks`.

    Raises:
        InputError: there is no such run or checkpoint, or its network, weights or data are not to
            be had.
        RunFailed: the checkpoint is missing or damaged.
    """
    if iteration is None:
        iteration = RunStore(root).info(run_id).iteration
    networks = load_networks(root, run_id, iteration, own_code=own_code)
    settings, images = networks.settings, networks.images
    real = None
    if networks.data is not None:
        real = load_evaluation_data(networks.data, images, settings.evaluation_images)
    if networks.generator is not None:
        samples = _generated(networks.generator, len(images.classes), settings.seed)
    else:
        # The settings of a method without G always name real images.
        assert real is not None
        lessons, real = real.halves()
        samples = lessons.images[lessons.spread(_SAMPLES)]
    return Taken(
        p=networks.p,
        q=networks.q,
        frozen=freeze(networks.q),
        description=describe(settings, images, networks.data, run_id, networks.iteration),
        images=images,
        samples=samples,
        real=real,
    )


@torch.no_grad()
def _generated(generator: Generator, classes: int, seed: int) -> Tensor:
    """Images of G as the game sees them, from noise of their own."""
    # G's BatchNorm would count the batch, hence the copy.
    generator = copy.deepcopy(generator).train()
    random = torch.Generator().manual_seed(seed)
    z = torch.randn(_SAMPLES, generator.spread.in_features, generator=random)
    images: Tensor = generator(z, torch.randint(classes, (_SAMPLES,), generator=random))
    return images
