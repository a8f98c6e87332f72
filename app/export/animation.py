"""A run's images and its margin as an animated GIF or WebP.

A frame shows a sheet of generated images, what was reached by then, and every sample's H' on the
margin's axis.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from adadfq_core import runs
from adadfq_core.errors import InputError
from adadfq_core.runs import RecordKind
from adadfq_core.runs.history import Snapshot, at
from app.charts.style import OVER_COLOUR, Q_COLOUR, UNDER_COLOUR

MOST_FRAMES = 200
FRAME_MS = 100
# The end result stays for a while before the loop begins again.
LAST_FRAME_MS = 2000

COLUMNS = 8
TILE = 84
GAP = 4
BORDER = 12
# The caption must fit beside a sheet of few images.
MIN_WIDTH = 560
CAPTION_HEIGHT = 24
STRIP_HEIGHT = 92
DOT = 4
FONT_SIZE = 14

PAPER = (255, 255, 255)
INK = (31, 41, 55)
# As MARGIN_FILL, 14 % of Q's colour, looks on paper.
BAND = (221, 241, 239)
IMAGE_COLOURS = 116
PALETTE_SCENES = 24

Progress = Callable[[float], None]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Scene:
    """What one frame shows: `pixels` `(n, C, H, W)` uint8, each image's H' `(n,)` and the band.

    `accuracy` is the last top-1 of Q in percent, `None` before the first measurement.
    """

    iteration: int
    pixels: np.ndarray
    h_prime: np.ndarray
    lambda_l: float
    lambda_u: float
    accuracy: float | None


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most `most` (2 or more) of `items`, evenly spread; the first and the last are among them.

    Raises:
        InputError: `most` is below 2.
    """
    if most < 2:
        raise InputError(f"most = {most} frames is not allowed; an animation has at least 2.")
    if len(items) <= most:
        return list(items)
    places = np.linspace(0, len(items) - 1, most).round().astype(int)
    return [items[place] for place in places]


