"""Lessons 1 to 3 on a page: each takes a right answer and sends a wrong one back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from adadfq_core.lessons import subject as subjects
from app.lessons import lesson_2_memory
from app.lessons.lesson_2_memory import BLACK, REAL, Recipe
from app.lessons.subject import quantized_top1, subject


def lesson(module: str) -> AppTest:
    def page(module: str) -> None:
        import importlib

        importlib.import_module(f"app.lessons.{module}").draw()

    shown = AppTest.from_function(page, kwargs={"module": module}, default_timeout=120).run()
    assert not shown.exception
    return shown


def answer(shown: AppTest, number: int) -> AppTest:
    shown.button(key=f"check_{number}").click().run()
    assert not shown.exception
    return shown


def is_done(shown: AppTest, number: int) -> bool:
    done = shown.session_state.get("lessons_done", set())
    assert bool(shown.success) == (number in done)
    assert bool(shown.warning) == (number not in done)
    return number in done


@pytest.fixture
def few_images(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The bundled network measured on so few images that it takes no time."""
    monkeypatch.setattr(subjects, "IMAGES", 60)
    for cached in (subject, quantized_top1):
        cached.clear()
    yield
    # By others the network and its numbers are loaded anew.
    st.cache_resource.clear()
    st.cache_data.clear()


def test_lesson_1_takes_the_fewest_bits_and_not_the_fewest_of_all(few_images: None) -> None:
    shown = lesson("lesson_1_quantization")
    top1 = subject().top1
    fewest = min(bits for bits in range(2, 9) if top1 - quantized_top1(bits) < 1)
    shown.slider(key="learn_1_bits").set_value(2).run()
    assert not is_done(answer(shown, 1), 1)
    assert "2 bits lose" in shown.warning[0].value
    shown.slider(key="learn_1_bits").set_value(fewest).run()
    assert is_done(answer(shown, 1), 1)


@pytest.mark.slow
def test_lesson_1_wants_the_fewest_bits_that_lose_less_than_a_point() -> None:
    shown = lesson("lesson_1_quantization")
    shown.slider(key="learn_1_bits").set_value(4).run()
    assert not is_done(answer(shown, 1), 1)
    assert "4 bits lose" in shown.warning[0].value
    shown.slider(key="learn_1_bits").set_value(6).run()
    assert not is_done(answer(shown, 1), 1)
    assert "fewer bits are enough" in shown.warning[0].value
    # Only what was tried is on the chart, however much the check had to measure.
    assert set(shown.session_state["lesson_1_tried_bits"]) == {4, 6, 8}
    shown.slider(key="learn_1_bits").set_value(5).run()
    assert is_done(answer(shown, 1), 1)
    assert "16 % of its 32 bits" in shown.success[0].value


def test_lesson_2_wants_a_familiar_batch_without_real_images() -> None:
    shown = lesson("lesson_2_memory")
    assert not is_done(answer(shown, 2), 2)
    assert "Change the patch size" in shown.warning[0].value
    shown.slider(key="learn_2_share").set_value(100).run()
    assert not is_done(answer(shown, 2), 2)
    assert "make images up" in shown.warning[0].value
    shown.slider(key="learn_2_share").set_value(0)
    shown.select_slider(key="learn_2_patch").set_value(4).run()
    assert not is_done(answer(shown, 2), 2)
    assert "brightness and contrast" in shown.warning[0].value
    shown.slider(key="learn_2_brightness").set_value(0.1)
    shown.slider(key="learn_2_contrast").set_value(0.5).run()
    assert is_done(answer(shown, 2), 2)


@pytest.mark.parametrize(
    ("recipe", "told"), [(Recipe(REAL), "make images up"), (Recipe(BLACK), "no spread")]
)
def test_lesson_2_refuses_real_and_black_batches(recipe: Recipe, told: str) -> None:
    verdict = lesson_2_memory.check(recipe)
    assert not verdict.right and told in verdict.why


def test_lesson_2_real_images_are_the_most_familiar() -> None:
    real, black, noise = (
        lesson_2_memory.loss(recipe) for recipe in (Recipe(REAL), Recipe(BLACK), Recipe("made"))
    )
    assert real < 0.1 * lesson_2_memory.LIMIT < lesson_2_memory.LIMIT < min(black, noise)


@pytest.mark.parametrize(
    ("logits", "told"),
    [
        ({}, "nearly the same"),
        ({"learn_3_p_0": 6.0, "learn_3_q_0": -6.0, "learn_3_q_1": 6.0}, "too far apart"),
        ({"learn_3_p_0": 4.5, "learn_3_q_0": 2.5}, "do not give two different answers"),
    ],
)
def test_lesson_3_says_what_a_sample_lacks(logits: dict[str, Any], told: str) -> None:
    shown = lesson("lesson_3_adaptability")
    for key, value in logits.items():
        shown.slider(key=key).set_value(value)
    assert not is_done(answer(shown.run(), 3), 3)
    assert told in shown.warning[0].value


def test_lesson_3_takes_a_sample_inside_the_margin_with_two_answers() -> None:
    shown = lesson("lesson_3_adaptability")
    shown.slider(key="learn_3_q_0").set_value(0.0)
    shown.slider(key="learn_3_q_1").set_value(2.0).run()
    assert is_done(answer(shown, 3), 3)
