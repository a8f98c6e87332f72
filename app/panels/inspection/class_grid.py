"""How each class looks over the run: rows classes, columns time."""

from __future__ import annotations

import html

import streamlit as st

from adadfq_core.inspection.class_grid import NO_SAMPLE, class_grid
from app.panels.inspection.state import Inspected, keys
from app.panels.pictures import picture

MOST_CLASSES = 20


def class_grid_panel(held: Inspected) -> None:
    """Draw the grid."""
    most = st.slider(
        "Moments", 2, 24, 12, key="grid_moments", help="Columns, evenly spread over the run."
    )
    names = held.classes
    shown = st.multiselect(
        "Classes",
        range(len(names)),
        default=range(min(len(names), MOST_CLASSES)),
        format_func=lambda index: names[index],
        key=f"grid_classes_{held.info.run_id}",
        help="Rows of the grid.",
    )
    if not shown:
        st.info("Choose at least one class.")
        return
    table = held.samples.table
    made = class_grid(table, shown, most)
    there = made.rows[made.rows != NO_SAMPLE]
    images = dict(zip(there.tolist(), held.images(table.loc[there]), strict=True))
    told = {row: key for row, key in zip(there.tolist(), keys(table.loc[there]), strict=True)}
    head = "".join(f"<th>{moment}</th>" for moment in made.moments.tolist())
    body = "".join(
        f"<tr><th>{html.escape(names[index])}</th>"
        + "".join(_cell(row, images, told, names[index]) for row in rows.tolist())
        + "</tr>"
        for index, rows in zip(shown, made.rows, strict=True)
    )
    st.html(f'<div class="class-grid"><table><tr><th>iteration</th>{head}</tr>{body}</table></div>')
    st.caption(
        "Each cell is the first image of its class in the newest stored batch by that iteration "
        "which has one: a chance draw, not the best one."
    )


def _cell(row: int, images: dict[int, object], told: dict[int, tuple[int, int]], name: str) -> str:
    if row == NO_SAMPLE:
        return '<td title="none was stored by then">·</td>'
    iteration, place = told[row]
    about = html.escape(f"{name}, iteration {iteration}, image {place + 1}")
    return f'<td title="{about}">{picture(images[row], about)}</td>'
