"""The table of runs with its filters, from which the reader chooses."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.panels.runs.frame import RunFilter, matching

_MOST_ROWS_HIGH = 14
_MOST_PIXELS_HIGH = 500
_PERCENT = "%.2f %%"
_NUMBER = st.column_config.NumberColumn
_TEXT = st.column_config.TextColumn

COLUMNS = {
    "run_id": _TEXT("run", pinned=True, width=205),
    "created": st.column_config.DatetimeColumn(
        "created", format="YYYY-MM-DD HH:mm", help="In your time zone."
    ),
    "state": _TEXT("status", help="Of one that waits, with its place in the queue."),
    "preset": _TEXT("preset"),
    "network": _TEXT("network"),
    "bits": _TEXT("bits", help="Of weights and activations."),
    "method": _TEXT("method"),
    "seed": _NUMBER("seed", format="%d"),
    "lambda_l": _NUMBER("λ_l", format="%.4g", help="Lower boundary of H' at the start."),
    "lambda_u": _NUMBER("λ_u", format="%.4g", help="Upper boundary of H' at the start."),
    "top1_p": _NUMBER("P", format=_PERCENT, help="Top-1 of P."),
    "top1_q_calibrated": _NUMBER(
        "Q calibrated", format=_PERCENT, help="Top-1 of Q before its first move."
    ),
    "top1_q_last": _NUMBER("Q last", format=_PERCENT, help="Top-1 of Q at its last measurement."),
    "recovered": _NUMBER(
        "recovered", format="%.0f %%", help="Share of the gap between calibrated Q and P."
    ),
    "iteration": _NUMBER("iterations", format="%d", help="Iterations done."),
    "sweep": _TEXT("sweep"),
    "tags": st.column_config.ListColumn("tags", width="medium"),
    "note": _TEXT("note", width="medium"),
    "owner": _TEXT("owner", help="Who started or imported it."),
}


def filters_row(frame: pd.DataFrame) -> tuple[RunFilter, DeltaGenerator]:
    """Draw the filters and Refresh; returns what is wanted, and the place that is left."""
    text, status, tag, sweep, again, rest = st.columns(
        [5, 3, 3, 3, 2, 2], vertical_alignment="bottom"
    )
    words = text.text_input(
        "Search",
        key="filter_runs_text",
        placeholder="id, tags, note, preset, network",
        icon=":material/search:",
        help="Words that must all occur.",
    )
    names = dict(zip(frame["sweep_id"], frame["sweep"], strict=True))
    names.pop("", None)
    wanted = RunFilter(
        words,
        _chosen(status, "Status", "filter_runs_status", frame["status"]),
        _chosen(tag, "Tags", "filter_runs_tags", frame["tags"].explode().dropna()),
        _chosen(sweep, "Sweep", "filter_runs_sweeps", names, names),
    )
    again.button(
        "Refresh",
        icon=":material/refresh:",
        width="stretch",
        help="Read what has changed meanwhile.",
    )
    return wanted, rest


def _chosen(
    place: DeltaGenerator,
    label: str,
    key: str,
    values: Iterable[str],
    names: dict[str, str] | None = None,
) -> tuple[str, ...]:
    # What is chosen may be gone: the last run with a tag was deleted.
    offered = sorted({*values, *st.session_state.get(key, ())})
    return tuple(
        place.multiselect(
            label,
            offered,
            key=key,
            placeholder="all",
            format_func=lambda value: (names or {}).get(value, value),
        )
    )


def table_panel(frame: pd.DataFrame, wanted: RunFilter) -> list[str]:
    """Draw the runs that pass; returns the ids of the chosen ones, in the table's order."""
    shown = matching(frame, wanted)
    if shown.empty:
        st.info(
            f"None of the {len(frame):,} runs passes all filters; take one of them away.",
            icon=":material/filter_alt_off:",
        )
        return []
    ids = shown["run_id"].tolist()
    some = f"{len(ids):,} of {len(frame):,}" if len(ids) < len(frame) else f"{len(ids):,}"
    # Above the table, where its own buttons come to lie over what stands there.
    st.caption(f"{some} {'run' if len(frame) == 1 else 'runs'}")
    # Rows are chosen by their places, so that other rows need another table.
    digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]
    columns = [name for name in COLUMNS if name != "owner" or frame["owner"].any()]
    state = st.dataframe(
        shown[columns],
        key=f"runs_table_{digest}",
        hide_index=True,
        height="content" if len(ids) <= _MOST_ROWS_HIGH else _MOST_PIXELS_HIGH,
        column_config=COLUMNS,
        placeholder="–",
        on_select="rerun",
        selection_mode="multi-row",
    )
    return [ids[place] for place in state.selection.rows]
