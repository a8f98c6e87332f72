"""Many small images in one picture, for the browser to cut apart again."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from adadfq_core.errors import InputError

MOST_IMAGES = 500


@dataclass(frozen=True, slots=True)
class Sprite:
    """Images of one size side by side, row by row, without gaps and at their own size.

    Attributes:
        png: The picture.
        count: Number of images.
        columns: Images in a row.
        width, height: Of one image, in pixels.
    """

    png: bytes
    count: int
    columns: int
    width: int
    height: int

    @property
    def rows(self) -> int:
        """Rows of images; the last one may be partly empty."""
        return -(-self.count // self.columns)


def make_sprite(pixels: np.ndarray) -> Sprite:
    """Draw images into one picture, about as many rows as columns.

    Worth keeping while the images stay the same: 500 colour images of 32 x 32 pixels take some
    hundredths of a second.

    Args:
        pixels: `(n, C, H, W)` uint8, grey (C = 1) or RGB (C = 3), n at most `MOST_IMAGES`.

    Raises:
        InputError: images of another type or shape, none or too many.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1] not in (1, 3):
        raise InputError(
            f"Images of type {pixels.dtype} and shape {pixels.shape} cannot be shown; they must be "
            "uint8 of shape (n, 1 or 3, height, width)."
        )
    if not pixels.size or len(pixels) > MOST_IMAGES:
        raise InputError(
            f"{len(pixels)} images of {pixels.shape[2]} x {pixels.shape[3]} pixels cannot be shown "
            f"at once; choose from 1 to {MOST_IMAGES} images that are not empty."
        )
    count, channels, height, width = pixels.shape
    # Near a square, since browsers cannot draw very long pictures.
    columns = math.isqrt(count - 1) + 1
    rows = -(-count // columns)
    cells = np.zeros((rows * columns, channels, height, width), np.uint8)
    cells[:count] = pixels
    sheet = cells.reshape(rows, columns, channels, height, width).transpose(0, 3, 1, 4, 2)
    sheet = sheet.reshape(rows * height, columns * width, channels)
    image = Image.fromarray(sheet[:, :, 0] if channels == 1 else sheet)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return Sprite(buffer.getvalue(), count, columns, width, height)
