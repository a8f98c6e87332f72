"""The link for the class: what a lesson is set to goes into an address and comes out again."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.lessons import MODULES, module_of
from app.lessons.class_link import asked_lesson, from_query, to_query
from app.lessons.widgets import Choice, Span

MAIN = str(Path(__file__).resolve().parents[3] / "app" / "main.py")
LESSONS = {number: module_of(number) for number in range(1, len(MODULES) + 1)}


def any_value(widget: Span | Choice, chance: random.Random) -> Any:
    if isinstance(widget, Choice):
        return chance.choice((*widget.options, widget.start))
    steps = round((widget.high - widget.low) / widget.step)
    return round(widget.low + chance.randint(0, steps) * widget.step, 6)


@pytest.mark.parametrize("number", LESSONS)
def test_what_a_lesson_is_set_to_comes_back_from_its_link(number: int) -> None:
    widgets = LESSONS[number].widgets()
    chance = random.Random(number)
    for _ in range(50):
        values = {key: any_value(widget, chance) for key, widget in widgets.items()}
        query = to_query(number, widgets, values)
        assert asked_lesson(query, 6) == (number, ())
        read, problems = from_query(query, widgets)
        starts = {key: widget.start for key, widget in widgets.items()}
        assert not problems and starts | read == values
        for key, value in read.items():
            # Sliders take whole numbers and decimals apart.
            assert type(value) is type(values[key])


def test_a_lesson_at_its_start_has_a_link_without_values() -> None:
    widgets = LESSONS[3].widgets()
    starts = {key: widget.start for key, widget in widgets.items()}
    assert to_query(3, widgets, starts) == {"lesson": "3"}


@pytest.mark.parametrize(
    ("number", "parameter", "written"),
    [
        (1, "w.bits", "9"),
        (1, "w.bits", "4.5"),
        (1, "w.bits", "nan"),
        (1, "w.bits", "1e1"),
        (1, "w.bits", ""),
        (1, "w.number", "0.33"),
        (1, "w.layer", "os.getcwd"),
        (1, "w.layer", "../../etc/passwd"),
        (2, "w.source", "<script>alert(1)</script>"),
        (3, "w.p_0", "-6.5"),
        (4, "w.x", "9" * 5000),
        (5, "w.predicted", "None"),
        (6, "w.cannot", "1"),
        (3, "w.bits", "4"),
        (3, "w." + "x" * 5000, "4"),
    ],
)
def test_a_bad_value_is_told_and_left_out(number: int, parameter: str, written: str) -> None:
    values, problems = from_query({parameter: written}, LESSONS[number].widgets())
    (told,) = problems
    assert values == {} and len(told) < 250
    assert "left out" in told and "link" in told


def test_a_bad_value_costs_no_good_one_and_other_parameters_are_ignored() -> None:
    query = {"w.p_0": "3.5", "w.q_0": "99", "utm_source": "mail", "s.lambda_l": "0.2"}
    values, problems = from_query(query, LESSONS[3].widgets())
    assert values == {"learn_3_p_0": 3.5}
    assert len(problems) == 1 and "from -6 to 6 in steps of 0.5" in problems[0]


@pytest.mark.parametrize("asked", ["0", "7", "one", "", "1" * 5000])
def test_a_lesson_that_there_is_not_is_told(asked: str) -> None:
    number, (told,) = asked_lesson({"lesson": asked}, 6)
    assert number == 1 and "lessons 1 to 6" in told and len(told) < 200


def test_the_page_begins_as_the_link_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path))
    page = AppTest.from_file(MAIN, default_timeout=60).run()
    page.switch_page("views/learn.py")
    for name, value in {"lesson": "3", "w.q_1": "4", "w.q_2": "<b>99"}.items():
        page.query_params[name] = value
    page.run()
    assert not page.exception
    assert page.session_state["lesson"] == 3
    assert page.slider(key="learn_3_q_1").value == 4.0
    assert page.slider(key="learn_3_q_2").value == 0.0
    (told,) = page.warning
    assert r"\<b\>99" in told.value
    assert "lesson=3&w.q_1=4" in page.code[0].value
    page.slider(key="learn_3_q_1").set_value(5.0).run()
    page.button(key="check_3").click().run()
    # The next lesson begins at its own start, under its own address.
    page.session_state["lesson"] = 4
    page.run()
    assert not page.exception and not page.warning
    assert page.query_params == {"lesson": "4"} or page.query_params["lesson"] == ["4"]
