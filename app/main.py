"""Entry of the app: `streamlit run app/main.py`."""

from __future__ import annotations

import sys
from pathlib import Path

# Streamlit puts this file's folder on the path, not the project's.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import streamlit as st

from app.access import limit_files_where_shared, sign_in_panel
from app.glossary import PATH, TITLE
from app.look import apply_look, page_name
from app.panels.tour import tour
from app.session import keep_over_pages


@st.cache_resource(show_spinner=False)
def _leave_the_cores_to_training() -> None:
    """What a page computes itself is small: more threads would only wait for those of training."""
    import torch

    torch.set_num_threads(1)


st.set_page_config(page_title="AdaDFQ Playground", page_icon="◑", layout="wide")
_leave_the_cores_to_training()
limit_files_where_shared()
apply_look()
keep_over_pages()
sign_in_panel()
play = st.Page("views/play.py", title="Play", icon=":material/sports_esports:", default=True)
page = st.navigation(
    [
        play,
        st.Page("views/inspect.py", title="Inspect", icon=":material/image_search:"),
        st.Page("views/take_away.py", title="Take away", icon=":material/download:"),
        st.Page("views/ablation.py", title="Ablation", icon=":material/grid_on:"),
        st.Page("views/runs.py", title="Runs", icon=":material/list_alt:"),
        st.Page("views/results.py", title="Results", icon=":material/leaderboard:"),
        st.Page("views/learn.py", title="Learn", icon=":material/school:"),
        st.Page("views/glossary.py", title=TITLE, icon=":material/menu_book:", url_path=PATH),
    ],
    position="top",
)
page_name(page.title)
if page is play:
    tour()
page.run()
