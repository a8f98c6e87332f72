from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from adadfq_core.ablation.names import html_symbol, latex_symbol, plain_symbol, value_text, words
from adadfq_core.ablation.tables import (
    PlaceState,
    pivot,
    pivot_frame,
    results_csv,
    to_csv,
    to_latex,
    to_markdown,
)
from adadfq_core.errors import InputError


def sweep(*rows: dict[str, Any]) -> pd.DataFrame:
    """Cells, finished and with seed 0 unless `rows` say otherwise."""
    known = {
        "status": "finished",
        "reason": "",
        "run_id": "run",
        "seed": 0,
        "top1_q_last": math.nan,
    }
    frame = pd.DataFrame([{**known, **row} for row in rows])
    frame.insert(0, "cell", range(len(rows)))
    return frame


def margin(lambda_l: float, lambda_u: float, *top1: float, **rest: Any) -> list[dict[str, Any]]:
    """The cells of one place, one for each of `top1`."""
    place = {"lambda_l": lambda_l, "lambda_u": lambda_u, **rest}
    return [{**place, "seed": seed, "top1_q_last": value} for seed, value in enumerate(top1)]


GRID = sweep(
    *margin(0.1, 0.8, 70.0, 74.0, 72.0),
    *margin(0.0, 0.8, 60.0, 61.0),
    *margin(0.0, 0.4, 72.5),
    *margin(0.1, 0.4, math.nan, status="failed", reason="out of memory"),
    *margin(0.5, 0.8, math.nan, status="waiting"),
)


def test_means_spreads_and_counts_of_seeds() -> None:
    table = pivot(GRID, "lambda_l", "lambda_u")
    assert table.mean.index.tolist() == [0.0, 0.1, 0.5] and table.mean.index.name == "lambda_l"
    assert table.mean.columns.tolist() == [0.4, 0.8]
    assert table.mean.loc[0.1, 0.8] == 72 and table.sd.loc[0.1, 0.8] == 2
    assert table.sd.loc[0.0, 0.8] == pytest.approx(math.sqrt(0.5))
    assert table.count.to_numpy().tolist() == [[1, 2], [0, 3], [0, 0]]
    assert np.isnan(table.sd.loc[0.0, 0.4])
    assert table.best == ((0.0, 0.4),)
    assert table.cells_at(0.0, 0.8)["cell"].tolist() == [3, 4]
    assert len(table.cells_at(0.5, 0.4)) == 0


def test_means_agree_with_pandas() -> None:
    random = np.random.default_rng(0)
    frame = sweep(
        *(
            {"beta": b, "gamma": g, "seed": s, "top1_q_last": random.normal(80, 3)}
            for s in range(4)
            for b in (0.5, 0.1)
            for g in (5.0, 1.0, 2.0)
        )
    )
    table = pivot(frame, "beta", "gamma")
    for name, ours in (("mean", table.mean), ("std", table.sd)):
        theirs = frame.pivot_table("top1_q_last", "beta", "gamma", aggfunc=name)
        pd.testing.assert_frame_equal(ours, theirs)


def test_refused_failed_missing_and_halved_are_told_apart() -> None:
    halved = margin(0.0, 0.6, 55.0, 57.0, status="halved", reason="stopped early")
    table = pivot(pd.concat([GRID, sweep(*halved)]), "lambda_l", "lambda_u")
    states = {place: table.state.loc[place] for place in [(0.0, 0.6), (0.1, 0.4), (0.5, 0.8)]}
    assert list(states.values()) == [PlaceState.HALVED, PlaceState.FAILED, PlaceState.MISSING]
    # The sweep has no such cells: one can be, the other never.
    assert table.state.loc[0.1, 0.6] == PlaceState.MISSING
    assert table.state.loc[0.5, 0.4] == PlaceState.REFUSED
    assert table.mean.loc[0.0, 0.6] == 56


