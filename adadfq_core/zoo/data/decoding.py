"""Decoding any picture to 8 bits a channel by one rule."""

from __future__ import annotations

import contextlib
import io
import stat
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from adadfq_core.server_options import check_readable
from adadfq_core.zoo.data.pixels import Picture

# Only these: PIL would start other programs for some kinds, as Ghostscript for PostScript.
FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP", "GIF", "AVIF")
# torchvision's list and more. HEIC cannot be decoded, and is reported rather than passed over.
SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".pbm", ".bmp", ".tif", ".tiff", ".webp"),
    *(".gif", ".avif", ".heic"),
)
MOST_PICTURE_BYTES = 256 * 2**20
"""Of a picture's file: twice what the most pixels that PIL takes need."""

_MODE = {1: "L", 3: "RGB"}


class UnreadablePicture(ValueError):
    """A picture that cannot be decoded; the message is the reason, without its path."""


def decode(picture: Picture, channels: int) -> Image.Image:
    """The picture with 8 bits a channel, as mode L for 1 channel and RGB for 3.

    The rule: the EXIF orientation is applied; alpha and transparent palette entries are composited
    over white; grey of 16 bits (0 to 65535) or of floats (0 to 1) is scaled to 0 to 255, never
    clipped; CMYK and other colours become RGB as PIL converts them; of an animation the first
    picture counts. Grey becomes RGB by repetition, RGB becomes grey as its luminance (ITU-R 601).

    Raises:
        UnreadablePicture: missing, empty, cut off, of an unknown format, too large to be safe, or
            with values beyond those ranges.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            return _to_eight_bits(_opened(picture)).convert(_MODE[channels])
        except UnreadablePicture:
            raise
        except UnidentifiedImageError:
            raise UnreadablePicture(
                f"not a picture in a known format ({', '.join(FORMATS)})"
            ) from None
        except Exception as error:  # on damaged data PIL's decoders raise nearly every type
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise UnreadablePicture(" ".join(reason.split())) from error


def _opened(picture: Picture) -> Image.Image:
    """The picture, loaded and turned upright."""
    if picture is None:
        raise UnreadablePicture("holds no picture")
    if isinstance(picture, Image.Image):
        return picture
    coded = _coded(picture) if isinstance(picture, Path) else picture
    if not coded:
        raise UnreadablePicture("empty (0 bytes)")
    image: Image.Image = Image.open(io.BytesIO(coded), formats=FORMATS)
    image.load()
    with contextlib.suppress(Exception):  # damaged EXIF does not make its picture unreadable
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _coded(path: Path) -> bytes:
    """Content of a picture's file, which a data set may name anywhere, or link to from there."""
    check_readable(path)
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        # A pipe would be waited for, a device such as /dev/zero never ends.
        raise UnreadablePicture("a folder, a device or a pipe")
    if found.st_size > MOST_PICTURE_BYTES:
        raise UnreadablePicture(f"larger than {MOST_PICTURE_BYTES // 2**20} MiB")
    return path.read_bytes()


def _to_eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _scaled_grey(image)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image


def _scaled_grey(image: Image.Image) -> Image.Image:
    top = 1 if image.mode == "F" else 65535
    values = np.asarray(image).astype(np.float32)
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= top):  # also true for NaN
        raise UnreadablePicture(f"its values lie in {low:g}..{high:g} instead of 0..{top}")
    return Image.fromarray(np.rint(values * 255 / top).astype(np.uint8))
