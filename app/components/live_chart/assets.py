"""How the component's scripts reach the browser.

Streamlit sends an inline component script again with every update, and a component can be served
from files only when it belongs to an installed package. So the inline part is a loader of a few
lines; it imports the real module, and the module imports Plotly, from Streamlit's media store, the
place that serves pictures of `st.image`. The address is a hash of the content: charts of one page
share one copy, and a new version never meets an old one in a cache. Plotly's script comes out of
the plotly wheel, so it always matches the figures that the same wheel makes.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import plotly.offline
import streamlit as st
from streamlit import runtime

_FRONTEND = Path(__file__).parent / "frontend"


def read_frontend(name: str) -> str:
    """Return the text of a file of `frontend/`."""
    return (_FRONTEND / name).read_text(encoding="utf-8")


def publish() -> dict[str, str]:
    """Make the scripts available to this session and return where they are.

    To be called in each run that draws a chart: at the end of a run Streamlit forgets files that
    the run did not mention. The addresses are relative to the app's root, which only the browser
    knows when a proxy adds a path; `basePath` is the configured one.
    """
    store = runtime.get_instance().media_file_mgr
    module_url, plotly_url = (
        store.add(content, "text/javascript", f"live_chart/{name}")
        for name, content in (("module", _module()), ("plotly", _plotly()))
    )
    base_path = str(st.get_option("server.baseUrlPath")).strip("/")
    return {
        "module": module_url,
        "plotly": plotly_url,
        "basePath": f"/{base_path}" if base_path else "",
    }


@cache
def _module() -> bytes:
    return read_frontend("live_chart.js").encode()


@cache
def _plotly() -> bytes:
    return plotly.offline.get_plotlyjs().encode()
