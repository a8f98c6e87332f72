from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest
from sweep_tables import cell, margins, table

from adadfq_core.errors import InputError
from app.charts.ablation.heat_map import DARK, LIGHT, heat_map_figure, heat_map_frame
from app.components.live_chart.snapshot import pack_trace, take_snapshot


def named(figure: go.Figure, name: str) -> go.Scatter:
    (trace,) = (trace for trace in figure.data if (trace.name or "").startswith(name))
    return trace


def squares(figure: go.Figure) -> go.Heatmap:
    (trace,) = (trace for trace in figure.data if trace.type == "heatmap")
    return trace


def written(figure: go.Figure) -> dict[tuple[int, int], str]:
    (trace,) = (trace for trace in figure.data if trace.type == "scatter" and trace.mode == "text")
    return dict(zip(zip(trace.x, trace.y, strict=True), trace.text, strict=True))


def test_each_state_of_a_place_looks_different() -> None:
    figure = heat_map_figure(margins(), "lambda_l", "lambda_u")
    z = np.array(squares(figure).z, dtype=float)
    assert np.array_equal(z, [[60.5, np.nan, np.nan], [50, 72, np.nan]], equal_nan=True)
    failed = named(figure, "failed")
    assert (failed.x, failed.y) == ((1,), (0,)) and failed.marker.symbol == "x"
    missing = named(figure, "not measured yet")
    assert (missing.x, missing.y) == ((2,), (1,))
    refused = named(figure, "not allowed: λ<sub>l</sub> must be below λ<sub>u</sub>")
    assert refused.fillpattern.shape == "/"
    assert (np.nanmin(refused.x), np.nanmax(refused.x)) == (1.5, 2.5)
    assert (np.nanmin(refused.y), np.nanmax(refused.y)) == (-0.5, 0.5)
    named(figure, "† stopped early")


def test_means_are_written_with_their_spread_and_the_best_is_marked() -> None:
    texts = written(heat_map_figure(margins(), "lambda_l", "lambda_u"))
    assert set(texts) == {(0, 0), (0, 1), (1, 1)}
    assert texts[1, 1].startswith("<b>★ 72.0</b>") and "± 2.8" in texts[1, 1]
    assert texts[0, 0].startswith("60.5") and "± 0.7" in texts[0, 0]
    assert texts[0, 1].startswith("50.0†") and "±" not in texts[0, 1] and "n = 1" in texts[0, 1]


def test_the_hover_text_and_the_click_lead_to_the_runs() -> None:
    trace = squares(heat_map_figure(margins(), "lambda_l", "lambda_u"))
    assert trace.customdata[1][1] == ["run2", "run3"]
    assert trace.customdata[0][1] == ["run5"] and trace.customdata[0][2] == []
    assert "72.0 ± 2.8 (n = 2)" in trace.text[1][1] and "seed 1: 74.00" in trace.text[1][1]
    assert "failed: loss_q became nan" in trace.text[0][1]
    assert "waiting" in trace.text[1][2]
    assert "must be below" in trace.text[0][2] and "seed" not in trace.text[0][2]
    assert trace.text[1][1].startswith("<b>λ<sub>l</sub> = 0.1 · λ<sub>u</sub> = 0.8</b>")


@pytest.mark.parametrize(("lambda_u", "outlined"), [(0.8, True), (0.7, False)])
def test_the_papers_setting_is_outlined_where_it_is_on_the_grid(
    lambda_u: float, outlined: bool
) -> None:
    frame = margins().replace({"lambda_u": 0.8}, lambda_u)
    figure = heat_map_figure(frame, "lambda_l", "lambda_u")
    outlines = [trace for trace in figure.data if trace.type == "scatter" and trace.mode == "lines"]
    assert bool(outlines) == outlined
    if outlined:
        outline, entry = outlines
        assert (np.nanmean(outline.x[:4]), np.nanmean(outline.y[:4])) == pytest.approx((1, 1))
        assert entry.name == "the paper's setting" and entry.x == (None,)