def _shrunk(pixels: np.ndarray) -> np.ndarray:
    """`pixels` divided by a whole number where images are larger than a tile, as block means."""
    factor = -(-max(pixels.shape[-2:]) // TILE)
    if factor == 1:
        return pixels
    n, channels, height, width = pixels.shape
    height, width = height // factor, width // factor
    cut = pixels[:, :, : height * factor, : width * factor]
    blocks = cut.reshape(n, channels, height, factor, width, factor)
    shrunk: np.ndarray = blocks.mean((3, 5)).round().astype(np.uint8)
    return shrunk


def scene_of(snapshot: Snapshot) -> Scene | None:
    """What a frame shows of `snapshot`; `None` before the first sheet of images.

    Raises:
        RunFailed: the sheet's file is missing or damaged.
    """
    if snapshot.images is None:
        return None
    measured = snapshot.evaluation
    return Scene(
        snapshot.iteration,
        _shrunk(snapshot.images["pixels"]),
        snapshot.images["h_prime"],
        snapshot.settings.lambda_l,
        snapshot.settings.lambda_u,
        None if measured is None else measured.data["top1"],
    )


def scenes_of(root: Path, run_id: str, most: int = MOST_FRAMES) -> Iterator[tuple[Scene, float]]:
    """Scenes at the run's stored sheets, `most` of them evenly spread, and the share read so far.

    Raises:
        InputError: there is no such run, or `most` is below 2.
        RunFailed: a sheet's file is missing or damaged.
    """
    sheets = spread(runs.read(root, run_id, kinds=[RecordKind.IMAGES]).records, most)
    for count, sheet in enumerate(sheets, 1):
        scene = scene_of(at(root, run_id, sheet.iteration))
        if scene is not None:
            yield scene, count / len(sheets)


def _contact_sheet(pixels: np.ndarray) -> np.ndarray:
    """The images side by side on paper, `(H, W, 3)`, every pixel a square of whole pixels."""
    n, _, height, width = pixels.shape
    scale = max(1, TILE // max(height, width))
    colours = np.broadcast_to(pixels, (n, 3, height, width)).transpose(0, 2, 3, 1)
    tiles = colours.repeat(scale, 1).repeat(scale, 2)
    height, width = tiles.shape[1:3]
    columns = min(COLUMNS, n)
    rows = -(-n // columns)
    sheet = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), PAPER, "uint8")
    for place, tile in enumerate(tiles):
        top, left = place // columns * (height + GAP), place % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def caption(scene: Scene) -> str:
    """The line above the images."""
    reached = "not measured yet" if scene.accuracy is None else f"{scene.accuracy:.2f} %"
    return (
        f"iteration {scene.iteration}    top-1 of Q: {reached}    "
        f"H' mean: {scene.h_prime.mean():.3f}"
    )


def _draw_margin(draw: ImageDraw.ImageDraw, scene: Scene, top: int, width: int) -> None:
    """The H' axis below the images: band, a dot for each image, and which end is which."""
    font = ImageFont.load_default(FONT_SIZE)
    left, right = BORDER, width - BORDER

    def x(value: float) -> int:
        return round(left + float(np.clip(value, 0, 1)) * (right - left))

    axis = top + STRIP_HEIGHT - FONT_SIZE - 14
    draw.rectangle((x(scene.lambda_l), top, x(scene.lambda_u), axis), fill=BAND)
    draw.line((left, axis, right, axis), fill=INK)
    # Every image keeps its height, so that the eye can follow it along the axis.
    heights = np.linspace(top + DOT + 2, axis - DOT - 2, len(scene.h_prime)).round().astype(int)
    for value, y in zip(scene.h_prime.tolist(), heights.tolist(), strict=True):
        if not np.isfinite(value):  # the last sheet of a run that diverged
            continue
        colour = Q_COLOUR
        if value < scene.lambda_l:
            colour = UNDER_COLOUR
        elif value > scene.lambda_u:
            colour = OVER_COLOUR
        draw.ellipse((x(value) - DOT, y - DOT, x(value) + DOT, y + DOT), fill=colour)
    below = axis + 4
    draw.text((left, below), "H' = 0: P and Q disagree, under-fitting", INK, font)
    draw.text((right, below), "H' = 1: they agree, over-fitting", INK, font, anchor="ra")


def frames_of(scenes: Iterable[Scene]) -> Iterator[np.ndarray]:
    """A picture of each scene, `(H, W, 3)` uint8, all of one size if their sheets are."""
    font = ImageFont.load_default(FONT_SIZE)
    for scene in scenes:
        sheet = _contact_sheet(scene.pixels)
        width = max(MIN_WIDTH, sheet.shape[1] + 2 * BORDER)
        strip = BORDER + CAPTION_HEIGHT + sheet.shape[0] + BORDER
        picture = Image.new("RGB", (width, strip + STRIP_HEIGHT), PAPER)
        picture.paste(Image.fromarray(sheet), (BORDER, BORDER + CAPTION_HEIGHT))
        draw = ImageDraw.Draw(picture)
        draw.text((BORDER, BORDER - 2), caption(scene), INK, font)
        _draw_margin(draw, scene, strip, width)
        yield np.asarray(picture)


def palette_of(scenes: Sequence[Scene]) -> Image.Image:
    """One palette for all frames of `scenes`, so that no colour changes from frame to frame."""
    some = [scene.pixels for scene in spread(scenes, PALETTE_SCENES)]
    colours = [np.broadcast_to(p, (len(p), 3, *p.shape[2:])).transpose(0, 2, 3, 1) for p in some]
    samples = np.concatenate([part.reshape(-1, 3) for part in colours])[None]
    chosen = Image.fromarray(np.ascontiguousarray(samples)).quantize(IMAGE_COLOURS)
    marks = [ImageColor.getrgb(colour) for colour in (UNDER_COLOUR, Q_COLOUR, OVER_COLOUR)]
    # Letters have smooth edges: ink in steps down to paper.
    ink = np.linspace(INK, PAPER, 8).round().astype(int).tolist()
    own = [channel for colour in (BAND, *marks, *ink) for channel in colour]
    palette = Image.new("P", (1, 1))
    palette.putpalette([*(chosen.getpalette() or []), *own])
    return palette


def _indexed(frames: Iterable[np.ndarray], palette: Image.Image) -> list[Image.Image]:
    images = [
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in frames
    ]
    if not images:
        raise InputError(
            "There is nothing to export: the run has stored no images yet; let it go on first."
        )
    return images


def _durations(count: int) -> list[int]:
    return [FRAME_MS] * (count - 1) + [LAST_FRAME_MS]


def gif(frames: Iterable[np.ndarray], palette: Image.Image) -> bytes:
    """An endless animated GIF of `frames` `(H, W, 3)` uint8 in the colours of `palette`.

    Raises:
        InputError: there are no frames.
    """
    return _animated("GIF", frames, palette)


def webp(frames: Iterable[np.ndarray], palette: Image.Image) -> bytes:
    """An endless animated WebP without loss; as `gif`, and several times smaller.

    Raises:
        InputError: there are no frames.
    """
    return _animated("WEBP", frames, palette, lossless=True, quality=20, method=0)


def _animated(
    kind: str, frames: Iterable[np.ndarray], palette: Image.Image, **options: int
) -> bytes:
    first, *rest = _indexed(frames, palette)
    buffer = io.BytesIO()
    first.save(
        buffer,
        kind,
        save_all=True,
        append_images=rest,
        duration=_durations(1 + len(rest)),
        loop=0,
        **options,
    )
    return buffer.getvalue()


def animation(
    root: Path,
    run_id: str,
    kind: Literal["gif", "webp"] = "gif",
    most: int = MOST_FRAMES,
    progress: Progress = lambda share: None,
) -> bytes:
    """The whole run as a file of `kind`, in `most` frames; `progress` hears the share done.

    Raises:
        InputError: there is no such run, it has no images yet, or `most` is below 2.
        RunFailed: a sheet's file is missing or damaged.
    """
    scenes = []
    for scene, share in scenes_of(root, run_id, most):
        scenes.append(scene)
        progress(share / 2)
    if not scenes:
        return gif([], Image.new("P", (1, 1)))

    def told() -> Iterator[Scene]:
        for count, scene in enumerate(scenes, 1):
            yield scene
            progress(0.5 + count / len(scenes) / 2)

    write = gif if kind == "gif" else webp
    return write(frames_of(told()), palette_of(scenes))