def test_a_seed_that_was_stopped_early_counts_only_where_no_other_has_ended() -> None:
    early = {"status": "halved", "seed": 9}
    both = [*margin(0.1, 0.8, 70.0), {**margin(0.1, 0.8, 99.0)[0], **early}]
    other = [{**margin(0.2, 0.8, 99.0)[0], **early}]
    table = pivot(sweep(*both, *other), "lambda_l", "lambda_u")
    assert table.mean[0.8].tolist() == [70, 99] and table.count[0.8].tolist() == [1, 1]
    assert table.best == ((0.1, 0.8),)


def test_a_refused_cell_is_refused_whatever_its_axes() -> None:
    row = {"epochs": 5, "warmup_epochs": 9, "status": "refused", "reason": "too long"}
    table = pivot(sweep(row), "epochs", "warmup_epochs")
    assert table.state.loc[5, 9] == PlaceState.REFUSED and not table.is_margin


def test_the_least_is_best_of_a_time_and_equal_ones_are_all_best() -> None:
    frame = sweep(*margin(0.1, 0.8, 70), *margin(0.2, 0.8, 60), *margin(0.3, 0.8, 70))
    assert pivot(frame, "lambda_l", "lambda_u").best == ((0.1, 0.8), (0.3, 0.8))
    timed = frame.assign(seconds=[30.0, 10.0, 20.0])
    assert pivot(timed, "lambda_l", "lambda_u", "seconds").best == ((0.2, 0.8),)


def test_texts_keep_the_order_of_the_sweep() -> None:
    frame = sweep(*({"what_if": w, "bits": b} for w in ("GDFQ", "AdaDFQ") for b in (4, 3)))
    table = pivot(frame, "what_if", "bits")
    assert table.mean.index.tolist() == ["GDFQ", "AdaDFQ"]
    assert table.mean.columns.tolist() == [3, 4]


THREE_AXES = sweep(*margin(0.1, 0.8, 70.0, gamma=1.0), *margin(0.1, 0.8, 80.0, gamma=5.0))


def test_a_third_axis_is_held_and_never_averaged() -> None:
    with pytest.raises(InputError, match=r"gamma takes 2 values here.*fix it at one of 1, 5"):
        pivot(THREE_AXES, "lambda_l", "lambda_u")
    table = pivot(THREE_AXES, "lambda_l", "lambda_u", fixed={"gamma": 5.0})
    assert table.mean.loc[0.1, 0.8] == 80
    assert "; γ = 5" in to_markdown(table) and r"; $\gamma$ = 5" in to_latex(table)


