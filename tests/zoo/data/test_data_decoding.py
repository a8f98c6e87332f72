from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from picture_samples import coded, noise
from PIL import Image, ImageFile

from adadfq_core.zoo.data.decoding import UnreadablePicture, decode

WHITE = (255, 255, 255)


def pixel(image: Image.Image, x: int = 0, y: int = 0) -> object:
    return image.getpixel((x, y))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP", "AVIF", "GIF", "JPEG"])
@pytest.mark.parametrize("channels", [1, 3])
def test_common_formats(kind: str, channels: int) -> None:
    colour = Image.new("RGB", (16, 12), (200, 40, 90))
    image = decode(coded(colour, kind), channels)
    assert image.mode == {1: "L", 3: "RGB"}[channels] and image.size == (16, 12)
    expected = pixel(colour.convert(image.mode), 5, 5)
    assert np.abs(np.subtract(pixel(image, 5, 5), expected)).max() <= 4, "lossy ones come near"


def test_a_path_and_an_open_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    noise().save(path)
    assert decode(path, 3) == decode(noise(), 3) == noise()


def test_alpha_is_composited_over_white() -> None:
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 255, 255))
    image.putpixel((2, 0), (0, 0, 0, 51))
    decoded = decode(coded(image), 3)
    assert pixel(decoded) == WHITE
    assert pixel(decoded, 1) == (0, 0, 255)
    assert pixel(decoded, 2) == (204, 204, 204)
    assert pixel(decode(coded(image), 1)) == 255


@pytest.mark.parametrize("transparency", [0, bytes([0, 255, 255])])
def test_a_transparent_palette_entry_is_white(transparency: int | bytes) -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    assert pixel(decode(coded(image), 3)) == (255, 0, 0)
    decoded = decode(coded(image, transparency=transparency), 3)
    assert pixel(decoded) == WHITE and pixel(decoded, 1) == (0, 255, 0)


def test_grey_with_alpha_and_with_a_transparent_level() -> None:
    image = Image.new("LA", (4, 4), (0, 0))
    assert pixel(decode(coded(image), 3)) == WHITE
    grey = Image.new("L", (4, 4), 7)
    assert pixel(decode(coded(grey, transparency=7), 1)) == 255


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_grey_is_scaled(kind: str) -> None:
    levels = np.array([[0, 257, 300, 32896, 65535]], dtype=np.uint16)
    decoded = decode(coded(Image.fromarray(levels), kind), 1)
    assert np.asarray(decoded).tolist() == [[0, 1, 1, 128, 255]]
    assert np.asarray(decode(coded(Image.fromarray(levels), kind), 3))[0, 3].tolist() == [128] * 3


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_wide_grey_is_scaled(dtype: type) -> None:
    top = 1 if dtype is np.float32 else 65535
    values = (np.array([[0, 0.5, 1]]) * top).astype(dtype)
    decoded = decode(coded(Image.fromarray(values), "TIFF"), 1)
    assert np.asarray(decoded).tolist()[0] == pytest.approx([0, 127.5, 255], abs=0.5)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.array([[0, 70000]], np.int32), r"lie in 0\.\.70000 instead of 0\.\.65535"),
        (np.array([[-1, 5]], np.int32), r"lie in -1\.\.5"),
        (np.array([[0, 200]], np.float32), r"lie in 0\.\.200 instead of 0\.\.1"),
        (np.array([[0, np.nan]], np.float32), "instead of"),
    ],
)
def test_values_out_of_range_are_not_clipped(values: np.ndarray, words: str) -> None:
    with pytest.raises(UnreadablePicture, match=words):
        decode(coded(Image.fromarray(values), "TIFF"), 1)


def test_cmyk() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    red, green, blue = np.asarray(decode(coded(image, "JPEG", quality=95), 3))[5, 5].tolist()
    assert red > 245 and green < 10 and blue < 10


def test_one_bit() -> None:
    image = Image.new("1", (4, 4), 1)
    image.putpixel((1, 0), 0)
    assert [pixel(decode(coded(image), 1), x) for x in (0, 1)] == [255, 0]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_applied(kind: str) -> None:
    upright = Image.new("RGB", (32, 16), "white")
    upright.paste((0, 0, 0), (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees when shown
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    decoded = decode(coded(stored, kind, exif=exif), 1)
    assert decoded.size == (32, 16)
    assert pixel(decoded, 3, 8) < 20 and pixel(decoded, 28, 8) > 235


def test_damaged_exif_does_not_cost_the_picture() -> None:
    data = coded(noise(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff garbage")
    assert decode(data, 3).size == (8, 8)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"])
def test_a_picture_cut_at_half_is_unreadable(kind: str) -> None:
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    whole = coded(noise(64, 64), kind)
    with pytest.raises(UnreadablePicture) as caught:
        decode(whole[: len(whole) // 2], 3)
    assert str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "AVIF"])
def test_flipped_bytes_are_refused_or_harmless(kind: str) -> None:
    whole = coded(noise(), kind)
    for position in range(0, len(whole), max(1, len(whole) // 100)):
        data = bytearray(whole)
        data[position] ^= 0xFF
        try:
            assert decode(bytes(data), 3).mode == "RGB"
        except UnreadablePicture as error:
            assert str(error), position


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (None, "holds no picture"),
        (b"", r"empty \(0 bytes\)"),
        (b"some text", r"not a picture in a known format \(JPEG, PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "not a picture in a known format"),
        (Path("nowhere/a.png"), "No such file"),
    ],
)
def test_what_is_no_picture(picture: bytes | Path | None, words: str) -> None:
    with pytest.raises(UnreadablePicture, match=words):
        decode(picture, 3)


@pytest.mark.parametrize("most", [20, 50])
def test_a_decompression_bomb_is_unreadable(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = coded(noise())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
    with pytest.raises(UnreadablePicture, match="decompression bomb"):
        decode(data, 3)


def test_of_an_animation_the_first_picture_counts() -> None:
    buffer = io.BytesIO()
    first, second = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    first.save(buffer, "GIF", save_all=True, append_images=[second])
    assert pixel(decode(buffer.getvalue(), 3)) == (255, 0, 0)
