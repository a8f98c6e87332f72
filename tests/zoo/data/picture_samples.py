"""Pictures and formats that the tests of data sets share."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from adadfq_core.zoo.formats import ImageFormat, Interpolation

CLASSES = ("cat", "dog", "fox")


def image_format(
    shape: tuple[int, int, int] = (3, 8, 8),
    classes: tuple[str, ...] = CLASSES,
    resize: int | None = None,
    interpolation: Interpolation = "bilinear",
) -> ImageFormat:
    channels = shape[0]
    return ImageFormat(shape, classes, (0.5,) * channels, (0.5,) * channels, resize, interpolation)


def noise(width: int = 8, height: int = 8, seed: int = 0) -> Image.Image:
    generator = np.random.default_rng(seed)
    return Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))


def plain(level: int) -> Image.Image:
    return Image.new("RGB", (8, 8), (level, level, level))


def coded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def write_picture(path: Path, image: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
