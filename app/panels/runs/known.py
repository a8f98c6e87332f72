"""All runs of the store as a table, read again only as far as they have changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from adadfq_core import runs
from adadfq_core.runs import RunInfo
from adadfq_core.runs.summary import Summary
from app.panels.runs.frame import reader_zone, runs_frame

Held = dict[str, tuple[float, Summary]]
"""Summaries by run, each with the moment of the run's state that it belongs to."""


@st.cache_resource(show_spinner=False)
def _held(root: Path) -> Held:
    return {}


def brought_up_to_date(root: Path, infos: Sequence[RunInfo], held: Held) -> dict[str, Summary]:
    """The summaries of `infos`, only those read that have changed since they were `held`.

    Runs that were deleted since `infos` was read are left out.
    """
    changed = [
        info for info in infos if info.run_id not in held or held[info.run_id][0] != info.updated
    ]
    if changed:
        read = runs.summaries(root, [info.run_id for info in changed])
        for info in changed:
            if info.run_id in read:
                held[info.run_id] = (info.updated, read[info.run_id])
    return {info.run_id: held[info.run_id][1] for info in infos if info.run_id in held}


def known_runs(root: Path) -> tuple[list[RunInfo], pd.DataFrame]:
    """All runs, newest first, and the table of them; both empty where there is none.

    Raises:
        InputError, RunFailed: the store cannot be read.
    """
    infos = runs.list_runs(root)
    reached = brought_up_to_date(root, infos, _held(root))
    infos = [info for info in infos if info.run_id in reached]
    if not infos:
        return [], pd.DataFrame()
    zone = reader_zone(st.context.timezone)
    return infos, runs_frame(infos, reached, runs.sweeps_of_runs(root), zone)
