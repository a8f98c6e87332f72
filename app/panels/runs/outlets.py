"""How chosen runs get into TensorBoard and MLflow.

The page tells the commands instead of doing it: what a page writes to a folder, or sends to an
address, anyone who reaches the page could choose.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import streamlit as st

INSTALL = "pip install -r requirements-tracking.txt"


def commands(run_ids: Sequence[str]) -> dict[str, str]:
    """The shell command for each tool that takes these runs, by the tool's name."""
    names = shlex.join(run_ids)
    return {
        "TensorBoard": f"python -m adadfq_core runs tensorboard {names} --out events",
        "MLflow": f"python -m adadfq_core runs mlflow {names} "
        "--tracking-uri http://localhost:5000 --experiment AdaDFQ",
    }


def outlets_panel(run_ids: Sequence[str]) -> None:
    """Draw the commands, each to be copied."""
    for tool, command in commands(run_ids).items():
        st.markdown(f"**{tool}**")
        st.code(command, language="bash", wrap_lines=True)
    st.caption(
        f"In a shell, once after `{INSTALL}`. Again, and only what is new is added; with "
        "`--follow` while a run goes."
    )
