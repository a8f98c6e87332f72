"""A lesson's question, answered by doing, and the answer that checks itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from app.lessons.texts import text

WIDGETS = "learn_"
"""The names of the lessons' widgets begin with it."""

_VERDICT = "lesson_verdict_"
_DONE = "lessons_done"


@dataclass(frozen=True)
class Verdict:
    """Whether what was done answers the question, and why, as Markdown of our own texts."""

    right: bool
    why: str


def ask(lesson: int, question: str, check: Callable[[], Verdict]) -> None:
    """Draw the question of a lesson with a button that checks what the reader has set.

    `check` looks at the model as it stands when the button is pressed.
    """
    with st.container(border=True, key=f"question_{lesson}"):
        st.markdown(f"**{text('learn.question')}** {question}")
        if st.button(text("learn.check"), key=f"check_{lesson}", type="primary"):
            verdict = check()
            st.session_state[f"{_VERDICT}{lesson}"] = verdict, _touched()
            if verdict.right and lesson not in done():
                st.session_state[_DONE] = done() | {lesson}
                # The lesson's name above, drawn already, gets its mark.
                st.rerun()
        found: Verdict | None
        found, then = st.session_state.get(f"{_VERDICT}{lesson}", (None, None))
        # Once something has been moved, the verdict is about what is not there any more.
        if found is None or then != _touched():
            return
        if found.right:
            st.success(f"{text('learn.right')} {found.why}", icon=":material/check_circle:")
        else:
            st.warning(f"{text('learn.wrong')} {found.why}", icon=":material/replay:")


def _touched() -> dict[str, Any]:
    """Where the lessons' widgets stand; what their charts keep of themselves is left out."""
    return {
        str(name): value
        for name, value in st.session_state.items()
        if str(name).startswith(WIDGETS) and isinstance(value, int | float | str)
    }


def done() -> frozenset[int]:
    """The lessons whose question this session has answered."""
    answered: frozenset[int] = st.session_state.get(_DONE, frozenset())
    return answered
