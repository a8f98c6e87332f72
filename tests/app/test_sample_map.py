"""The map of samples among real images, and the close-up's charts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from adadfq_core.inspection.close_up import CloseUp, close_up
from adadfq_core.inspection.replies import MapReply
from adadfq_core.inspection.sample_table import sample_table, sheet_columns
from adadfq_core.settings import RunSettings
from app.charts.close_up import MOST_CLASSES, distributions_figure, top_figure
from app.charts.sample_map import AGREE_COLOUR, COLOURINGS, RealPoints, sample_map_figure
from app.charts.style import class_colours
from app.components.live_chart.snapshot import take_snapshot
from app.panels.inspection.sample_map import placed_rows

CLASSES = ("bag", "boot", "coat")


def table(n: int = 6) -> pd.DataFrame:
    random = np.random.default_rng(0)
    sheet = {
        "labels": np.arange(n) % 3,
        "h_prime": np.linspace(0, 1, n),
        "p_logits": random.normal(size=(n, 3)),
        "q_logits": random.normal(size=(n, 3)),
    }
    return sample_table([sheet_columns(10, sheet, RunSettings())], CLASSES)


def real(coordinates: int) -> RealPoints:
    return RealPoints(np.arange(4.0 * coordinates).reshape(4, coordinates), np.array([0, 1, 2, 0]))


@pytest.mark.parametrize("colouring", COLOURINGS)
@pytest.mark.parametrize(("coordinates", "kind"), [(2, "scattergl"), (3, "scatter3d")])
def test_real_images_are_dots_and_samples_carry_their_keys(
    coordinates: int, kind: str, colouring: str
) -> None:
    rows = table()
    positions = np.arange(6.0 * coordinates).reshape(6, coordinates)
    figure = sample_map_figure(rows, positions, real(coordinates), CLASSES, colouring, "UMAP")
    dots, samples = figure.data
    assert (dots.type, samples.type) == (kind, kind)
    assert dots.customdata is None
    assert [list(key) for key in samples.customdata] == [[10, place] for place in range(6)]
    assert list(samples.x) == positions[:, 0].tolist()
    assert "asked of G: <b>coat</b>, iteration 10" in samples.text[2]
    take_snapshot(figure, "run")  # what is sent to the browser


def test_colours_tell_what_was_asked_for() -> None:
    rows = table()
    made = {
        colouring: sample_map_figure(rows, np.zeros((6, 2)), real(2), CLASSES, colouring, "PCA")
        for colouring in COLOURINGS
    }
    by_class = made["class"].data[1].marker
    assert list(by_class.color) == [0, 1, 2, 0, 1, 2]
    assert [colour for _, colour in by_class.colorscale][::2] == class_colours(3)
    adaptability = made["adaptability"].data[1].marker
    assert list(adaptability.color) == pytest.approx(1 - np.linspace(0, 1, 6))
    assert (adaptability.cmin, adaptability.cmax) == (0, 1)
    agreement = made["P and Q agree"].data[1].marker
    assert list(agreement.color) == rows["agree"].astype(int).tolist()
    assert agreement.colorscale[-1][1] == AGREE_COLOUR
    assert isinstance(made["source"].data[1].marker.color, str)
    assert made["class"].layout.xaxis.title.text == "PCA 1"


def test_a_map_without_a_point_says_so() -> None:
    nothing = RealPoints(np.empty((0, 2)), np.empty(0, int))
    figure = sample_map_figure(table(2)[:0], np.empty((0, 2)), nothing, CLASSES, "class", "UMAP")
    assert not figure.data and figure.layout.annotations[0].text


def test_samples_without_a_finite_place_are_left_out() -> None:
    rows = table(4)
    reply = MapReply(
        keys=np.array([[10, 3], [10, 1], [10, 0], [99, 0]]),
        positions=np.array([[3, 3], [np.nan, 1], [0, 0], [9, 9]], np.float32),
        real_positions=np.empty((0, 2), np.float32),
        real_labels=np.empty(0, np.int64),
        real_indices=np.empty(0, np.int64),
        method="umap",
        checkpoint=None,
        notices=(),
    )
    shown, positions = placed_rows(reply, rows)
    assert shown["place"].tolist() == [0, 3]
    assert positions.tolist() == [[0, 0], [3, 3]]


def sample(classes: int = 3) -> CloseUp:
    p = np.linspace(2, -2, classes)
    return close_up(p, p[::-1].copy(), 0.3, classes - 1, RunSettings())


def test_a_class_among_the_likeliest_of_one_network_alone_has_one_bar() -> None:
    names = [f"class {index}" for index in range(20)]
    p, q = top_figure(sample(20), names).data
    assert list(p.y) == list(q.y) and len(p.y) == 10
    assert sum(x is not None for x in p.x) == sum(x is not None for x in q.x) == 5
    first = list(p.y).index("class 0")
    assert p.x[first] == pytest.approx(100 * sample(20).top_p[0].probability)


@pytest.mark.parametrize("classes", [3, 40])
def test_both_distributions_are_drawn_and_the_asked_class_is_marked(classes: int) -> None:
    names = [f"class {index}" for index in range(classes)]
    ds, agreement = distributions_figure(sample(classes), names).data
    assert list(ds.x) == list(agreement.x)
    assert len(ds.x) <= MOST_CLASSES + 1 and f"class {classes - 1}" in ds.x
    if classes == 3:
        assert list(ds.y) == pytest.approx(100 * sample().p_ds)
    (mark,) = distributions_figure(sample(classes), names).layout.annotations
    assert mark.x == f"class {classes - 1}"
