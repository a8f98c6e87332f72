"""Bringing a picture to the size that a network takes, as torchvision does for PIL pictures."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from adadfq_core.zoo.data.decoding import UnreadablePicture
from adadfq_core.zoo.formats import ImageFormat

_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_MOST_PIXELS = 100_000_000


def fit(image: Image.Image, images: ImageFormat) -> Tensor:
    """uint8 `(C, H, W)` of a decoded picture, scaled (antialiased) and cropped at its centre.

    A picture that already has the right size is not resampled.

    Raises:
        UnreadablePicture: so long and narrow that scaling it would fill the memory.
    """
    channels, height, width = images.shape
    size = _scaled_size(image.size, images)
    if size[0] * size[1] > _MOST_PIXELS:
        raise UnreadablePicture(
            f"its {image.width} x {image.height} pixels are too long and narrow to be scaled to "
            f"{size[0]} x {size[1]}"
        )
    if size != image.size:
        image = image.resize(size, _RESAMPLING[images.interpolation])
    left, top = round((size[0] - width) / 2), round((size[1] - height) / 2)
    image = image.crop((left, top, left + width, top + height))
    return torch.from_numpy(np.array(image)).view(height, width, channels).permute(2, 0, 1)


def _scaled_size(size: tuple[int, int], images: ImageFormat) -> tuple[int, int]:
    """Width and height after scaling; the longer side rounds down, as in torchvision's `Resize`."""
    _, height, width = images.shape
    short_width, short_height = (images.resize,) * 2 if images.resize else (width, height)
    if size[0] * short_height <= size[1] * short_width:
        return short_width, size[1] * short_width // size[0]
    return size[0] * short_height // size[1], short_height
