"""Entry of the app: `streamlit run app/main.py`."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

# Streamlit puts this file's folder on the path, not the project's.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import streamlit as st

from app.look import apply_look


@st.cache_resource(show_spinner=False)
def _set_imported_modules_aside() -> None:
    """Keep the garbage collector off what is imported once and stays.

    Streamlit collects all garbage after every run of a script, and here looking through torch and
    its like takes longer than all the rest of a refresh.
    """
    from app.panels import run_charts  # noqa: F401

    gc.collect()
    gc.freeze()


st.set_page_config(page_title="AdaDFQ Playground", page_icon="◑", layout="wide")
_set_imported_modules_aside()
apply_look()
st.navigation(
    [
        st.Page("views/play.py", title="Play", icon=":material/sports_esports:", default=True),
        st.Page("views/inspect.py", title="Inspect", icon=":material/image_search:"),
    ],
    position="top",
).run()
