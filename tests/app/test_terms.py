from __future__ import annotations

from collections.abc import Callable

import numpy as np
import plotly.graph_objects as go
import pytest

from app.charts.terms import (
    POINTS,
    TERMS,
    WEIGHTS,
    Beside,
    gradient_norms_figure,
    in_force_over_run,
    learning_rates_figure,
    loss_q_figure,
    terms_figure,
)

SETTINGS = {"alpha_ds": 0.2, "alpha_as": 0.1, "beta": 1.0, "gamma": 1.0, "lambda_l": 0.1}


def steps(count: int) -> dict[str, list[float]]:
    """Terms of which L_G is the weighted sum, with the weights changed after iteration 5."""
    generator = np.random.default_rng(0)
    iterations = list(range(1, count + 1))
    values = {name: generator.random(count) + 0.1 for name in TERMS}
    weights = in_force_over_run(WEIGHTS, iterations, SETTINGS, changes())
    values["loss_g"] = (
        values["loss_margin"]
        + weights["beta"]
        * (weights["alpha_ds"] * values["loss_ds"] + weights["alpha_as"] * values["loss_as"])
        + weights["gamma"] * values["loss_bns"]
    )
    return {"iteration": iterations} | {name: list(value) for name, value in values.items()}


def changes() -> list[tuple[int, dict[str, float]]]:
    return [(5, {"beta": 3.0, "lr_g": 0.1}), (7, {"alpha_ds": 0.5})]


def legend(figure: go.Figure) -> list[str]:
    return [trace.name for trace in figure.data if trace.showlegend is not False]


def by_name(figure: go.Figure) -> dict[str, go.Scatter]:
    return {trace.name: trace for trace in figure.data}


def test_a_changed_weight_is_in_force_from_the_next_iteration() -> None:
    weights = in_force_over_run(WEIGHTS, [4, 5, 6, 7, 8], SETTINGS, changes())
    assert weights.keys() == {"alpha_ds", "alpha_as", "beta", "gamma"}
    assert weights["beta"].tolist() == [1, 1, 3, 3, 3]
    assert weights["alpha_ds"].tolist() == [0.2, 0.2, 0.2, 0.2, 0.5]
    assert weights["gamma"].tolist() == [1] * 5


def test_weighted_terms_add_up_to_the_whole() -> None:
    data = steps(10)
    weights = in_force_over_run(WEIGHTS, data["iteration"], SETTINGS, changes())
    whole, *parts = terms_figure(data, [], weights).data
    assert list(sum(np.array(part.y) for part in parts)) == pytest.approx(list(whole.y))
    assert [part.name for part in parts] == [
        "L<sub>margin</sub>",
        "β·α<sub>ds</sub>·L<sub>ds</sub>",
        "β·α<sub>as</sub>·L<sub>as</sub>",
        "γ·L<sub>BNS</sub>",
    ]


def test_without_weights_terms_are_as_they_were_recorded() -> None:
    data = steps(10)
    figure = terms_figure(data, [(3, "beta = 2")])
    for trace, name in zip(figure.data, TERMS, strict=True):
        assert list(trace.y) == data[name]
        assert list(trace.x) == data["iteration"]
    assert [trace.name for trace in figure.data][2] == "L<sub>ds</sub>"
    assert figure.layout.shapes[0].x0 == 3
    assert "nats" in figure.layout.yaxis.title.text


def test_terms_that_a_method_does_not_have_are_left_out() -> None:
    data = steps(10)
    figure = terms_figure({name: data[name] for name in ("iteration", "loss_g", "loss_bns")}, [])
    assert [trace.name for trace in figure.data] == ["L<sub>G</sub>", "L<sub>BNS</sub>"]


def test_another_run_is_dotted_with_its_own_weights_under_one_entry_of_the_legend() -> None:
    data, other = steps(10), {name: np.array(values[:8]) for name, values in steps(10).items()}
    weights = in_force_over_run(WEIGHTS, data["iteration"], SETTINGS, changes())
    own = in_force_over_run(WEIGHTS, other["iteration"], SETTINGS | {"alpha_ds": 0.7}, [])
    figure = terms_figure(data, [], weights, Beside("weaker", other, own))
    shown, dotted = figure.data[: len(TERMS)], figure.data[len(TERMS) + 1 :]
    for ours, theirs in zip(shown, dotted, strict=True):
        assert theirs.name == f"weaker: {ours.name}"
        assert theirs.line.color == ours.line.color and theirs.line.width < ours.line.width
        assert (ours.line.dash, theirs.line.dash) == (None, "dot")
        assert list(theirs.x) == list(range(1, 9))
    assert list(dotted[2].y) == pytest.approx(list(0.7 * other["loss_ds"]))
    assert list(dotted[4].y) == pytest.approx(list(other["loss_bns"]))
    assert legend(figure) == [*(trace.name for trace in shown), "weaker"]
    assert {t.legendgroup for t in figure.data[len(TERMS) :]} == {"beside"}


