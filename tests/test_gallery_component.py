"""The gallery's sprite, pixel by pixel, and what its tiles must fulfil."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from adadfq_core.errors import InputError
from app.components.gallery import MOST_IMAGES, GalleryTiles, Sprite, make_sprite


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)


def cut_out(sprite: Sprite, index: int) -> np.ndarray:
    """Image `index` as the browser cuts it out, `(H, W)` grey or `(H, W, 3)`."""
    sheet = np.asarray(Image.open(io.BytesIO(sprite.png)))
    row, column = divmod(index, sprite.columns)
    top, left = row * sprite.height, column * sprite.width
    return sheet[top : top + sprite.height, left : left + sprite.width]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 16, 17, MOST_IMAGES])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_stands_in_its_place_unchanged(count: int, channels: int) -> None:
    pixels = noise(count, channels, 5, 8)
    sprite = make_sprite(pixels)
    assert (sprite.count, sprite.width, sprite.height) == (count, 8, 5)
    for index, image in enumerate(pixels):
        expected = image[0] if channels == 1 else np.moveaxis(image, 0, 2)
        np.testing.assert_array_equal(cut_out(sprite, index), expected)


def test_four_images_of_one_pixel_make_a_square() -> None:
    sprite = make_sprite(np.array([10, 20, 30, 40], np.uint8).reshape(4, 1, 1, 1))
    assert np.asarray(Image.open(io.BytesIO(sprite.png))).tolist() == [[10, 20], [30, 40]]


@pytest.mark.parametrize(
    ("count", "columns", "rows"),
    [(1, 1, 1), (2, 2, 1), (3, 2, 2), (4, 2, 2), (5, 3, 2), (9, 3, 3), (10, 4, 3), (500, 23, 22)],
)
def test_the_picture_is_near_a_square_and_no_larger_than_needed(
    count: int, columns: int, rows: int
) -> None:
    sprite = make_sprite(noise(count, 1, 2, 3))
    assert (sprite.columns, sprite.rows) == (columns, rows)
    assert Image.open(io.BytesIO(sprite.png)).size == (3 * columns, 2 * rows)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_grey_images_stay_grey(channels: int, mode: str) -> None:
    assert Image.open(io.BytesIO(make_sprite(noise(4, channels, 6, 6)).png)).mode == mode


def test_equal_images_make_equal_bytes_and_so_one_address() -> None:
    assert make_sprite(noise(9, 3, 4, 4)).png == make_sprite(noise(9, 3, 4, 4)).png


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.zeros((2, 3, 4, 4)), r"type float64 and shape \(2, 3, 4, 4\).*must be uint8"),
        (np.zeros((2, 2, 4, 4), np.uint8), r"shape \(2, 2, 4, 4\).*1 or 3"),
        (np.zeros((3, 4, 4), np.uint8), r"shape \(3, 4, 4\).*\(n, 1 or 3, height, width\)"),
        (np.zeros((0, 3, 4, 4), np.uint8), "^0 images.*choose from 1 to 500"),
        (np.zeros((501, 1, 1, 1), np.uint8), "^501 images.*choose from 1 to 500"),
        (np.zeros((2, 1, 0, 4), np.uint8), "^2 images of 0 x 4 pixels.*not empty"),
    ],
)
def test_what_cannot_be_shown_is_refused(pixels: np.ndarray, said: str) -> None:
    with pytest.raises(InputError, match=said):
        make_sprite(pixels)


@pytest.mark.parametrize("name", ["ids", "captions", "colours", "titles"])
def test_every_image_needs_its_texts(name: str) -> None:
    given: dict[str, Any] = {
        "ids": [4, 5],
        "captions": ["a", "b"],
        "colours": ["red", "blue"],
        "titles": ["", ""],
    }
    sprite = make_sprite(noise(2, 1, 3, 3))
    GalleryTiles(sprite, **given)
    given[name] = given[name][:1]
    with pytest.raises(InputError, match=f"^1 {name} for 2 images"):
        GalleryTiles(sprite, **given)