@pytest.mark.parametrize(
    ("rows", "columns", "value", "fixed", "message"),
    [
        ("lambda_l", "lambda_l", "top1_q_last", {}, "Rows and columns are both lambda_l"),
        ("lambda_l", "beta", "top1_q_last", {}, "beta is not an axis of this sweep"),
        ("lambda_l", "lambda_u", "top1", {}, "'top1' is no result of a sweep"),
        ("lambda_l", "lambda_u", "top1_q_last", {"gamma": 2.0}, "gamma = 2 is not in this sweep"),
        ("lambda_l", "lambda_u", "top1_q_last", {"seed": 0}, "seed is not an axis"),
    ],
)
def test_what_cannot_be_shown_is_refused(
    rows: str, columns: str, value: str, fixed: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        pivot(THREE_AXES, rows, columns, value, fixed)


@pytest.mark.parametrize(
    ("spread", "decimals"), [(0.004, 2), (0.04, 2), (0.4, 2), (4.0, 1), (40.0, 1)]
)
def test_a_large_spread_leaves_few_decimals(spread: float, decimals: int) -> None:
    frame = sweep(*margin(0.1, 0.8, 50 - spread, 50, 50 + spread))
    assert pivot(frame, "lambda_l", "lambda_u").decimals == decimals


def test_markdown() -> None:
    assert to_markdown(pivot(GRID, "lambda_l", "lambda_u")) == (
        "top-1 of Q (%), mean ± standard deviation over 1 to 3 seeds; – not allowed: λ_l must be "
        "below λ_u; empty: not measured.\n"
        "\n"
        "| λ_l ↓ λ_u → | 0.4 | 0.8 |\n"
        "| --- | ---: | ---: |\n"
        "| 0 | **72.5** | 60.5 ± 0.7 |\n"
        "| 0.1 | failed | 72.0 ± 2.0 |\n"
        "| 0.5 | – |  |\n"
    )


def test_latex() -> None:
    frame = sweep(
        *margin(0.1, 0.4, 70.0, 74.0),
        *margin(0.1, 0.8, 90.0, 92.0),
        *margin(0.5, 0.8, 40.0, status="halved"),
    )
    assert to_latex(pivot(frame, "lambda_l", "lambda_u")) == "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            r"\caption{top-1 of Q (\%), mean $\pm$ standard deviation over 1 to 2 seeds; "
            r"-- not allowed: $\lambda_l$ must be below $\lambda_u$; "
            r"\textsuperscript{\dag} stopped early.}",
            r"\begin{tabular}{lrr}",
            r"\toprule",
            r" & \multicolumn{2}{c}{$\lambda_u$} \\",
            r"\cmidrule(lr){2-3}",
            r"$\lambda_l$ & 0.4 & 0.8 \\",
            r"\midrule",
            r"0.1 & $72.0 \pm 2.8$ & $\mathbf{91.0 \pm 1.4}$ \\",
            r"0.5 & -- & $40.0$\textsuperscript{\dag} \\",
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def test_one_seed_shows_no_spread() -> None:
    frame = sweep(*margin(0.1, 0.8, 70.123), *margin(0.2, 0.8, 60.0))
    table = pivot(frame, "lambda_l", "lambda_u")
    for text in (to_markdown(table), to_latex(table)):
        assert "±" not in text and "pm" not in text and "seed" not in text
        assert "70.12" in text and "60.00" in text


def test_special_characters_do_not_break_the_table() -> None:
    frame = sweep({"network": "my_net:a|b&c#1%", "bit_overrides": "", "top1_q_last": 50.0})
    table = pivot(frame, "network", "bit_overrides")
    assert r"my\_net:a|b\&c\#1\% & $\mathbf{50.00}$ \\" in to_latex(table)
    assert r"bit overrides" in to_latex(table)
    assert r"| my_net:a\|b&c#1% | **50.00** |" in to_markdown(table)
    assert "| network ↓ bit overrides → | empty |" in to_markdown(table)


def test_csv_is_long_and_exact() -> None:
    table = pivot(GRID, "lambda_l", "lambda_u")
    read = pd.read_csv(io.BytesIO(to_csv(table)))
    assert list(read.columns) == ["lambda_l", "lambda_u", "mean", "sd", "n", "state"]
    assert len(read) == 6 and read["state"].tolist() == [*pivot_frame(table)["state"]]
    first = read.iloc[1]
    assert (first["mean"], first["n"], first["state"]) == (60.5, 2, "measured")
    assert first["sd"] == math.sqrt(0.5)
    assert len(pd.read_csv(io.BytesIO(results_csv(GRID)))) == len(GRID)


@pytest.mark.parametrize(
    ("axis", "latex", "plain", "html", "text"),
    [
        ("lambda_l", r"\lambda_l", "λ_l", "λ<sub>l</sub>", "lower boundary"),
        ("alpha_ds", r"\alpha_{ds}", "α_ds", "α<sub>ds</sub>", "weight of disagreement"),
        ("temperature", "T", "T", "T", "temperature of Q's loss"),
        ("weight_bits", "k_w", "k_w", "k<sub>w</sub>", "bits of weights"),
        ("q_average", "", "", "", "q average"),
        ("slow_motion", "", "", "", "pause between iterations"),
        ("what_if", "", "", "", "what-if"),
    ],
)
def test_axes_have_the_papers_symbols(
    axis: str, latex: str, plain: str, html: str, text: str
) -> None:
    assert (latex_symbol(axis), plain_symbol(axis), html_symbol(axis)) == (latex, plain, html)
    assert words(axis) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1, "0.1"), (1e-5, "1e-5"), (1e7, "1e7"), (3, "3"), (True, "true"), ("", "empty")],
)
def test_values_are_written_as_a_reader_writes_them(value: object, text: str) -> None:
    assert value_text(value) == text
