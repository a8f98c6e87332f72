"""What can be done with the runs that were chosen in the table."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import streamlit as st

from adadfq_core import runs
from adadfq_core.runs import RunInfo
from adadfq_core.runs.archive_format import SUFFIX
from adadfq_core.runs.labels import MOST_NOTE_CHARACTERS, MOST_TAGS
from app import access
from app.markdown import plain
from app.navigation import TAKEN_RUN, open_game, open_take_away
from app.panels.inspection.state import open_inspection
from app.panels.runs.outlets import outlets_panel
from app.panels.runs.told import attempt

MOST_COMPARED = 12
_LISTED = 8
# Where other pages keep the run that they show.
_LOOKED_AT = ("run_id", "beside", "inspect_run", TAKEN_RUN)


def chosen_panel(root: Path, chosen: Sequence[RunInfo], known_tags: Sequence[str]) -> None:
    """Draw what can be done; at least one run is chosen."""
    _buttons(root, chosen)
    if len(chosen) == 1:
        _labels(root, chosen[0], known_tags)
    elif len(chosen) <= MOST_COMPARED:
        _comparison(root, chosen)
    else:
        st.caption(f"At most {MOST_COMPARED} runs are compared side by side; choose fewer.")


def _buttons(root: Path, chosen: Sequence[RunInfo]) -> None:
    alone = len(chosen) == 1
    unended = not all(info.ended for info in chosen)
    active = any(info.active for info in chosen)
    refusal = next(filter(None, map(access.why_not, chosen)), "")
    run_id = chosen[0].run_id
    with st.container(horizontal=True, vertical_alignment="center", key="runs_actions"):
        st.markdown(f"**{run_id}**" if alone else f"**{len(chosen)} runs chosen**")
        for label, icon, go in (
            ("Open in Play", ":material/sports_esports:", open_game),
            ("Open in Inspect", ":material/image_search:", open_inspection),
            ("Take Q away", ":material/deployed_code:", open_take_away),
        ):
            st.button(label, icon=icon, disabled=not alone, on_click=go, args=(run_id,))
        st.download_button(
            "Export",
            partial(_archive, root, run_id),
            file_name=f"{run_id}{SUFFIX}",
            mime="application/zip",
            icon=":material/download:",
            disabled=not alone or unended,
            on_click="ignore",
            help="The run with its log, images and checkpoints as one file, which Import takes "
            "here or elsewhere. Made when it is pressed, once the run has ended.",
        )
        with st.popover("Other tools", icon=":material/monitoring:"):
            outlets_panel([info.run_id for info in chosen])
        if st.button(
            "Delete …",
            icon=":material/delete:",
            disabled=active or bool(refusal),
            help="A run that goes on has to be stopped first."
            if active
            else plain(refusal) or "Asks first.",
        ):
            _confirm_deletion(root, chosen)


def _archive(root: Path, run_id: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.zip"
        runs.export_run(root, run_id, path)
        return path.read_bytes()


@st.dialog("Delete for good?")
def _confirm_deletion(root: Path, chosen: Sequence[RunInfo]) -> None:
    use = runs.disk_use(root, [info.run_id for info in chosen])
    named = [f"{run_id}  {size / 1e6:.1f} MB" for run_id, size in use.items()]
    if len(named) > _LISTED:
        named[_LISTED:] = [f"and {len(named) - _LISTED} more"]
    st.text("\n".join(named))
    what = "This run goes with all its" if len(use) == 1 else "They go with all their"
    st.markdown(
        f"{what} settings, images and networks, which frees **{sum(use.values()) / 1e6:.1f} MB** "
        "of disk. It cannot be undone. Cells of sweeps stay, without their numbers."
    )
    delete, keep = st.columns(2)
    if delete.button("Delete", type="primary", width="stretch"):
        with st.spinner("deleting …"):
            attempt(partial(_delete, root, list(use)))
        st.rerun()
    if keep.button("Keep", width="stretch"):
        st.rerun()


def _delete(root: Path, run_ids: Sequence[str]) -> str:
    freed = access.delete_runs(root, run_ids)
    for name in _LOOKED_AT:
        if st.session_state.get(name) in run_ids:
            del st.session_state[name]
    what = "One run is" if len(run_ids) == 1 else f"{len(run_ids)} runs are"
    return f"{what} deleted, {freed / 1e6:.1f} MB freed."


def _labels(root: Path, info: RunInfo, known_tags: Sequence[str]) -> None:
    if info.reason:
        st.text(f"{info.status}: {info.reason}")
    with st.form(f"runs_labels_{info.run_id}"):
        tags = st.multiselect(
            "Tags",
            sorted({*known_tags, *info.tags}),
            default=info.tags,
            accept_new_options=True,
            max_selections=MOST_TAGS,
            placeholder="choose, or write new ones",
        )
        note = st.text_area("Note", info.note, max_chars=MOST_NOTE_CHARACTERS, height=110)
        if st.form_submit_button("Save tags and note"):
            attempt(partial(_save_labels, root, info.run_id, tags, note))
            st.rerun()


def _save_labels(root: Path, run_id: str, tags: Sequence[str], note: str) -> str:
    access.set_labels(root, run_id, tags, note)
    return f"Tags and note of {run_id} are saved."


def _comparison(root: Path, chosen: Sequence[RunInfo]) -> None:
    settings = [runs.current_settings(root, info.run_id) for info in chosen]
    table = comparison_table([info.run_id for info in chosen], runs.differences(settings))
    if table.empty:
        st.caption("The settings of these runs are the same.")
        return
    st.markdown("## What differs in their settings")
    st.dataframe(table, hide_index=True, key="runs_comparison")
    st.caption("As in force at the end of each run, with what was changed while it went.")


def comparison_table(run_ids: Sequence[str], rows: Sequence[runs.Difference]) -> pd.DataFrame:
    """A row a setting, a column a run; values as texts, since a column has many kinds of them."""
    columns = {"setting": [row.name for row in rows]}
    for place, run_id in enumerate(run_ids):
        columns[run_id] = [_written(row.values[place]) for row in rows]
    return pd.DataFrame(columns)


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "–" if value in (None, "") else str(value)
