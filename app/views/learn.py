"""The Learn page: six lessons, a screen each."""

from __future__ import annotations

import importlib

import streamlit as st

from adadfq_core.errors import InputError, RunFailed
from app.lessons.question import done
from app.lessons.texts import text
from app.markdown import plain

# In their order; a module is imported when its lesson is looked at, as some need PyTorch.
MODULES = (
    "lesson_1_quantization",
    "lesson_2_memory",
    "lesson_3_adaptability",
    "lesson_4_game",
    "lesson_5_fitting",
    "lesson_6_results",
)
CHOSEN = "lesson"


def chosen_lesson() -> int:
    """The lesson that is looked at, from 1; draws the choice."""
    numbers = range(1, len(MODULES) + 1)
    if CHOSEN not in st.session_state:
        asked = st.query_params.get(CHOSEN, "1")
        st.session_state[CHOSEN] = int(asked) if asked in map(str, numbers) else 1
    answered = done()

    def name(number: int) -> str:
        mark = " ✓" if number in answered else ""
        return f"{number} · {text(f'lesson_{number}.short')}{mark}"

    number = st.segmented_control(
        text("learn.choose"),
        list(numbers),
        format_func=name,
        key=CHOSEN,
        required=True,
        label_visibility="collapsed",
    )
    st.query_params[CHOSEN] = str(number)
    return int(number)


def go(number: int) -> None:
    """Look at another lesson."""
    st.session_state[CHOSEN] = number


def page() -> None:
    """Draw the page."""
    number = chosen_lesson()
    st.markdown(f"## {text(f'lesson_{number}.title')}")
    st.markdown(text(f"lesson_{number}.idea"))
    try:
        importlib.import_module(f"app.lessons.{MODULES[number - 1]}").draw()
    except (InputError, RunFailed) as error:
        st.error(plain(str(error)))
    before, after = st.columns(2)
    before.button(
        text("learn.before"),
        icon=":material/arrow_back:",
        disabled=number == 1,
        on_click=go,
        args=(number - 1,),
    )
    after.button(
        text("learn.after"),
        icon=":material/arrow_forward:",
        disabled=number == len(MODULES),
        on_click=go,
        args=(number + 1,),
    )


page()
