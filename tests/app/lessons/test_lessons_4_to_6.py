"""The lessons on the game, on fitting and on results: right and wrong answers, and the charts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pytest
from recorded_lessons import APART, CLOSE, run_of, write_recordings
from streamlit.testing.v1 import AppTest

from adadfq_core.lessons.recorded import MARGINS
from adadfq_core.lessons.toy_game import SETTINGS, ToyGame, load_p
from app.charts.lessons.fitting import Course, accuracy_course, h_prime_course
from app.charts.lessons.seeds import seeds_figure
from app.charts.lessons.toy_game import plane_figure, score_figure
from app.lessons import lesson_4_game, lesson_5_fitting, lesson_6_results
from app.links import from_query


@pytest.fixture
def recordings(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Any]]:
    """The recordings that a test asks for, in place of the measured ones."""
    write_recordings(tmp_path, request.param)
    monkeypatch.setattr(lesson_5_fitting, "FOLDER", tmp_path)
    lesson_5_fitting.recorded_runs.clear()
    yield request.param
    lesson_5_fitting.recorded_runs.clear()


def lesson(module: str) -> AppTest:
    script = f"import importlib\nimportlib.import_module('app.lessons.{module}').draw()"
    page = AppTest.from_string(script, default_timeout=30).run()
    assert not page.exception
    return page


def checked(page: AppTest, number: int) -> AppTest:
    page.button(key=f"check_{number}").click().run()
    assert not page.exception
    return page


def answer(page: AppTest) -> tuple[bool, str]:
    """Whether the last check was right, and what it said."""
    (told,) = [*page.success, *page.warning]
    return bool(page.success), told.value


# --- lesson 4 -----------------------------------------------------------------------------------


def test_three_lessons_inside_the_margin_answer_the_question_and_others_do_not() -> None:
    page = lesson("lesson_4_game")
    assert not answer(checked(page, 4))[0]
    # G must move on: a place that Q has learned from leaves the margin.
    chasing = [(2.0, -2.5), (2.5, -2.0), (0.5, 2.0)]
    for places, right in ((3 * [(-0.5, 2.5)], False), (3 * [(1.5, -1.5)], False), (chasing, True)):
        page.button(key="press_4_again").click().run()
        for x, y in places:
            page.slider(key=lesson_4_game.X).set_value(x)
            page.slider(key=lesson_4_game.Y).set_value(y)
            page.button(key="press_4_learn_q").click().run()
        assert answer(checked(page, 4))[0] == right


def test_q_must_come_near_enough_to_p() -> None:
    game = ToyGame(load_p())
    game.inside, game.disagreement = [9, 9, 9], [6.1, lesson_4_game.GOAL]
    found = lesson_4_game.check(game)
    assert not found.right and f"{lesson_4_game.GOAL:.1f} %" in found.why
    game.disagreement.append(lesson_4_game.GOAL - 0.1)
    assert lesson_4_game.check(game).right
    game.inside[0] = lesson_4_game.LEAST_INSIDE - 1
    assert not lesson_4_game.check(game).right


def test_the_optimizer_plays_ten_rounds_and_the_start_can_be_had_again() -> None:
    page = lesson("lesson_4_game")
    at_start = page.markdown[0].value
    assert "6.1 %" in at_start
    page.button(key="press_4_rounds").click().run()
    game: ToyGame = page.session_state[lesson_4_game.GAME]
    assert len(game.inside) == lesson_4_game.ROUNDS and page.markdown[0].value != at_start
    page.button(key="press_4_again").click().run()
    assert page.markdown[0].value == at_start
    assert page.session_state[lesson_4_game.GAME].inside == []


def test_the_map_shows_both_borders_the_margin_and_which_samples_are_inside() -> None:
    view = ToyGame(load_p()).view()
    figure = plane_figure(
        view.axis, 1 - view.h_prime, view.p_lead, view.q_lead, view.samples, view.inside, (0.2, 0.9)
    )
    assert figure.data[0].type == "heatmap" and (figure.data[0].z == 1 - view.h_prime).all()
    lines = {trace.contours.start: trace.z for trace in figure.data if trace.type == "contour"}
    assert set(lines) == {0.2, 0.9, 0}
    inside, outside = figure.data[-2:]
    assert (len(inside.x), len(outside.x)) == (view.inside.sum(), (~view.inside).sum())
    assert inside.marker.symbol != outside.marker.symbol


def test_a_group_of_samples_may_be_empty() -> None:
    view = ToyGame(load_p()).view()
    everything = np.ones(SETTINGS.batch, bool)
    figure = plane_figure(
        view.axis, view.h_prime, view.p_lead, view.q_lead, view.samples, everything, (0.2, 0.9)
    )
    assert len(figure.data[-2].x) == SETTINGS.batch and figure.data[-1].x == (None,)


def test_the_score_has_a_point_a_lesson() -> None:
    figure = score_figure([6.0, 5.0, 4.5], 4.8)
    assert figure.data[0].y == (6.0, 5.0, 4.5) and figure.data[1].y == (4.8, 4.8)


# --- lesson 5 -----------------------------------------------------------------------------------


def counted(page: AppTest, predicted: str | None, count: int | None) -> AppTest:
    if predicted is not None:
        page.segmented_control(key=lesson_5_fitting.PREDICTED).set_value(predicted)
    if count is not None:
        page.segmented_control(key=lesson_5_fitting.COUNT).set_value(count)
    return checked(page, 5)


@pytest.mark.parametrize("recordings", [CLOSE], indirect=True)
def test_the_victories_are_counted_after_a_prediction(recordings: dict[str, Any]) -> None:
    page = lesson("lesson_5_fitting")
    assert page.info and not page.get("link_button")
    right, why = answer(counted(page, None, 2))
    assert not right and "Predict first" in why
    assert not answer(counted(page, "paper", 3))[0] and not page.info
    assert not page.get("link_button")
    right, why = answer(counted(page, "paper", 2))
    assert right and "2 of 3" in why and "no clear winner" in why
    told = " ".join(block.value for block in page.markdown)
    assert "overlap" in told and "91.57 %" in told and "The paper says" in told
    assert "0.30 with the margin at 0" in told and "hardly moved" in told
    assert len(page.get("link_button")) == len(MARGINS)


@pytest.mark.parametrize("recordings", [APART], indirect=True)
def test_a_clear_result_is_told_as_such(recordings: dict[str, Any]) -> None:
    page = counted(lesson("lesson_5_fitting"), "paper", 3)
    right, why = answer(page)
    assert right and "is what all seeds together show" in why
    told = " ".join(block.value for block in page.markdown)
    assert "is apart from the others" in told and "overlap" not in told


def test_a_prediction_that_the_recordings_deny_is_told() -> None:
    recorded = {
        margin: [run_of(margin, seed, final) for seed, final in enumerate(results)]
        for margin, results in APART.items()
    }
    found = lesson_5_fitting.check(recorded, "agreement", 3)
    assert found.right and "something else" in found.why


def test_a_tie_is_no_victory() -> None:
    finals = {"disagreement": [90.0, 91.0], "paper": [90.0, 92.0], "agreement": [80.0, 80.0]}
    recorded = {
        margin: [run_of(margin, seed, final) for seed, final in enumerate(results)]
        for margin, results in finals.items()
    }
    assert lesson_5_fitting.victories(recorded) == 1


@pytest.mark.parametrize(("finals", "winner"), [(CLOSE, "none"), (APART, "paper")])
def test_the_winner_is_whoever_the_recordings_name(finals: dict[str, Any], winner: str) -> None:
    def runs(results: list[float], margin: str) -> list[Any]:
        return [run_of(margin, seed, final) for seed, final in enumerate(results)]

    recorded = {margin: runs(results, margin) for margin, results in finals.items()}
    assert lesson_5_fitting.clear_winner(recorded) == winner
    if winner == "paper":
        swapped = {**recorded, "paper": recorded["agreement"], "agreement": recorded["paper"]}
        assert lesson_5_fitting.clear_winner(swapped) == "agreement"


@pytest.mark.parametrize("margin", MARGINS)
def test_a_link_starts_the_recorded_margin(margin: str) -> None:
    address, _, query = lesson_5_fitting.live_address(margin).partition("?")
    view = from_query(dict(parse_qsl(query)))
    settings = view.settings()
    assert address == "./" and not view.problems and view.preset == "quick"
    assert (settings.lambda_l, settings.lambda_u) == MARGINS[margin]


def test_lines_differ_by_more_than_colour() -> None:
    courses = [Course(name, "#000000", ((10, 0.5), (30, 0.4))) for name in "ABC"]
    agreement = h_prime_course(courses, 20)
    assert len({line.line.dash for line in agreement.data}) == 3
    assert [shape.x0 for shape in agreement.layout.shapes] == [20]
    accuracy = accuracy_course(courses, 94.0, 20)
    assert len({line.marker.symbol for line in accuracy.data[:3]}) == 3
    assert accuracy.data[-1].y == (94.0, 94.0)


# --- lesson 6 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("recordings", [APART], indirect=True)
def test_the_number_of_seeds_that_tells_is_asked_for(recordings: dict[str, Any]) -> None:
    page = lesson("lesson_6_results")
    slider = page.slider(key=lesson_6_results.SEEDS)
    assert (slider.min, slider.max, slider.value) == (1, 3, 1)
    assert not answer(checked(page, 6))[0]
    page.slider(key=lesson_6_results.SEEDS).set_value(3)
    right, why = answer(checked(page, 6))
    assert not right and "from which one on" in why
    page.checkbox(key=lesson_6_results.CANNOT).check()
    assert not answer(checked(page, 6))[0]
    page.checkbox(key=lesson_6_results.CANNOT).uncheck()
    page.slider(key=lesson_6_results.SEEDS).set_value(2)
    assert answer(checked(page, 6))[0]


@pytest.mark.parametrize("recordings", [CLOSE], indirect=True)
def test_that_it_cannot_be_told_is_an_answer(recordings: dict[str, Any]) -> None:
    page = lesson("lesson_6_results")
    page.slider(key=lesson_6_results.SEEDS).set_value(3)
    assert not answer(checked(page, 6))[0]
    page.checkbox(key=lesson_6_results.CANNOT).check()
    right, why = answer(checked(page, 6))
    assert right and "not enough runs" in why


def test_what_is_said_of_the_landscape_follows_the_numbers() -> None:
    seeds = {"paper": [91.0, 92.0]}
    assert "may be luck" in lesson_6_results.spread_text([90.0, 91.0], seeds)
    assert "may be real" in lesson_6_results.spread_text([70.0, 91.0], seeds)


def test_one_seed_has_no_interval() -> None:
    results = {"a": [1.0, 2.0, 3.0], "b": [5.0, 5.0, 6.0]}
    colours = ("#000000", "#111111")
    one, three = (seeds_figure(results, colours, count, (0, 9)) for count in (1, 3))
    assert [trace.name for trace in one.data[:-1]] == ["one run"] * 2
    (mean,) = (trace for trace in three.data if trace.name.startswith("mean") and trace.x == (0,))
    assert mean.y == (2.0,) and mean.error_y.array == pytest.approx([2.4841], abs=1e-3)
    assert len(three.data[0].y) == 3
