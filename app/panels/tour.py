"""A tour of the Play page for whoever sees it first: a card that points at one part at a time.

It runs in the browser alone: no step of it costs a run of the script.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import streamlit as st

from app.components import assets
from app.lessons.texts import all_texts

_FOLDER = Path(__file__).parent

# Where each step points, as CSS selectors: at the first that is to be seen, so that there is one
# with a run and one without. A step none of whose places is there is left out.
PLACES = {
    "players": (".welcome", ".st-key-players"),
    "start": (".st-key-transport",),
    "watch": (
        ".st-key-live .live-chart-frame",
        ".waiting",
        ".run-status",
        '[data-testid="stMain"] [data-testid="stAlert"]',
    ),
    "margin": (".st-key-setting_lambda_l",),
    "further": ('[data-testid="stTopNavLink"][href$="/inspect"]',),
    "learn": ('[data-testid="stTopNavLink"][href$="/learn"]',),
}
_OFFERED = "tour_offered"

_mount = st.components.v2.component(
    "adadfq_tour", js=assets.LOADER, css=(_FOLDER / "tour.css").read_text(encoding="utf-8")
)


def tour() -> None:
    """Draw the button that starts the tour, and start it at a first visit; call it on Play alone.

    The browser remembers that it has shown the tour. A page that was opened by a link, or that
    shows a run which was chosen elsewhere, waits for the button. To be called before the page
    writes its own address.
    """
    if _OFFERED not in st.session_state:
        st.session_state[_OFFERED] = not st.query_params and "run_id" not in st.session_state
    words = all_texts()["tour"]
    _mount(
        key="tour",
        data={
            "words": {
                name: words[name] for name in ("button", "back", "next", "skip", "done", "step")
            },
            "steps": [
                {**words["steps"][name], "places": list(places)} for name, places in PLACES.items()
            ],
            "byItself": st.session_state[_OFFERED],
            "assets": assets.publish("tour", module=_module()),
        },
    )


@cache
def _module() -> assets.File:
    return (_FOLDER / "tour.js").read_bytes(), assets.SCRIPT
