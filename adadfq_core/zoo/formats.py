"""The images that a network takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Interpolation = Literal["bilinear", "bicubic"]


@dataclass(frozen=True)
class ImageFormat:
    """What images a network takes: `(channels, height, width)`, class names, normalisation.

    `mean` and `std` are per channel, for pixels scaled to [0, 1]. A picture of another size is
    first scaled so that its shorter side has `resize` pixels and then cropped at its centre; where
    `resize` is `None` it is scaled to cover `(height, width)`.
    """

    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: int | None = None
    interpolation: Interpolation = "bilinear"

    def normalise(self, pixels: Tensor) -> Tensor:
        """Normalised float images from uint8 `(N, C, H, W)`."""
        mean, std = (pixels.new_tensor(v, dtype=torch.float32) for v in (self.mean, self.std))
        return (pixels.to(torch.float32) / 255 - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)

    def pixels(self, images: Tensor) -> Tensor:
        """uint8 pixels of normalised images `(N, C, H, W)`; values beyond black or white clip."""
        mean, std = (images.new_tensor(v) for v in (self.mean, self.std))
        scaled = (images * std.view(-1, 1, 1) + mean.view(-1, 1, 1)) * 255
        return scaled.round().clamp(0, 255).to(torch.uint8)
