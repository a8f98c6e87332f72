"""Samples as tiles, and what a click on the histogram stands for."""

from __future__ import annotations

import numpy as np
import pytest

from adadfq_core.inspection.sample_table import sample_table, sheet_columns
from adadfq_core.settings import RunSettings
from app.charts.margin import bar_ends, margin_figure
from app.charts.style import OVER_COLOUR, Q_COLOUR, UNDER_COLOUR
from app.components.gallery import make_sprite
from app.panels.images import _rows
from app.panels.tiles import tiles_of
from app.sample_ids import sample_of

CLASSES = ("bag", "boot", "coat")
SHEET = {
    "pixels": np.zeros((3, 1, 4, 4), np.uint8),
    "labels": np.array([0, 1, 2]),
    "h_prime": np.array([0.05, 0.8, 0.95], np.float32),
    "p_logits": np.eye(3, dtype=np.float32),
    "q_logits": np.eye(3, dtype=np.float32)[[0, 2, 2]],
}


def test_a_tile_says_what_was_asked_answered_and_where_h_prime_lies() -> None:
    settings = RunSettings(lambda_l=0.1, lambda_u=0.8)
    tiles = tiles_of(_rows(40, SHEET, settings), CLASSES, make_sprite(SHEET["pixels"]))
    assert tiles.captions == ["bag\n0.95", "boot\n0.20", "coat\n0.05"]
    assert tiles.colours == [UNDER_COLOUR, Q_COLOUR, OVER_COLOUR]
    assert "asked: boot; P says boot, Q says coat" in tiles.titles[1]
    assert "iteration 40, image 2" in tiles.titles[1]
    assert [sample_of(number) for number in tiles.ids] == [(40, 0), (40, 1), (40, 2)]


def test_both_pages_make_the_same_tiles_of_a_sheet() -> None:
    settings = RunSettings()
    sprite = make_sprite(SHEET["pixels"])
    stored = sample_table([sheet_columns(40, SHEET, settings)], CLASSES)
    assert tiles_of(stored, CLASSES, sprite) == tiles_of(
        _rows(40, SHEET, settings), CLASSES, sprite
    )


@pytest.mark.parametrize("place", [0, 7, 19])
def test_a_bar_of_the_histogram_has_the_ends_of_its_bin(place: int) -> None:
    h_prime = np.full(5, (place + 0.5) / 20)
    figure = margin_figure(h_prime, 0.1, 0.8)
    (x,) = {bar.x[i] for bar in figure.data for i in np.flatnonzero(bar.y)}
    low, high = bar_ends(x)
    assert (low, high) == pytest.approx((place / 20, (place + 1) / 20))
