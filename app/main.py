"""Entry of the app: `streamlit run app/main.py`."""

from __future__ import annotations

import sys
from pathlib import Path

# Streamlit puts this file's folder on the path, not the project's.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import streamlit as st

st.set_page_config(page_title="AdaDFQ Playground", page_icon="◑", layout="wide")
st.navigation([st.Page("views/play.py", title="Play", default=True)], position="hidden").run()
