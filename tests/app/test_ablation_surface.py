from __future__ import annotations

import numpy as np
import pytest
from sweep_tables import cell, margins, table

from adadfq_core.errors import InputError
from app.charts.ablation.surface import surface_figure
from app.components.live_chart.snapshot import take_snapshot


def test_the_surface_has_holes_where_nothing_has_come_to_its_end() -> None:
    figure = surface_figure(margins(), "lambda_l", "lambda_u")
    surface, lines, seeds, floor, failed, entry = figure.data
    assert (list(surface.x), list(surface.y)) == ([0, 0.1, 0.4], [0.4, 0.8])
    heights = [[60.5, np.nan, np.nan], [np.nan, 72, np.nan]]
    assert np.array_equal(surface.z, heights, equal_nan=True) and not surface.connectgaps
    assert surface.customdata[1][1] == ["run2", "run3"]
    assert "72.0 ± 2.8 (n = 2)" in surface.hovertext[1][1]
    assert np.isfinite(np.array(lines.z, dtype=float)).sum() == 4
    assert list(seeds.z) == [60, 61, 70, 74] and seeds.customdata[3] == ["run3"]
    assert "seed 1: 74.00" in seeds.text[3]
    assert "must be below" in floor.name
    assert [min(floor.x), max(floor.x)] == pytest.approx([0.25, 0.4])
    assert [min(floor.y), max(floor.y)] == pytest.approx([0.4, 0.6])
    assert (failed.x, failed.y) == ((0.1,), (0.4,)) and failed.customdata[0] == ["run5"]
    assert "loss_q became nan" in failed.hovertext[0] and entry.name == "failed"
    assert failed.z[0] == floor.z[0] < 60
    assert figure.layout.scene.zaxis.title.text == "top-1 of Q (%)"
    take_snapshot(figure, "sweep")


def test_settings_chosen_by_their_ratio_stand_on_a_log_axis() -> None:
    frame = table(*(cell(60.0 + i, lr_q=10.0**-i, gamma=g) for i in (3, 4, 5) for g in (1.0, 5.0)))
    scene = surface_figure(frame, "lr_q", "gamma").layout.scene
    assert (scene.xaxis.type, scene.yaxis.type) == ("log", "linear")


def test_an_axis_without_numbers_is_refused() -> None:
    frame = table(*(cell(60.0, bits=b, what_if=w) for b in (3, 4) for w in ("GDFQ", "AdaDFQ")))
    with pytest.raises(InputError, match="what_if has no numbers"):
        surface_figure(frame, "bits", "what_if")


def test_before_the_first_result_the_figure_says_so() -> None:
    frame = table(cell(lambda_l=0.1, lambda_u=0.8, status="running"))
    figure = surface_figure(frame, "lambda_l", "lambda_u")
    assert not figure.data and figure.layout.annotations[0].text
