"""Quantized networks with ranges, ready to be taken away."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from adadfq_core.bit_overrides import parse_bit_overrides
from adadfq_core.export.description import Description, describe
from adadfq_core.export.frozen import FrozenNetwork, freeze
from adadfq_core.quant import quantize
from adadfq_core.quant.network import QuantizedNetwork
from adadfq_core.settings import make_settings
from adadfq_core.zoo.evaluation_data import EvaluationData, load_evaluation_data
from adadfq_core.zoo.formats import ImageFormat
from adadfq_core.zoo.registry import find

BUNDLED = "fashion-resnet20"


@cache
def _real() -> EvaluationData:
    return load_evaluation_data("fashion-mnist", find(BUNDLED).images, 1000)


@cache
def _bundled(bits: int) -> tuple[QuantizedNetwork, FrozenNetwork, Description]:
    entry = find(BUNDLED)
    images = _real().images[:250]
    quantized = quantize(entry.load(), bits, bits, images[:2])
    with quantized.observing_ranges(), torch.no_grad():
        quantized(images)
    settings = make_settings({"weight_bits": bits, "activation_bits": bits})
    description = describe(settings, entry.images, "fashion-mnist", "a-run", 7)
    return quantized, freeze(quantized), description


@pytest.fixture
def real() -> EvaluationData:
    """1,000 real images of the bundled network."""
    return _real()


@pytest.fixture
def bundled() -> Callable[[int], tuple[QuantizedNetwork, FrozenNetwork, Description]]:
    """The bundled network at some bits for weights and activations, with ranges of real images."""
    return _bundled


@pytest.fixture
def calibrated() -> Callable[..., tuple[QuantizedNetwork, FrozenNetwork, Description, Tensor]]:
    """Quantize a network with ranges of random images; also gives those images."""

    def build(
        network: nn.Module,
        bits: int,
        shape: tuple[int, int, int] = (3, 16, 16),
        name: str = "a_file.py:network",
        overrides: str = "",
        classes: int = 3,
    ) -> tuple[QuantizedNetwork, FrozenNetwork, Description, Tensor]:
        channels = shape[0]
        names = tuple(f"class {index}" for index in range(classes))
        images = ImageFormat(shape, names, (0.4,) * channels, (0.25,) * channels)
        generator = torch.Generator().manual_seed(3)
        pixels = torch.randint(0, 256, (32, *shape), dtype=torch.uint8, generator=generator)
        x = images.normalise(pixels)
        quantized = quantize(network.eval(), bits, bits, x[:2], parse_bit_overrides(overrides))
        with quantized.observing_ranges(), torch.no_grad():
            quantized(x)
        settings = make_settings(
            {
                "network": name,
                "weight_bits": bits,
                "activation_bits": bits,
                "bit_overrides": overrides,
                "image_shape": shape,
            }
        )
        return quantized, freeze(quantized), describe(settings, images, None, "a-run", 7), x

    return build
