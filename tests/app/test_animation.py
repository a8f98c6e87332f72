"""A run as an animation: the files are decoded and their pixels looked at."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor

from adadfq_core.errors import InputError
from adadfq_core.runs import RecordKind
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter
from adadfq_core.settings import RunSettings
from app.charts.style import OVER_COLOUR, Q_COLOUR, UNDER_COLOUR
from app.export.animation import (
    BORDER,
    CAPTION_HEIGHT,
    FRAME_MS,
    GAP,
    LAST_FRAME_MS,
    STRIP_HEIGHT,
    Scene,
    animation,
    caption,
    frames_of,
    gif,
    palette_of,
    spread,
    webp,
)

KINDS = pytest.mark.parametrize("write", [gif, webp])
TOP = BORDER + CAPTION_HEIGHT
# A palette of some hundred colours stands for all of a run's.
TOLERANCE = 8


def scene(iteration: int = 10, shape: tuple[int, ...] = (16, 1, 28, 28), **values: Any) -> Scene:
    random = np.random.default_rng(iteration)
    given = {
        "pixels": random.integers(0, 256, shape, np.uint8),
        "h_prime": random.random(shape[0], np.float32),
        "lambda_l": 0.1,
        "lambda_u": 0.8,
        "accuracy": 90 + iteration / 1000,
    }
    return Scene(iteration, **{**given, **values})


def decoded(content: bytes) -> tuple[list[np.ndarray], list[float]]:
    """Frames `(H, W, 3)` and their durations in milliseconds."""
    frames, durations = [], []
    with Image.open(io.BytesIO(content)) as image:
        for place in range(image.n_frames):
            image.seek(place)
            # Before loading, a WebP's duration is still that of the frame before.
            frames.append(np.asarray(image.convert("RGB")))
            durations.append(image.info["duration"])
        assert image.info["loop"] == 0
    return frames, durations


def tiles(frame: np.ndarray, side: int, scale: int, count: int) -> np.ndarray:
    """The images of a frame `(count, side, side, 3)`; every pixel must be a square of its own."""
    found = []
    for place in range(count):
        top = TOP + place // 8 * (side * scale + GAP)
        left = BORDER + place % 8 * (side * scale + GAP)
        tile = frame[top : top + side * scale, left : left + side * scale]
        small = tile[::scale, ::scale]
        np.testing.assert_array_equal(tile, small.repeat(scale, 0).repeat(scale, 1))
        found.append(small)
    return np.stack(found).astype(int)


@KINDS
def test_frame_k_shows_moment_k(write: Callable[..., bytes]) -> None:
    scenes = [scene(10 * k) for k in range(12)]
    frames, durations = decoded(write(frames_of(scenes), palette_of(scenes)))
    assert len(frames) == 12
    assert durations == [FRAME_MS] * 11 + [LAST_FRAME_MS]
    width = 2 * BORDER + 8 * 84 + 7 * GAP
    height = TOP + 2 * 84 + GAP + BORDER + STRIP_HEIGHT
    for frame, shown in zip(frames, scenes, strict=True):
        assert frame.shape == (height, width, 3)
        images = shown.pixels.transpose(0, 2, 3, 1)
        assert np.abs(tiles(frame, 28, 3, 16) - images).max() <= TOLERANCE
    captions = [frame[:TOP].tobytes() for frame in frames]
    assert len(set(captions)) == 12


@KINDS
def test_colour_images(write: Callable[..., bytes]) -> None:
    colours = np.array([[200, 30, 30], [30, 160, 90], [20, 40, 220], [240, 230, 20]], np.uint8)
    pixels = colours[:, :, None, None].repeat(32, 2).repeat(32, 3)
    scenes = [scene(k, (4, 3, 32, 32), pixels=np.roll(pixels, k, 0)) for k in range(3)]
    frames, _ = decoded(write(frames_of(scenes), palette_of(scenes)))
    for frame, shown in zip(frames, scenes, strict=True):
        images = shown.pixels.transpose(0, 2, 3, 1)
        assert np.abs(tiles(frame, 32, 2, 4) - images).max() <= TOLERANCE


@KINDS
def test_what_does_not_change_keeps_its_colour(write: Callable[..., bytes]) -> None:
    """One image stays while the others turn from dark to bright, and so would a palette of each."""
    still = np.random.default_rng(0).integers(0, 256, (1, 1, 28, 28), np.uint8)
    scenes = []
    for k in range(8):
        others = np.random.default_rng(k).integers(25 * k, 25 * k + 80, (7, 1, 28, 28), np.uint8)
        scenes.append(scene(k, pixels=np.concatenate([still, others]), h_prime=np.full(8, 0.5)))
    frames, _ = decoded(write(frames_of(scenes), palette_of(scenes)))
    first, strip = tiles(frames[0], 28, 3, 1), frames[0][-STRIP_HEIGHT:]
    for frame in frames[1:]:
        np.testing.assert_array_equal(tiles(frame, 28, 3, 1), first)
        np.testing.assert_array_equal(frame[-STRIP_HEIGHT:], strip)


def dots(frame: np.ndarray, colour: str) -> list[float]:
    """Where on the axis, from 0 to 1, dots of `colour` lie in a frame that has one of each."""
    strip = frame[-STRIP_HEIGHT:]
    columns = np.nonzero((strip == ImageColor.getrgb(colour)).all(2).any(0))[0]
    if not len(columns):
        return []
    return [(columns.mean() - BORDER) / (frame.shape[1] - 2 * BORDER)]


@pytest.mark.parametrize(
    ("value", "colour"),
    [(0.05, UNDER_COLOUR), (0.1, Q_COLOUR), (0.5, Q_COLOUR), (0.95, OVER_COLOUR)],
)
def test_a_dot_lies_at_its_h_prime_in_the_colour_of_its_side(value: float, colour: str) -> None:
    (frame,) = frames_of([scene(shape=(1, 1, 28, 28), h_prime=np.array([value]))])
    assert dots(frame, colour) == [pytest.approx(value, abs=0.01)]
    others = {UNDER_COLOUR, Q_COLOUR, OVER_COLOUR} - {colour}
    assert all(dots(frame, other) == [] for other in others)


def test_the_band_is_that_of_the_moment() -> None:
    none = np.array([np.nan])
    narrow, wide = (
        next(frames_of([scene(shape=(1, 1, 28, 28), h_prime=none, lambda_l=low, lambda_u=0.8)]))
        for low in (0.6, 0.2)
    )
    widths = []
    for frame in (narrow, wide):
        row = frame[-STRIP_HEIGHT + 5]
        widths.append((row != 255).any(1).sum() / (frame.shape[1] - 2 * BORDER))
    assert widths == [pytest.approx(0.2, abs=0.01), pytest.approx(0.6, abs=0.01)]


@pytest.mark.parametrize(
    ("accuracy", "words"), [(91.234, "top-1 of Q: 91.23 %"), (None, "top-1 of Q: not measured yet")]
)
def test_the_caption(accuracy: float | None, words: str) -> None:
    shown = scene(1230, h_prime=np.array([0.25, 0.5]), accuracy=accuracy)
    assert caption(shown) == f"iteration 1230    {words}    H' mean: 0.375"


@pytest.mark.parametrize(
    ("shape", "side", "scale"), [((1, 1, 8, 8), 8, 10), ((5, 3, 84, 84), 84, 1)]
)
def test_images_are_enlarged_by_whole_numbers(
    shape: tuple[int, ...], side: int, scale: int
) -> None:
    shown = scene(shape=shape)
    (frame,) = frames_of([shown])
    expected = np.broadcast_to(shown.pixels, (shape[0], 3, *shape[2:])).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(tiles(frame, side, scale, shape[0]), expected)


@pytest.mark.parametrize("count", [0, 1, 2, 199, 200, 201, 5000])
def test_spread_keeps_both_ends_and_even_distances(count: int) -> None:
    chosen = spread(range(count), 200)
    assert len(chosen) == min(count, 200)
    if count:
        assert (chosen[0], chosen[-1]) == (0, count - 1)
    if count > 1:
        assert np.ptp(np.diff(chosen)) <= 1
    with pytest.raises(InputError, match="most = 1 frames is not allowed"):
        spread(range(count), 1)


@pytest.fixture
def run(tmp_path: Path) -> tuple[RunStore, str]:
    """Thirty iterations with a sheet every second one, all of whose pixels are the iteration."""
    store = RunStore(tmp_path)
    run_id = store.create_run(RunSettings())
    with RunWriter(tmp_path, run_id) as writer:
        for iteration in range(2, 31, 2):
            sheet = {
                "pixels": np.full((4, 1, 28, 28), 8 * iteration, np.uint8),
                "h_prime": np.full(4, iteration / 31, np.float32),
            }
            writer.append(RecordKind.IMAGES, iteration, {}, sheet)
            if iteration == 10:
                writer.append(RecordKind.PARAMETERS, 10, {"changes": {"lambda_u": 0.5}})
                writer.append(RecordKind.EVALUATION, 10, {"network": "q", "top1": 50.0})
    return store, run_id


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_a_run_becomes_a_file(run: tuple[RunStore, str], kind: Any) -> None:
    store, run_id = run
    told: list[float] = []
    frames, _ = decoded(animation(store.root, run_id, kind, 8, told.append))
    assert [int(tiles(frame, 28, 3, 4)[0, 0, 0, 0]) for frame in frames] == pytest.approx(
        [16, 48, 80, 112, 144, 176, 208, 240], abs=TOLERANCE
    )
    assert told == sorted(told) and told[-1] == 1.0 and 0 < told[0] < 0.1
    band = [(frame[-STRIP_HEIGHT + 1] != 255).any(1).sum() for frame in frames]
    assert band[2] > band[3] == band[-1], "the margin was changed after iteration 10"


def test_large_images_are_made_smaller(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    run_id = store.create_run(RunSettings())
    with RunWriter(tmp_path, run_id) as writer:
        pixels = np.zeros((2, 3, 224, 224), np.uint8)
        pixels[:, :, :, 112:] = 200
        sheet = {"pixels": pixels, "h_prime": np.zeros(2)}
        writer.append(RecordKind.IMAGES, 1, {}, sheet)
    frames, _ = decoded(animation(tmp_path, run_id))
    row = frames[0][TOP + 30, BORDER : BORDER + 74, 0].astype(int)
    assert np.abs(row[:36]).max() <= TOLERANCE
    assert np.abs(row[38:] - 200).max() <= TOLERANCE


def test_a_run_without_images_is_told(tmp_path: Path) -> None:
    run_id = RunStore(tmp_path).create_run(RunSettings())
    with pytest.raises(InputError, match="nothing to export: the run has stored no images yet"):
        animation(tmp_path, run_id)


def test_two_hundred_frames_are_small_enough_to_send() -> None:
    """Grey blobs that drift, with noise, as a young generator makes them."""
    random = np.random.default_rng(0)
    state = np.zeros((16, 1, 7, 7))
    scenes = []
    for k in range(200):
        state = 0.9 * state + random.standard_normal(state.shape)
        noisy = 128 + 40 * state.repeat(4, 2).repeat(4, 3)
        noisy += 12 * random.standard_normal(noisy.shape)
        scenes.append(scene(10 * k, pixels=noisy.clip(0, 255).astype(np.uint8)))
    palette = palette_of(scenes)
    sizes = {write.__name__: len(write(frames_of(scenes), palette)) for write in (gif, webp)}
    assert sizes["webp"] < 0.6 * sizes["gif"] and sizes["gif"] < 10e6
