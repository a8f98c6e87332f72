"""The Learn page: six lessons, a screen each."""

from __future__ import annotations

from urllib.parse import urlencode

import streamlit as st

from adadfq_core.errors import InputError, RunFailed
from app.lessons import MODULES, module_of
from app.lessons.class_link import LESSON, asked_lesson, from_query, to_query
from app.lessons.question import done
from app.lessons.texts import text
from app.markdown import plain
from app.session import reads_address

CHOSEN = "lesson"
# The lesson that a link has opened, and sentences on what was bad about the link.
_PROBLEMS = "lesson_link_problems"


def restore_from_address() -> None:
    """At a session's first run, and when the reader goes back, do as the address says."""
    if not reads_address(CHOSEN):
        return
    params = st.query_params.to_dict()
    number, problems = asked_lesson(params, len(MODULES))
    values, bad = from_query(params, module_of(number).widgets())
    st.session_state.update(values)
    st.session_state[CHOSEN] = number
    st.session_state[_PROBLEMS] = (number, [*problems, *bad])


def chosen_lesson() -> int:
    """The lesson that is looked at, from 1; draws the choice."""
    answered = done()

    def name(number: int) -> str:
        mark = " ✓" if number in answered else ""
        return f"{number} · {text(f'lesson_{number}.short')}{mark}"

    number = st.segmented_control(
        text("learn.choose"),
        list(range(1, len(MODULES) + 1)),
        format_func=name,
        key=CHOSEN,
        required=True,
        label_visibility="collapsed",
    )
    # Every assignment is an entry of the browser's history. What a link sets beside the lesson
    # stays in the address, so that opening the page anew begins there again.
    if st.query_params.get(LESSON) != str(number):
        st.query_params.from_dict({LESSON: str(number)})
    return int(number)


def go(number: int) -> None:
    """Look at another lesson."""
    st.session_state[CHOSEN] = number


def class_link(number: int) -> str:
    """The address that opens lesson `number` for anyone as it is set here."""
    query = to_query(number, module_of(number).widgets(), st.session_state)
    return f"{st.context.url or ''}?{urlencode(query)}"


def page() -> None:
    """Draw the page."""
    try:
        restore_from_address()
    except (InputError, RunFailed) as error:
        st.error(plain(str(error)))
        st.session_state[CHOSEN] = 1
    with st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
    ):
        number = chosen_lesson()
        link = st.popover(text("learn.link"), icon=":material/link:")
    opened, problems = st.session_state.get(_PROBLEMS, (number, []))
    for problem in problems if opened == number else []:
        st.warning(plain(problem))
    with st.container(key="lesson_title"):
        st.markdown(f"## {text(f'lesson_{number}.title')}")
    st.markdown(text(f"lesson_{number}.idea"))
    try:
        module_of(number).draw()
        with link.container(key="class_link"):
            st.markdown(text("learn.link_about"))
            st.code(class_link(number), language=None, wrap_lines=True)
    except (InputError, RunFailed) as error:
        st.error(plain(str(error)))
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        st.button(
            text("learn.before"),
            icon=":material/arrow_back:",
            disabled=number == 1,
            on_click=go,
            args=(number - 1,),
        )
        st.button(
            text("learn.after"),
            icon=":material/arrow_forward:",
            icon_position="right",
            disabled=number == len(MODULES),
            on_click=go,
            args=(number + 1,),
        )


page()
