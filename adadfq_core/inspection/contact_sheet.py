"""Images side by side in one PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from adadfq_core.errors import InputError

# Smaller images are enlarged by the whole number that makes them at least so large.
SMALLEST_TILE = 64
GAP = 2
CAPTION_HEIGHT = 14
FONT_SIZE = 10
# Grey levels.
PAPER = 255
INK = 40
MOST_PIXELS = 100_000_000
"""More than these, 300 MB in colour, are not drawn into one picture."""


def stretched(pixels: np.ndarray) -> np.ndarray:
    """Each image `(C, H, W)` from its own darkest to its own brightest value, over all channels.

    Makes a faint image visible, but brightness no longer compares between images. An image of
    one value stays as it is.

    Args:
        pixels: `(n, C, H, W)` uint8.
    """
    low = pixels.min((1, 2, 3), keepdims=True).astype(np.float32)
    span = pixels.max((1, 2, 3), keepdims=True) - low
    scaled = ((pixels - low) * (255 / np.maximum(span, 1))).round().astype(np.uint8)
    return np.where(span > 0, scaled, pixels)


def _check(pixels: np.ndarray, captions: Sequence[str] | None, columns: int) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1] not in (1, 3):
        raise InputError(
            f"Images of type {pixels.dtype} and shape {pixels.shape} cannot be drawn; they must be "
            "uint8 of shape (n, 1 or 3, height, width)."
        )
    if not pixels.size:
        raise InputError("There is no image to draw; choose at least one sample.")
    if captions is not None and len(captions) != len(pixels):
        raise InputError(
            f"{len(captions)} captions for {len(pixels)} images are not allowed; give each image "
            "one."
        )
    if columns < 1:
        raise InputError(f"{columns} columns are not allowed; choose at least 1.")


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """`text` on one line, cut so that it is at most `width` pixels wide."""
    whole = text = " ".join(text.split())
    while text and font.getlength(text if text == whole else f"{text}…") > width:
        text = text[:-1]
    return text if text == whole else f"{text}…"


def contact_sheet(
    pixels: np.ndarray,
    captions: Sequence[str] | None = None,
    columns: int = 10,
    *,
    stretch: bool = False,
) -> bytes:
    """PNG of the images, row by row with a thin gap, grey or in colour as they are.

    Every pixel becomes a square of whole pixels with the same value, so nothing is smoothed.

    Args:
        pixels: `(n, C, H, W)` uint8, C being 1 or 3.
        captions: a line of text below each image, cut to its width.
        columns: images in a row.
        stretch: draw `stretched` images.

    Raises:
        InputError: no image, images of another type or shape, as many captions as there are not
            images, no column, or a picture of more than `MOST_PIXELS`.
    """
    _check(pixels, captions, columns)
    n, channels, height, width = pixels.shape
    scale = -(-SMALLEST_TILE // max(height, width))
    height, width = scale * height, scale * width
    cell_height = height + GAP + (0 if captions is None else CAPTION_HEIGHT)
    cell_width = width + GAP
    columns = min(columns, n)
    rows = -(-n // columns)
    if rows * cell_height * columns * cell_width > MOST_PIXELS:
        raise InputError(
            f"{n} images of {width} x {height} pixels are too many for one picture; choose fewer."
        )
    shown = (stretched(pixels) if stretch else pixels).transpose(0, 2, 3, 1)
    cells = np.full((rows * columns, cell_height, cell_width, channels), PAPER, np.uint8)
    cells[:n, :height, :width] = shown.repeat(scale, 1).repeat(scale, 2)
    sheet = cells.reshape(rows, columns, cell_height, cell_width, channels).swapaxes(1, 2)
    sheet = sheet.reshape(rows * cell_height, columns * cell_width, channels)[:-GAP, :-GAP]
    image = Image.fromarray(sheet[:, :, 0] if channels == 1 else sheet)
    if captions is not None:
        font = ImageFont.load_default(FONT_SIZE)
        draw = ImageDraw.Draw(image)
        for place, caption in enumerate(captions):
            row, column = divmod(place, columns)
            corner = (column * cell_width, row * cell_height + height)
            draw.text(corner, _shortened(caption, font, width), (INK,) * channels, font)
    buffer = io.BytesIO()
    # The quickest compression: the default takes three times as long for a tenth less.
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
