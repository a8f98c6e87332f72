from __future__ import annotations

import math

import pandas as pd

from app.charts.ablation.losses import losses_figure, losses_frame
from app.charts.ablation.panels import Group
from app.components.live_chart.snapshot import take_snapshot

TABLE = pd.DataFrame(
    {"epoch": [2, 3, 4], "training": [-50.0, -55.0, -57.0], "test": [-40.0, math.nan, -45.0]}
)
LATER = pd.DataFrame({"epoch": [2, 3], "training": [9.0, 4.0], "test": [12.0, 11.0]})


def group(name: str) -> Group:
    return Group(name, 0.1, 0.8, (f"{name}-0", f"{name}-1"))


def test_each_group_has_both_losses_on_an_axis_of_its_own() -> None:
    figure = losses_figure([(group("AdaDFQ"), TABLE), (group("GDFQ"), LATER)])
    training, test, training_2, test_2 = figure.data
    assert list(training.y) == [-50, -55, -57]
    assert list(test.x) == [2, 4] and list(test.y) == [-40, -45]
    assert (training.yaxis, training_2.yaxis, test_2.xaxis) == ("y", "y2", "x2")
    assert figure.layout.yaxis2.matches is None and figure.layout.xaxis2.matches == "x"
    assert [trace.showlegend for trace in figure.data] == [True, True, False, False]
    assert list(test.customdata[0]) == ["AdaDFQ-0", "AdaDFQ-1"]
    assert {note.text for note in figure.layout.annotations} >= {"AdaDFQ", "GDFQ", "epoch"}
    take_snapshot(figure, "sweep")


def test_without_an_epoch_of_q_a_sentence_stands_in_its_place() -> None:
    figure = losses_figure([(group("AdaDFQ"), TABLE.head(0))])
    assert "Q's first move" in figure.layout.annotations[0].text
    assert not figure.data


def test_the_file_has_a_row_for_each_epoch_of_each_group() -> None:
    frame = losses_frame([(group("AdaDFQ"), TABLE), (group("GDFQ"), LATER)])
    assert frame.columns.tolist() == ["group", "epoch", "training", "test"]
    assert frame["group"].tolist() == ["AdaDFQ"] * 3 + ["GDFQ"] * 2
