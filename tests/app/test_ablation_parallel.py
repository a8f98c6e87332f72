from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sweep_tables import cell, table

from adadfq_core.errors import InputError
from app.charts.ablation.parallel import parallel_figure, parallel_rows
from app.components.live_chart.snapshot import take_snapshot


def sweep() -> pd.DataFrame:
    return table(
        cell(60.0, what_if="GDFQ", bits=3, lr_q=1e-5, gamma=5.0),
        cell(80.0, what_if="AdaDFQ", bits=4, lr_q=1e-3, gamma=5.0),
        cell(70.0, what_if="GDFQ", bits=4, lr_q=1e-4, gamma=5.0),
        cell(what_if="AdaDFQ", bits=3, lr_q=1e-4, gamma=5.0, status="failed"),
        cell(50.0, what_if="AdaDFQ", bits=3, lr_q=1e-4, gamma=5.0, status="halved"),
    )


def test_every_varied_setting_has_an_axis_and_the_result_the_last() -> None:
    figure = parallel_figure(parallel_rows(sweep()))
    (trace,) = figure.data
    what_if, bits, lr_q, result = trace.dimensions
    assert [d.label for d in trace.dimensions] == [
        "what-if",
        "bits",
        "η<sub>Q</sub> (log)",
        "top-1 of Q (%)",
    ]
    # Best last, and on top.
    assert list(result.values) == list(trace.line.color) == [60, 70, 80]
    assert what_if.ticktext == ("GDFQ", "AdaDFQ") and list(what_if["values"]) == [0, 0, 1]
    assert list(bits.tickvals) == [3, 4]
    assert list(lr_q["values"]) == pytest.approx([-5, -4, -3])
    assert lr_q.ticktext == ("1e-5", "0.0001", "0.001")
    assert list(trace.customdata) == [["run0"], ["run2"], ["run1"]]
    take_snapshot(figure, "sweep")


def test_many_values_of_a_log_axis_have_round_ticks() -> None:
    rates = np.geomspace(1.1e-5, 0.9e-3, 40)
    rows = parallel_rows(table(*(cell(60.0 + i, lr_q=float(r)) for i, r in enumerate(rates))))
    axis = parallel_figure(rows).data[0].dimensions[0]
    assert axis.ticktext == ("2e-5", "5e-5", "0.0001", "0.0002", "0.0005")
    assert list(axis.tickvals) == pytest.approx(np.log10([2e-5, 5e-5, 1e-4, 2e-4, 5e-4]))


@pytest.mark.parametrize(
    ("value", "share", "runs"),
    [
        ("top1_q_last", 1.0, ["run0", "run2", "run1"]),
        ("top1_q_last", 0.4, ["run2", "run1"]),
        ("top1_q_last", 0.01, ["run1"]),
        ("seconds", 0.5, ["run1", "run0"]),
    ],
)
def test_a_share_of_the_best_is_kept(value: str, share: float, runs: list[str]) -> None:
    frame = sweep().assign(seconds=[10.0, 20.0, 30.0, np.nan, 5.0])
    assert parallel_rows(frame, value, share)["run_id"].tolist() == runs


@pytest.mark.parametrize("share", [0, -0.1, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="above 0 and at most 1"):
        parallel_rows(sweep(), best=share)


def test_before_the_first_result_the_figure_says_so() -> None:
    figure = parallel_figure(parallel_rows(sweep()[3:4]))
    assert not figure.data and figure.layout.annotations[0].text
