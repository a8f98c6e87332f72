"""Images as HTML."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image


def _data_uri(pixels: np.ndarray) -> str:
    image = np.moveaxis(pixels, 0, -1).squeeze()
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def picture(pixels: np.ndarray, about: str) -> str:
    """HTML of one image `(C, H, W)` uint8 of which `about` is the text alternative."""
    return f'<img alt="{html.escape(about)}" src="{_data_uri(pixels)}">'


def enlarged(pixels: np.ndarray, about: str) -> str:
    """HTML of one image as `picture`, as wide as its place."""
    return f'<div class="enlarged">{picture(pixels, about)}</div>'


def grid(tiles: Sequence[str]) -> str:
    """HTML of `tiles`, each a `<figure>`, eight a row or four on a narrow screen."""
    return f'<div class="samples">{"".join(tiles)}</div>'
