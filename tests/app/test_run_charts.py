"""The panels of a run's charts, with the run it is compared with."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from adadfq_core.game.step import SCALARS
from adadfq_core.presets import WHAT_IFS, preset_settings
from adadfq_core.runs import RecordKind
from adadfq_core.runs.process import identity
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter
from app.components.live_chart import Download
from app.panels import run_charts
from app.run_view import RunView

Figures = dict[str, go.Figure]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Figures:
    """What the panels draw, by the chart's key."""
    figures: Figures = {}

    def draw(figure: go.Figure, *, key: str, **_: object) -> None:
        figures[key] = figure

    monkeypatch.setattr(run_charts, "live_chart", draw)
    return figures


@pytest.fixture
def begin(tmp_path: Path) -> Callable[[str, int], tuple[RunView, RunWriter]]:
    """Makes a run of the what-if of that name with so many iterations in its log."""
    writers = []

    def make(name: str, iterations: int) -> tuple[RunView, RunWriter]:
        settings = preset_settings("interactive", WHAT_IFS[name])
        run_id = RunStore(tmp_path).create_run(settings, name, max_active=9)
        writer = RunWriter(tmp_path, run_id)
        writers.append(writer)
        own = identity(os.getpid())
        assert own is not None
        writer.attach(own.pid, own.started)
        for iteration in range(1, iterations + 1):
            numbers = dict.fromkeys(SCALARS, 2.0) | {"ms": 50.0, "seconds": iteration}
            numbers |= {"lr_g": 1e-3, "lr_q": 1e-4, "h_prime": [0.3, 0.6]}
            writer.append(RecordKind.STEP, iteration, numbers)
        writer.append(RecordKind.EVALUATION, 1, {"network": "q", "top1": 80.0, "seconds": 1.0})
        writer.append(RecordKind.NETWORK, 0, {"data": {"images": 100}})
        writer.flush()
        return RunView.attach(tmp_path, run_id), writer

    yield make
    for writer in writers:
        writer.close()


def _draw_all(view: RunView, beside: RunView | None) -> None:
    frame = view.frame(view.info.settings)
    run_charts.accuracy_panel(view, frame, beside)
    run_charts.bands_panel(view, frame, beside)
    run_charts.histogram_panel(view, frame, beside, lambda ends: None)
    run_charts.terms_panel(view, beside)
    run_charts.players_panel(view, beside)


@pytest.mark.parametrize("other", ["without L_ds", "GDFQ"])
@pytest.mark.parametrize("iterations", [0, 3])
def test_every_chart_over_iterations_names_the_other_run_once(
    begin: Callable[[str, int], tuple[RunView, RunWriter]],
    drawn: Figures,
    other: str,
    iterations: int,
) -> None:
    view, _ = begin("AdaDFQ", 5)
    _draw_all(view, None)
    alone = {key: _legend(figure) for key, figure in drawn.items()}
    assert not any(other in names for names in alone.values())
    _draw_all(view, begin(other, iterations)[0])
    assert drawn.keys() >= {
        "accuracy",
        "bands",
        "losses",
        "loss_q",
        "gradients",
        "learning_rates",
        "margin",
    }
    for key, figure in drawn.items():
        assert _legend(figure) == [*alone[key], other]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], pd.DataFrame]]:
    """The CSV file of each chart that the panels draw, as a reader's pandas reads it."""
    files: dict[str, Callable[[], pd.DataFrame]] = {}

    def draw(figure: go.Figure, *, key: str, download: Download, **_: object) -> None:
        files[key] = lambda: pd.read_csv(io.StringIO(download.text()))

    monkeypatch.setattr(run_charts, "live_chart", draw)
    return files


def test_the_csv_of_a_chart_holds_what_it_shows(
    begin: Callable[[str, int], tuple[RunView, RunWriter]],
    taken: dict[str, Callable[[], pd.DataFrame]],
) -> None:
    view, writer = begin("AdaDFQ", 3)
    writer.append(RecordKind.VALUE, 2, {"before": 0.4, "after_g": 0.3})
    writer.flush()
    view.refresh()
    _draw_all(view, None)
    run_charts.value_panel(view, view.frame(view.info.settings))
    assert taken["accuracy"]().to_dict("list") == {"iteration": [1], "top1_q": [80.0]}
    assert taken["margin"]()["h_prime"].tolist() == [0.3, 0.6] * 3
    bands = taken["bands"]()
    assert bands["mean"].tolist() == pytest.approx([0.45] * 3)
    assert (bands["quantile_0.1"] < bands["mean"]).all()
    assert bands["lambda_u"].tolist() == [0.8] * 3
    losses = taken["losses"]()
    assert losses["iteration"].tolist() == [1, 2, 3]
    assert losses["loss_bns"].tolist() == [2.0] * 3
    assert taken["gradients"]()["lr_g"].tolist() == [1e-3] * 3
    value = taken["game_value"]()
    assert value[["iteration", "before", "after_g"]].to_numpy().tolist() == [[2, 0.4, 0.3]]
    assert value["after_q"].isna().all()


