"""Exported networks, as models in memory, with images for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx
import pytest
import torch
from torch import Tensor, nn

from adadfq_core.export.description import describe
from adadfq_core.export.frozen import FrozenNetwork, freeze
from adadfq_core.export.onnx_file import to_onnx
from adadfq_core.quant import quantize
from adadfq_core.settings import make_settings
from adadfq_core.zoo.formats import ImageFormat


@dataclass(frozen=True)
class Exported:
    """A frozen network, its ONNX model and normalised images."""

    network: FrozenNetwork
    model: onnx.ModelProto
    images: Tensor


@pytest.fixture
def exported() -> Callable[..., Exported]:
    """Quantize and export a network; its ranges come from half of the random images."""

    def build(
        network: nn.Module, bits: int, shape: tuple[int, int, int] = (1, 8, 8), count: int = 64
    ) -> Exported:
        channels = shape[0]
        images = ImageFormat(shape, ("a", "b", "c"), (0.3,) * channels, (0.25,) * channels)
        generator = torch.Generator().manual_seed(5)
        pixels = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=generator)
        normalised = images.normalise(pixels)
        quantized = quantize(network.eval(), bits, bits, normalised[:2])
        with quantized.observing_ranges(), torch.no_grad():
            quantized(normalised[: count // 2])
        frozen = freeze(quantized)
        settings = make_settings({"weight_bits": bits, "activation_bits": bits})
        description = describe(settings, images, None, "run", 1)
        return Exported(frozen, to_onnx(frozen, description), normalised)

    return build
