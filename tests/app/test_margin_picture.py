from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest

from app.charts.margin_picture import AXIS, LONGEST_ARROW, margin_picture
from app.charts.style import class_colours
from app.components.live_chart.snapshot import take_snapshot

NAMES = ("shirt", "coat", "bag")


def batch(count: int, classes: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        "labels": generator.integers(classes, size=count),
        "h_prime": generator.random(count),
        "p_logits": generator.normal(size=(count, classes)),
        "q_logits": generator.normal(size=(count, classes)),
        "push": generator.normal(size=count),
    }


def by_hand() -> dict[str, np.ndarray]:
    """Four samples: under, inside, inside at the boundary, over; P and Q differ on the first."""
    return {
        "labels": np.array([0, 1, 2, 0]),
        "h_prime": np.array([0.0, 0.5, 0.8, 1.0]),
        "p_logits": np.log([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.1, 0.2, 0.7], [0.6, 0.2, 0.2]]),
        "q_logits": np.log([[0.3, 0.6, 0.1], [0.1, 0.8, 0.1], [0.1, 0.2, 0.7], [0.6, 0.2, 0.2]]),
        "push": np.array([1.0, 0.0, 3.0, -1.0]),
    }


def marks(figure: go.Figure) -> list[go.Scatter]:
    return [trace for trace in figure.data if trace.customdata is not None]


def arrows(figure: go.Figure) -> tuple[np.ndarray, go.Scatter]:
    """Starts and tips `(n, 2)`, and the trace of the tips."""
    line, tips = (trace for trace in figure.data if trace.legendgroup == "push")
    return np.array(line.x).reshape(-1, 3)[:, :2], tips


def words(figure: go.Figure) -> str:
    return " ".join(annotation.text for annotation in figure.layout.annotations)


def test_agreement_and_disagreement_samples_have_marks_of_their_own() -> None:
    figure = margin_picture(by_hand(), 0.1, 0.8, NAMES)
    agree, differ = marks(figure)
    assert agree.marker.symbol != differ.marker.symbol
    assert list(agree.x) == [0.5, 0.8, 1.0] and list(differ.x) == [0.0]
    # What a click reports: the sample's place in the batch.
    assert list(agree.customdata) == [1, 2, 3] and list(differ.customdata) == [0]
    shirt, coat, bag = class_colours(3)
    assert list(agree.marker.color) == [coat, bag, shirt]
    assert list(differ.marker.color) == [shirt]
    legend = {trace.name for trace in figure.data if trace.showlegend is not False}
    assert {"agreement sample: 3", "disagreement sample: 1"} <= legend


def test_the_band_its_boundaries_and_the_counts() -> None:
    figure = margin_picture(by_hand(), 0.1, 0.8, NAMES)
    text = words(figure)
    for part in ("under: <b>1</b>", "inside: <b>2</b>", "over: <b>1</b>"):
        assert part in text
    assert "λ<sub>l</sub> = 0.1" in text and "λ<sub>u</sub> = 0.8" in text
    spans = {(shape.x0, shape.x1) for shape in figure.layout.shapes}
    assert {(0.1, 0.8), (0.1, 0.1), (0.8, 0.8)} <= spans


def test_the_axis_says_which_end_is_which() -> None:
    ends = {
        annotation.xanchor: annotation.text
        for annotation in margin_picture(by_hand(), 0.1, 0.8, NAMES).layout.annotations
        if annotation.xref == "paper"
    }
    assert "0: strong disagreement" in ends["left"] and "under-fitting" in ends["left"]
    assert "1: agreement" in ends["right"] and "over-fitting" in ends["right"]


