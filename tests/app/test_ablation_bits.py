from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sweep_tables import cell, table

from adadfq_core.errors import InputError
from app.charts.ablation.bits import bits_figure, bits_frame
from app.components.live_chart.snapshot import take_snapshot


def sweep(**rest: float) -> pd.DataFrame:
    return table(
        *(
            cell(10.0 * bits + 2 * seed + 5 * (what_if == "AdaDFQ"), seed=seed, **places)
            for bits in (4, 3)
            for what_if in ("GDFQ", "AdaDFQ")
            for seed in (0, 1)
            for places in [{"bits": bits, "what_if": what_if, **rest}]
        )
    )


def test_one_line_for_each_what_if_with_the_spread_of_seeds() -> None:
    figure = bits_figure(sweep())
    lines = {trace.name: trace for trace in figure.data if trace.mode == "lines+markers"}
    assert list(lines) == ["GDFQ", "AdaDFQ"]
    assert list(lines["GDFQ"].y) == [31, 41] and list(lines["AdaDFQ"].y) == [36, 46]
    assert list(lines["GDFQ"].error_y.array) == pytest.approx([2**0.5, 2**0.5])
    assert lines["GDFQ"].customdata[0] == ["run4", "run5"]
    assert "3 bits: 31.00 ± 1.41 % (n = 2)" in lines["GDFQ"].text[0]
    # Side by side, around the bits.
    assert np.mean([lines[name].x[0] for name in lines]) == pytest.approx(3)
    assert lines["GDFQ"].line.color != lines["AdaDFQ"].line.color
    assert lines["GDFQ"].marker.symbol != lines["AdaDFQ"].marker.symbol
    assert list(figure.layout.xaxis.tickvals) == [3, 4]
    take_snapshot(figure, "sweep")


def test_p_is_dashed_and_the_calibrated_q_dotted() -> None:
    figure = bits_figure(sweep())
    (p,) = (trace for trace in figure.data if (trace.name or "").startswith("P "))
    assert p.y == (90, 90) and p.line.dash == "dash"
    calibrated = [trace for trace in figure.data if (trace.name or "").endswith(", calibrated")]
    assert [list(trace.y) for trace in calibrated] == [[40, 40], [40, 40]]
    assert {trace.line.dash for trace in calibrated} == {"dot"}


def test_without_presets_to_compare_there_is_one_line() -> None:
    frame = sweep()
    one = frame[frame["what_if"] == "GDFQ"].drop(columns="what_if")
    (line,) = (trace for trace in bits_figure(one).data if trace.mode == "lines+markers")
    assert line.name == "Q (quantized)" and list(line.x) == [3, 4]


def test_what_is_drawn_is_the_table_behind_it() -> None:
    rows = bits_frame(sweep())
    assert rows[["bits", "what_if", "mean", "n", "calibrated", "top1_p"]].to_numpy().tolist() == [
        [3, "GDFQ", 31, 2, 40, 90],
        [3, "AdaDFQ", 36, 2, 40, 90],
        [4, "GDFQ", 41, 2, 40, 90],
        [4, "AdaDFQ", 46, 2, 40, 90],
    ]


def test_bits_must_be_an_axis_and_nothing_else_is_averaged() -> None:
    with pytest.raises(InputError, match="No bits vary in this sweep"):
        bits_figure(sweep().drop(columns="bits"))
    both = pd.concat([sweep(gamma=1.0), sweep(gamma=5.0)])
    with pytest.raises(InputError, match="gamma takes 2 values here"):
        bits_figure(both)
    assert bits_frame(both, {"gamma": 5.0})["n"].tolist() == [2] * 4
    assert bits_frame(both, {"gamma": 5.0, "what_if": "GDFQ"})["mean"].tolist() == [31, 41]


def test_before_the_first_result_the_figure_says_so() -> None:
    frame = table(cell(bits=3, status="running"), cell(bits=4, status="waiting"))
    figure = bits_figure(frame)
    assert not figure.data and figure.layout.annotations[0].text