def test_numbers_are_dark_on_light_colours_and_light_on_dark_ones() -> None:
    frame = table(*(cell(60.0 + i, lambda_l=i / 10, lambda_u=0.9) for i in range(3)))
    figure = heat_map_figure(frame, "lambda_l", "lambda_u")
    (texts,) = (trace for trace in figure.data if trace.type == "scatter" and trace.mode == "text")
    assert texts.textfont.color[0] == LIGHT and texts.textfont.color[2] == DARK
    assert squares(figure).autocolorscale is False


def test_unevenly_spaced_values_and_texts_have_squares_of_one_size() -> None:
    frame = table(
        *(cell(60.0, what_if=w, lr_q=r) for w in ("GDFQ", "AdaDFQ") for r in (1e-5, 1e-4, 3e-4))
    )
    figure = heat_map_figure(frame, "lr_q", "what_if")
    assert list(squares(figure).x) == [0, 1, 2]
    assert figure.layout.xaxis.ticktext == ("1e-5", "0.0001", "0.0003")
    assert figure.layout.yaxis.ticktext == ("GDFQ", "AdaDFQ")
    assert figure.layout.yaxis.range == (1.5, -0.5)  # the first on top
    assert "η<sub>Q</sub>" in figure.layout.xaxis.title.text


def test_a_refusal_for_another_reason_is_told_in_its_words() -> None:
    frame = table(
        cell(60.0, epochs=5, warmup_epochs=1),
        cell(epochs=5, warmup_epochs=9, status="refused", reason="warmup_epochs = 9 is too long"),
    )
    figure = heat_map_figure(frame, "epochs", "warmup_epochs")
    assert named(figure, "not allowed").name == "not allowed"
    assert "warmup_epochs = 9" in squares(figure).text[1][0]


def test_small_squares_hold_the_mean_alone_and_tiny_ones_nothing() -> None:
    def text_of(count: int) -> list[str]:
        rows = [
            cell(60.0 + i + seed, lambda_l=i / 100, lambda_u=0.9, seed=seed)
            for i in range(count)
            for seed in (0, 1)
        ]
        return list(written(heat_map_figure(table(*rows), "lambda_l", "lambda_u")).values())

    assert all("±" in text for text in text_of(7))
    assert all("±" not in text for text in text_of(8)) and len(text_of(8)) == 8
    assert text_of(15) == []


def test_a_sweep_of_which_nothing_is_measured_yet_is_drawn() -> None:
    waiting = table(*(cell(lambda_l=i / 10, lambda_u=0.8, status="waiting") for i in range(2)))
    figure = heat_map_figure(waiting, "lambda_l", "lambda_u")
    assert named(figure, "not measured yet").x == (0, 1)
    assert squares(figure).showscale is False
    empty = heat_map_figure(waiting[:0], "lambda_l", "lambda_u")
    assert not empty.data and empty.layout.annotations[0].text


def test_no_axis_is_averaged_over_unasked() -> None:
    frame = table(
        *(cell(60.0, lambda_l=0.1, lambda_u=u, gamma=g) for u in (0.7, 0.8) for g in (1.0, 5.0))
    )
    with pytest.raises(InputError, match="gamma takes 2 values here"):
        heat_map_figure(frame, "lambda_l", "lambda_u")
    shown = heat_map_frame(frame, "lambda_l", "lambda_u", fixed={"gamma": 5.0})
    assert shown["n"].tolist() == [1, 1]


def test_what_is_sent_to_the_browser_keeps_the_runs() -> None:
    snapshot = take_snapshot(heat_map_figure(margins(), "lambda_l", "lambda_u"), "sweep")
    sent = pack_trace(snapshot.traces[0])
    assert sent["customdata"][1][1] == ["run2", "run3"]
    assert sent["z"][0][1] is None