def test_arrows_have_the_sign_and_grow_with_the_size_of_the_push() -> None:
    ends, tips = arrows(margin_picture(by_hand(), 0.1, 0.8, NAMES))
    assert ends[:, 0].tolist() == [0.0, 0.8, 1.0]  # none for the sample that is pushed nowhere
    lengths = np.diff(ends)[:, 0]
    assert lengths[0] == pytest.approx(-lengths[2])
    assert 0 < lengths[0] < lengths[1] < LONGEST_ARROW
    assert list(tips.x) == ends[:, 1].tolist()
    assert list(tips.marker.symbol) == ["triangle-right", "triangle-right", "triangle-left"]


def test_huge_pushes_at_the_ends_stay_on_the_axis() -> None:
    samples = by_hand() | {"push": np.array([-1e9, 0, 0, 1e9])}
    ends, _ = arrows(margin_picture(samples, 0.1, 0.8, NAMES))
    assert ends.min() > AXIS[0] and ends.max() < AXIS[1]


def test_hover_tells_what_was_asked_and_what_both_answer() -> None:
    agree, differ = marks(margin_picture(by_hand(), 0.1, 0.8, NAMES))
    text = differ.text[0]
    for part in (
        "<b>shirt</b>",
        "P: shirt 70 %",
        "Q: coat 60 %",
        "H' 0.000",
        "adaptability 1.000",
        "push +1 towards agreement",
    ):
        assert part in text
    assert agree.text[0].endswith("push 0")
    assert agree.text[2].endswith("push −1 towards disagreement")


def test_up_to_ten_classes_have_a_row_each() -> None:
    samples = batch(200, 10)
    names = [f"class {index}" for index in range(10)]
    figure = margin_picture(samples, 0.1, 0.8, names)
    assert list(figure.layout.yaxis.ticktext) == names
    for trace in marks(figure):
        labels = samples["labels"][list(trace.customdata)]
        assert (np.abs(np.array(trace.y) - labels) < 0.3).all()
        low, high = sorted(figure.layout.yaxis.range)
        assert (np.array(trace.y) > low).all() and (np.array(trace.y) < high).all()


def test_more_classes_are_spread_and_coloured_by_hue() -> None:
    figure = margin_picture(batch(64, 100), 0.1, 0.8, [str(index) for index in range(100)])
    assert figure.layout.yaxis.visible is False
    heights = np.concatenate([np.array(trace.y) for trace in marks(figure)])
    assert len(np.unique(heights)) == 64
    assert heights.min() >= 0 and heights.max() <= 1
    assert len(set(class_colours(100))) == 100


@pytest.mark.parametrize("count", [2, 16, 256, 257, 1024])
@pytest.mark.parametrize("classes", [2, 10, 100])
def test_every_sample_is_drawn_once_with_whatever_batch(count: int, classes: int) -> None:
    figure = margin_picture(batch(count, classes), 0.3, 0.6, [str(i) for i in range(classes)])
    drawn = sorted(index for trace in marks(figure) for index in trace.customdata)
    assert drawn == list(range(count))


def test_a_crowd_has_smaller_marks_and_only_strong_arrows() -> None:
    few, many = (margin_picture(batch(n, 10), 0.1, 0.8, "abcdefghij") for n in (256, 1024))
    assert marks(many)[0].marker.size < marks(few)[0].marker.size
    strong = np.abs(batch(1024, 10)["push"]) >= 0.5
    assert len(arrows(many)[0]) == strong.sum()


def test_the_same_samples_give_the_same_picture_under_another_margin() -> None:
    samples = batch(64, 10)
    before, after = (margin_picture(samples, lower, 0.8, "abcdefghij") for lower in (0.1, 0.4))
    # Dragging a boundary moves no mark: the traces are equal, so only the layout is sent.
    assert (
        take_snapshot(before, "run").traces[0].style == take_snapshot(after, "run").traces[0].style
    )
    for one, other in zip(before.data, after.data, strict=True):
        assert np.array_equal(np.array(one.x, float), np.array(other.x, float), equal_nan=True)
        assert np.array_equal(np.array(one.y, float), np.array(other.y, float), equal_nan=True)
        assert one.name == other.name