def test_the_csv_of_the_map_names_every_point(
    begin: Callable[[str, int], tuple[RunView, RunWriter]],
    taken: dict[str, Callable[[], pd.DataFrame]],
) -> None:
    view, _ = begin("AdaDFQ", 1)
    frame = view.frame(view.info.settings)
    run_charts.map_panel(view, frame, ("a", "b"))
    assert taken["embedding"]().empty
    point = {"positions": np.array([[1.0, 2.0]]), "labels": np.array([1])}
    run_charts.map_panel(view, replace(frame, real=point, synthetic=point), ("a", "b"))
    assert taken["embedding"]().to_numpy().tolist() == [
        ["real", "b", 1.0, 2.0],
        ["synthetic", "b", 1.0, 2.0],
    ]


def _legend(figure: go.Figure) -> list[str]:
    return [trace.name for trace in figure.data if trace.showlegend is not False]


@pytest.mark.parametrize("shown", ["AdaDFQ", "GDFQ"])
def test_each_run_is_weighted_by_what_was_in_force_in_it(
    begin: Callable[[str, int], tuple[RunView, RunWriter]],
    drawn: Figures,
    monkeypatch: pytest.MonkeyPatch,
    shown: str,
) -> None:
    monkeypatch.setattr(run_charts.st, "toggle", lambda *_, **__: True)
    (view, writer), (beside, _) = begin(shown, 4), begin("without L_BNS", 4)
    writer.append(RecordKind.PARAMETERS, 2, {"changes": {"gamma": 7.0}})
    writer.flush()
    view.refresh()
    gamma = view.info.settings.gamma
    run_charts.terms_panel(view, beside)
    lines = {trace.name: trace for trace in drawn["losses"].data}
    assert list(lines["γ·L<sub>BNS</sub>"].y) == [2 * gamma, 2 * gamma, 14, 14]
    # With gamma = 0 its term has no place on the logarithmic axis.
    assert np.isnan(lines["without L_BNS: γ·L<sub>BNS</sub>"].y).all()
    assert list(lines["without L_BNS: L<sub>G</sub>"].y) == [2.0] * 4


def test_bins_go_on_from_those_drawn_before(
    begin: Callable[[str, int], tuple[RunView, RunWriter]], drawn: Figures
) -> None:
    view, writer = begin("AdaDFQ", 3)
    frame = view.frame(view.info.settings)
    run_charts.bands_panel(view, frame, None)
    for iteration in range(4, 200):
        numbers = dict.fromkeys(SCALARS, 1.0) | {"ms": 50.0, "seconds": iteration}
        writer.append(RecordKind.STEP, iteration, numbers | {"h_prime": [iteration / 200]})
    writer.flush()
    view.refresh()
    run_charts.bands_panel(view, frame, None)
    grown = drawn["bands"]
    run_charts.bands_panel(RunView.attach(view.root, view.run_id), frame, None)
    assert grown.to_plotly_json().keys() == drawn["bands"].to_plotly_json().keys()
    for one, other in zip(grown.data, drawn["bands"].data, strict=True):
        assert np.array_equal(one.x, other.x) and np.array_equal(one.y, other.y, equal_nan=True)


def test_the_map_is_drawn_anew_only_when_it_has_changed(
    begin: Callable[[str, int], tuple[RunView, RunWriter]], drawn: Figures
) -> None:
    view, writer = begin("AdaDFQ", 3)

    def add(source: str, position: float) -> None:
        part = {"positions": np.full((1, 2), position), "labels": np.array([0])}
        writer.append(RecordKind.EMBEDDING, 3, {"source": source}, part)
        writer.flush()
        view.refresh()
        run_charts.map_panel(view, view.frame(view.info.settings), ["shirt"])

    add("real", 1.0)
    add("synthetic", 2.0)
    first = drawn["embedding"]
    run_charts.map_panel(view, view.frame(view.info.settings), ["shirt"])
    assert drawn["embedding"] is first
    add("synthetic", 3.0)
    assert [trace.x[0] for trace in first.data] == [1.0, 2.0]
    assert [trace.x[0] for trace in drawn["embedding"].data] == [1.0, 3.0]
