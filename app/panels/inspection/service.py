"""Answers of the inspection process, and what a page shows while it waits for them."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from adadfq_core.home import cache_folder
from adadfq_core.inspection.replies import Reply
from adadfq_core.inspection.requests import Request
from adadfq_core.inspection.service import InspectionService
from adadfq_core.inspection.states import Answered, NotAsked, Refused, State, Waiting, Working
from app.markdown import plain

POLL_SECONDS = 0.4

AnyReply = TypeVar("AnyReply", bound=Reply)


@st.cache_resource(show_spinner=False)
def _service() -> InspectionService:
    return InspectionService(cache_folder())


def _slot(name: str) -> str:
    """A place of this session's own, whose newest request alone is worked on."""
    session = st.session_state.setdefault("inspection_session", secrets.token_hex(8))
    return f"{session}-{name}"


def _progress(state: State) -> None:
    if isinstance(state, Working):
        st.progress(state.share or 0.0, text=f"{state.stage} …")
    else:
        st.progress(0.0, text="waiting for the process that looks at networks …")


def when_answered(
    request: Request, name: str, kind: type[AnyReply], draw: Callable[[AnyReply], None]
) -> None:
    """Draw the answer to `request`, or how far it is; the rest of the page never waits.

    Args:
        name: of the place on the page; its newest request is the one that counts.
        kind: what the answer is.
        draw: draws it.
    """
    slot = _slot(name)
    _service().submit(request, slot)
    state = _service().state(request)
    if not isinstance(state, NotAsked | Waiting | Working):
        _settled(state, kind, draw)
        return

    @st.fragment(run_every=POLL_SECONDS)
    def wait() -> None:
        now = _service().state(request)
        if isinstance(now, NotAsked):
            # Another of this session's tabs has asked for something else at this place.
            _service().submit(request, slot)
        if isinstance(now, Answered | Refused):
            st.rerun()
        _progress(now)

    wait()


def _settled(state: State, kind: type[AnyReply], draw: Callable[[AnyReply], None]) -> None:
    if isinstance(state, Refused):
        st.warning(plain(state.sentence))
    elif isinstance(state, Answered):
        assert isinstance(state.reply, kind)
        draw(state.reply)
