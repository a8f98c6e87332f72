"""Contact sheets are decoded and their pixels looked at."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from adadfq_core.errors import InputError
from adadfq_core.inspection.contact_sheet import (
    CAPTION_HEIGHT,
    GAP,
    PAPER,
    contact_sheet,
    stretched,
)


def images(n: int, shape: tuple[int, int, int]) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, *shape), np.uint8)


def decoded(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "PNG"
        return np.asarray(image)


def tile(sheet: np.ndarray, place: int, columns: int, side: int, caption: int = 0) -> np.ndarray:
    row, column = divmod(place, columns)
    top, left = row * (side + GAP + caption), column * (side + GAP)
    return sheet[top : top + side, left : left + side]


@pytest.mark.parametrize(
    ("shape", "scale"),
    [((1, 28, 28), 3), ((3, 32, 32), 2), ((3, 64, 64), 1), ((3, 100, 100), 1), ((1, 1, 1), 64)],
)
def test_images_are_drawn_as_they_are(shape: tuple[int, int, int], scale: int) -> None:
    pixels = images(7, shape)
    sheet = decoded(contact_sheet(pixels, columns=3))
    side = shape[1] * scale
    assert sheet.shape[:2] == (3 * side + 2 * GAP, 3 * side + 2 * GAP)
    assert sheet.ndim == (2 if shape[0] == 1 else 3)
    for place, image in enumerate(pixels):
        expected = np.kron(image, np.ones((1, scale, scale), np.uint8)).transpose(1, 2, 0)
        found = tile(sheet, place, 3, side)
        np.testing.assert_array_equal(found.reshape(expected.shape), expected)
    for empty in (7, 8):
        assert (tile(sheet, empty, 3, side) == PAPER).all()
    assert (sheet[side : side + GAP] == PAPER).all()


def test_red_stays_red_and_height_is_not_width() -> None:
    pixels = np.zeros((1, 3, 2, 4), np.uint8)
    pixels[0, 0, :, 3] = 255
    sheet = decoded(contact_sheet(pixels))
    assert sheet.shape == (32, 64, 3)
    assert sheet[0, -1].tolist() == [255, 0, 0] and sheet[0, 0].tolist() == [0, 0, 0]


def test_fewer_images_than_columns_leave_no_empty_ones() -> None:
    assert decoded(contact_sheet(images(2, (1, 64, 64)), columns=10)).shape == (64, 128 + GAP)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_caption_stands_below_its_image_alone(channels: int) -> None:
    pixels = images(4, (channels, 64, 64))
    sheet = decoded(contact_sheet(pixels, ["", "a very long\nname of a class indeed", "", "1"], 2))
    for place, image in enumerate(pixels):
        found = tile(sheet, place, 2, 64, CAPTION_HEIGHT)
        np.testing.assert_array_equal(found.reshape(64, 64, -1), image.transpose(1, 2, 0))
    strip = sheet[64 : 64 + CAPTION_HEIGHT]
    assert (strip[:, :64] == PAPER).all()
    text = (strip < PAPER).reshape(CAPTION_HEIGHT, sheet.shape[1], -1).any(2)
    assert text[:, 64 + GAP :].any() and sheet.shape[1] == 128 + GAP
    last = sheet[-CAPTION_HEIGHT:]
    assert (last[:, 64:] < PAPER).any() and (last[:, :64] == PAPER).all()


def test_a_long_caption_does_not_reach_the_next_image() -> None:
    sheet = decoded(contact_sheet(images(2, (1, 64, 64)), ["W" * 200, ""], 2))
    strip = sheet[64:]
    assert (strip[:, :64] < PAPER).any() and (strip[:, 64:] == PAPER).all()


def test_stretching_takes_each_image_by_itself() -> None:
    pixels = np.zeros((3, 1, 1, 3), np.uint8)
    pixels[0, 0, 0], pixels[1, 0, 0], pixels[2, 0, 0] = [100, 110, 120], [0, 51, 255], [7, 7, 7]
    assert stretched(pixels)[:, 0, 0].tolist() == [[0, 128, 255], [0, 51, 255], [7, 7, 7]]
    plain, loud = (decoded(contact_sheet(pixels, stretch=on)) for on in (False, True))
    assert plain[0, 0] == 100 and loud[0, 0] == 0


def test_stretching_keeps_the_order_of_channels() -> None:
    pixels = np.array([10, 20, 30], np.uint8).reshape(1, 3, 1, 1)
    assert stretched(pixels).ravel().tolist() == [0, 128, 255]


@pytest.mark.parametrize(
    ("pixels", "given", "message"),
    [
        (np.zeros((0, 1, 1, 1), np.uint8), {}, "no image to draw; choose at least one sample"),
        (np.zeros((2, 2, 4, 4), np.uint8), {}, r"shape \(2, 2, 4, 4\) cannot be drawn"),
        (np.zeros((2, 1, 4, 4), np.float32), {}, "type float32"),
        (np.zeros((1, 4, 4), np.uint8), {}, r"shape \(1, 4, 4\) cannot be drawn"),
        (images(2, (1, 4, 4)), {"captions": ["a"]}, "1 captions for 2 images are not allowed"),
        (images(2, (1, 4, 4)), {"columns": 0}, "0 columns are not allowed; choose at least 1"),
        (
            np.broadcast_to(np.uint8(0), (64, 3, 4096, 4096)),
            {},
            "64 images of 4096 x 4096 pixels are too many for one picture; choose fewer",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    pixels: np.ndarray, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        contact_sheet(pixels, **given)