@pytest.mark.parametrize("shown_has_all", [True, False])
def test_of_two_methods_only_the_terms_that_both_have_are_dotted(shown_has_all: bool) -> None:
    whole = steps(10)
    part = {name: whole[name] for name in ("iteration", "loss_g", "loss_bns")}
    shown, other = (whole, part) if shown_has_all else (part, whole)
    dotted = [t.name for t in terms_figure(shown, [], None, Beside("B", other)).data if t.line.dash]
    assert dotted == ["B", "B: L<sub>G</sub>", "B: L<sub>BNS</sub>"]


def test_zero_and_nan_are_gaps_on_the_log_axis() -> None:
    data = {name: [1.0, 0.0, float("nan")] for name in TERMS} | {"iteration": [1, 2, 3]}
    weights = in_force_over_run(WEIGHTS, [1, 2, 3], SETTINGS | {"gamma": 0.0}, [])
    assert terms_figure(data, []).layout.yaxis.type == "log"
    for trace in terms_figure(data, []).data:
        assert np.array_equal(trace.y, [1.0, np.nan, np.nan], equal_nan=True)
    # A term that is switched off has no place on the axis either, but keeps its legend entry.
    assert np.isnan(by_name(terms_figure(data, [], weights))["γ·L<sub>BNS</sub>"].y).all()


def test_long_runs_are_thinned_and_keep_their_peaks() -> None:
    data = {name: np.full(20_000, 2.0) for name in TERMS} | {"iteration": np.arange(1, 20_001)}
    data["loss_ds"][12_345] = 900.0
    traces = by_name(terms_figure(data, []))
    assert all(len(trace.x) <= 2 * POINTS for trace in traces.values())
    assert max(traces["L<sub>ds</sub>"].y) == 900.0


def test_the_loss_of_q_is_negative_and_has_a_linear_axis_of_its_own() -> None:
    figure = loss_q_figure({"iteration": [1, 2], "loss_q": [-921.0, -920.5]}, [(1, "T = 5")])
    assert list(figure.data[0].y) == [-921.0, -920.5]
    assert figure.layout.yaxis.type is None
    assert "nats" in figure.layout.yaxis.title.text


def test_the_loss_of_q_on_real_images_stands_beside_that_on_those_of_g() -> None:
    steps = {"iteration": [1, 2, 3], "loss_q": [-920.0, -921.0, -921.5]}
    figure = loss_q_figure(steps, [], test=([2, 3], [-900.0, -901.0]))
    own, test = figure.data
    assert (list(test.x), list(test.y)) == ([2, 3], [-900.0, -901.0])
    assert test.mode == "lines+markers" and "real images" in test.name
    assert test.line.color == own.line.color
    assert len(loss_q_figure(steps, []).data) == 1


@pytest.mark.parametrize(
    ("draw", "names", "title"),
    [
        (gradient_norms_figure, ("grad_norm_g", "grad_norm_q"), "gradient norm"),
        (learning_rates_figure, ("lr_g", "lr_q"), "learning rate"),
    ],
)
def test_both_players_share_a_log_axis(
    draw: Callable[..., go.Figure], names: tuple[str, str], title: str
) -> None:
    g, q = names
    figure = draw({"iteration": [1, 2], g: [0.1, 0.2], q: [0.0, 5.0]}, [])
    traces = by_name(figure)
    assert list(traces["G"].y) == [0.1, 0.2]
    assert np.array_equal(traces["Q"].y, [np.nan, 5.0], equal_nan=True)
    assert figure.layout.yaxis.type == "log"
    assert title in figure.layout.yaxis.title.text
    other = Beside("GDFQ", {"iteration": [1, 2, 3], g: [0.3, 0.2, 0.1], q: [0.0, 4.0, 3.0]})
    figure = draw({"iteration": [1, 2], g: [0.1, 0.2], q: [0.0, 5.0]}, [], other)
    traces = by_name(figure)
    assert legend(figure) == ["G", "Q", "GDFQ"]
    assert list(traces["GDFQ: G"].y) == [0.3, 0.2, 0.1]
    assert np.array_equal(traces["GDFQ: Q"].y, [np.nan, 4.0, 3.0], equal_nan=True)
    for player in "GQ":
        assert traces[f"GDFQ: {player}"].line.color == traces[player].line.color
        assert traces[f"GDFQ: {player}"].line.shape == traces[player].line.shape


def test_the_loss_of_q_is_told_apart_from_that_of_another_run_by_colour() -> None:
    other = Beside("GDFQ", {"iteration": [1, 2, 3], "loss_q": [9.0, 8.0, 7.0]})
    figure = loss_q_figure({"iteration": [1, 2], "loss_q": [-921.0, -920.5]}, [], other)
    own, entry, theirs = figure.data
    assert legend(figure) == ["L<sub>Q</sub>", "GDFQ"]
    assert list(theirs.y) == [9.0, 8.0, 7.0] and theirs.line.dash == "dot"
    assert theirs.line.color == entry.line.color != own.line.color


def test_a_thinned_jump_of_the_learning_rate_stays_where_it_was() -> None:
    iterations = np.arange(1, 4001)
    rates = np.where(iterations < 1234, 1e-3, 1e-4)
    figure = learning_rates_figure({"iteration": iterations, "lr_g": rates, "lr_q": rates}, [])
    trace = figure.data[0]
    assert trace.line.shape == "hv"
    assert trace.x[np.argmax(np.array(trace.y) < 5e-4)] == 1234
