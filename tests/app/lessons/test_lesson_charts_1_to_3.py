from __future__ import annotations

import numpy as np
import pytest
import torch

from adadfq_core.lessons.logits import judge
from adadfq_core.lessons.memory import Recall
from adadfq_core.lessons.numbers import round_filter, staircase
from app.charts.lessons.adaptability import distributions_figure, place_figure
from app.charts.lessons.memory import belief_figure, channels_figure
from app.charts.lessons.rounding import MOST_LINES, bits_figure, staircase_figure, weights_figure
from app.lessons.texts import all_texts


def test_the_number_goes_up_to_the_staircase_and_across_to_the_axis() -> None:
    words = all_texts()["lesson_1"]["staircase"]
    figure = staircase_figure(*staircase(2, -1.0, 1.0, 1.5), 0.5, 0.667, words)
    way = figure.data[2]
    assert list(way.x) == [0.5, 0.5, -1.5] and list(way.y) == [-1.5, 0.667, 0.667]


@pytest.mark.parametrize(("bits", "lines"), [(2, 4), (5, MOST_LINES), (6, 0)])
def test_no_weight_gets_lost_and_few_levels_are_lines(bits: int, lines: int) -> None:
    weights = torch.randn(200, generator=torch.Generator().manual_seed(2))
    figure = weights_figure(round_filter(weights, bits, 0.8), all_texts()["lesson_1"]["weights"])
    before, after = figure.data
    assert sum(before.customdata) == sum(after.customdata) == 200
    assert min(before.y) >= 0 and max(after.y) < 0
    assert len(figure.layout.shapes) == lines


def test_only_tried_bits_are_drawn_and_the_chosen_one_has_its_own_mark() -> None:
    words = all_texts()["lesson_1"]["accuracy"]
    figure = bits_figure(95.0, {8: 95.0, 3: 80.25}, 3, words)
    _, tried, chosen = figure.data
    assert list(tried.x) == [8] and list(chosen.x) == [3] and list(chosen.text) == ["80.2"]
    assert tried.marker.symbol != chosen.marker.symbol


def test_a_channel_has_two_marks_of_different_shape_with_its_spreads() -> None:
    recall = Recall(*(np.array(v, np.float32) for v in ([1, 2], [3, 4], [5, 6], [7, 8])))
    stored, seen = channels_figure(recall, all_texts()["lesson_2"]["channels"]).data
    assert list(stored.y) == [1, 2] and list(stored.error_y.array) == [3, 4]
    assert list(seen.y) == [5, 6] and list(seen.error_y.array) == [7, 8]
    assert (stored.x < seen.x).all() and stored.marker.symbol != seen.marker.symbol


def test_every_batch_and_the_limit_fit_on_the_axis() -> None:
    words = {**all_texts()["lesson_2"]["belief"], "limit": "goal"}
    figure = belief_figure(0.5, {"real": 0.002, "black": 0.6}, 0.15, words)
    low, high = (10**end for end in figure.layout.xaxis.range)
    assert [trace.x[0] for trace in figure.data] == [0.002, 0.6, 0.5]
    assert low < 0.002 and high > 0.6
    assert len({trace.marker.symbol for trace in figure.data}) == 3
    assert figure.layout.shapes[0].x1 == figure.layout.shapes[1].x0 == 0.15


def test_every_bar_names_its_class_and_share() -> None:
    words = all_texts()["lesson_3"]["distributions"]
    figure = distributions_figure(judge((2, 0, 0), (2, 0, 0)), ["a", "b", "c"], words)
    assert [bar.text[2] for bar in figure.data] == ["a<br>33 %", "b<br>33 %", "c<br>33 %"]
    np.testing.assert_allclose(np.sum([bar.y for bar in figure.data], axis=0), 100)


def test_the_axis_says_which_end_is_which_and_holds_the_margin() -> None:
    judged = judge((2, 0, 0), (0, 2, 0))
    figure = place_figure(judged, 0.2, 0.7, all_texts()["lesson_3"]["place"])
    others, yours = figure.data
    assert list(yours.x) == [judged.h_prime] and list(others.x) == list(judged.others)
    left, _, right = figure.layout.xaxis.ticktext
    assert "0: strong disagreement" in left and "1: agreement" in right
    band = figure.layout.shapes[0]
    assert (band.x0, band.x1) == (0.2, 0.7)
