"""The pictures of a sweep, each with what it can be told to show."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from adadfq_core.ablation.h_prime import h_prime_by_epoch, last_h_prime
from adadfq_core.ablation.names import html_symbol, measure, value_text, words
from adadfq_core.ablation.q_loss import q_loss_by_epoch
from adadfq_core.ablation.states import CellStatus
from adadfq_core.ablation.tables import ordered
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.inspection.latest_sheet import LatestSheet, latest_sheet
from app.charts.ablation.bits import BITS_AXES, LINE_AXES, bits_figure, bits_frame
from app.charts.ablation.epochs import epochs_figure, epochs_frame
from app.charts.ablation.heat_map import heat_map_figure, heat_map_frame
from app.charts.ablation.labels import value_name
from app.charts.ablation.losses import losses_figure, losses_frame
from app.charts.ablation.mirrored import mirrored_figure, mirrored_frame
from app.charts.ablation.panels import Group
from app.charts.ablation.parallel import parallel_figure, parallel_rows
from app.charts.ablation.surface import surface_figure
from app.components.live_chart import Download, live_chart
from app.markdown import JOINER, plain
from app.panels.ablation.choices import (
    choice_row,
    choose_axis,
    choose_fixed,
    choose_measure,
    is_crossed,
    numeric_axes,
    varied_axes,
)
from app.panels.ablation.state import Sweep, choose_runs

HEIGHT = 560
# Groups of runs whose H' is drawn: each reads the logs of its runs.
MOST_GROUPS = 12


@dataclass(frozen=True)
class Figure:
    """A picture: whether a sweep's table has what it needs, and how it is drawn."""

    fits: Callable[[pd.DataFrame], bool]
    draw: Callable[[Path, Sweep], None]


def offered(frame: pd.DataFrame) -> list[str]:
    """The pictures that the sweep has the axes for."""
    return [name for name, figure in FIGURES.items() if figure.fits(frame)]


def _show(
    sweep: Sweep,
    name: str,
    title: str,
    figure: go.Figure,
    behind: Callable[[], pd.DataFrame],
    choice: object,
) -> None:
    """Draw a picture under a heading; its runs are chosen by a click.

    Args:
        name: of the picture, for its files.
        behind: the numbers behind it, asked for when they are downloaded.
        choice: what the reader chose to see: with another choice zoom and camera start afresh.
    """

    def choose(point: dict[str, Any]) -> None:
        if point["customdata"]:
            choose_runs(sweep.sweep_id, point["customdata"])

    live_chart(
        figure,
        key=f"ablation_chart_{name}",
        revision=f"{sweep.sweep_id} {choice}",
        title=title,
        height=HEIGHT,
        alt=title,
        on_click=choose,
        download=Download(
            f"{sweep.sweep_id}-{name}",
            lambda: behind().to_csv(index=False, lineterminator="\n"),
        ),
    )


def _axis_name(axis: str) -> str:
    return html_symbol(axis) or words(axis)


def _unmarked(name: str) -> str:
    """A name within a figure's text in letters alone, with `λ_l` for what has a subscript there."""
    return html.unescape(name.replace("<sub>", "_").replace("</sub>", ""))


def _held(fixed: dict[str, Any]) -> str:
    """The values of the axes that are held, for a chart's heading, which knows subscripts."""
    held = ((axis, value_text(value).replace("<", f"<{JOINER}")) for axis, value in fixed.items())
    return "".join(f", {_axis_name(axis)} = {value}" for axis, value in held)


def _over_two(sweep: Sweep, name: str, axes: list[str], make: Callable[..., go.Figure]) -> None:
    frame, sweep_id = sweep.frame, sweep.sweep_id
    row = choice_row()
    value = choose_measure(row, sweep_id)
    x = choose_axis(row, sweep_id, "Across", axes, "across")
    y = choose_axis(row, sweep_id, "Up", [axis for axis in axes if axis != x], "up")
    fixed = choose_fixed(row, frame, sweep_id, (x, y))
    what = measure(value).title
    _show(
        sweep,
        name,
        f"{what[:1].upper()}{what[1:]} over {_axis_name(x)} and {_axis_name(y)}{_held(fixed)}",
        make(frame, x, y, value, fixed),
        lambda: heat_map_frame(frame, x, y, value, fixed),
        (x, y, value, fixed),
    )


def _heat_map(_: Path, sweep: Sweep) -> None:
    _over_two(sweep, "heat-map", varied_axes(sweep.frame), heat_map_figure)


def _surface(_: Path, sweep: Sweep) -> None:
    _over_two(sweep, "surface", numeric_axes(sweep.frame), surface_figure)


def _parallel(_: Path, sweep: Sweep) -> None:
    left, right = st.columns(2)
    value = choose_measure(left, sweep.sweep_id)
    best: int = right.slider(
        "Best of the runs",
        10,
        100,
        100,
        10,
        format="%d %%",
        key=f"sweep_best_{sweep.sweep_id}",
        help="Leave the rest out. Drag along an axis to see only the lines that cross it there.",
    )
    rows = parallel_rows(sweep.frame, value, best / 100)
    part = "all" if best == 100 else f"best {best} % of"
    title = f"Settings and {measure(value).title}, {part} runs"
    _show(sweep, "parallel", title, parallel_figure(rows, value), lambda: rows, (value, best))


def _bits(_: Path, sweep: Sweep) -> None:
    frame = sweep.frame
    varied = varied_axes(frame)
    bits = next(axis for axis in BITS_AXES if axis in varied)
    lines = [axis for axis in LINE_AXES if axis in varied][:1]
    fixed = choose_fixed(choice_row(), frame, sweep.sweep_id, [bits, *lines])
    _show(
        sweep,
        "bits",
        f"Top-1 against {words(bits)}{_held(fixed)}",
        bits_figure(frame, fixed),
        lambda: bits_frame(frame, fixed),
        fixed,
    )


def _grouping_axes(frame: pd.DataFrame) -> list[str]:
    return [axis for axis in varied_axes(frame) if len(ordered(frame[axis])) <= MOST_GROUPS]


def groups_of(sweep: Sweep, by: str, fixed: dict[str, Any]) -> list[Group]:
    """The runs that have come to their end, one group for each value of the axis `by`.

    The margin is that of the group's first cell.
    """
    cells = {cell.index: cell for cell in sweep.info.plan.cells}
    ended = sweep.frame[sweep.frame["status"].isin([CellStatus.FINISHED, CellStatus.HALVED])]
    ended = ended.dropna(subset=["run_id"])
    for axis, value in fixed.items():
        ended = ended[ended[axis] == value]
    groups = []
    for value in ordered(sweep.frame[by]):
        rows = ended[ended[by] == value]
        if rows.empty:
            continue
        settings = sweep.info.plan.settings(cells[rows["cell"].iloc[0]])
        name = f"{_axis_name(by)} = {value_name(value)}"
        groups.append(Group(name, settings.lambda_l, settings.lambda_u, tuple(rows["run_id"])))
    return groups


# Runs that have ended do not change.
@st.cache_data(max_entries=100, show_spinner=False)
def _by_epoch(root: str, run_ids: tuple[str, ...]) -> pd.DataFrame:
    return h_prime_by_epoch(Path(root), *run_ids)


@st.cache_data(max_entries=100, show_spinner=False)
def _latest(root: str, run_ids: tuple[str, ...]) -> np.ndarray:
    return last_h_prime(Path(root), *run_ids)


@st.cache_data(max_entries=100, show_spinner=False)
def _losses(root: str, run_ids: tuple[str, ...]) -> pd.DataFrame:
    return q_loss_by_epoch(Path(root), *run_ids)


def _choose_groups(sweep: Sweep, label: str) -> tuple[list[Group], tuple[str, dict[str, Any]]]:
    frame, sweep_id = sweep.frame, sweep.sweep_id
    row = choice_row()
    by = choose_axis(row, sweep_id, label, _grouping_axes(frame), "groups")
    fixed = choose_fixed(row, frame, sweep_id, (by,))
    return groups_of(sweep, by, fixed), (by, fixed)


def _mirrored(root: Path, sweep: Sweep) -> None:
    groups, choice = _choose_groups(sweep, "Compare by")
    samples = [(group, _latest(str(root), group.run_ids)) for group in groups]
    known = [(group, h_prime) for group, h_prime in samples if len(h_prime)]
    title = f"H' of the latest samples by {_axis_name(choice[0])}{_held(choice[1])}"
    _show(sweep, "h-prime", title, mirrored_figure(known), lambda: mirrored_frame(known), choice)


def _epochs(root: Path, sweep: Sweep) -> None:
    groups, choice = _choose_groups(sweep, "One panel for each")
    tables = [(group, _by_epoch(str(root), group.run_ids)) for group in groups]
    title = f"H' over the epochs by {_axis_name(choice[0])}{_held(choice[1])}"
    _show(sweep, "epochs", title, epochs_figure(tables), lambda: epochs_frame(tables), choice)


def _q_losses(root: Path, sweep: Sweep) -> None:
    groups, choice = _choose_groups(sweep, "One panel for each")
    tables = [(group, _losses(str(root), group.run_ids)) for group in groups]
    title = f"Q's training and test loss by {_axis_name(choice[0])}{_held(choice[1])}"
    _show(sweep, "losses", title, losses_figure(tables), lambda: losses_frame(tables), choice)


@st.cache_data(max_entries=100, show_spinner=False)
def _sheet(root: str, run_id: str) -> LatestSheet | None:
    return latest_sheet(Path(root), run_id)


def _samples(root: Path, sweep: Sweep) -> None:
    groups, (by, fixed) = _choose_groups(sweep, "One sheet for each")
    st.markdown(f"### G's latest images by {plain(_unmarked(_axis_name(by) + _held(fixed)))}")
    st.space("xxsmall")
    if not groups:
        st.caption("drawn from the first result on")
    for group in groups:
        name = _unmarked(group.name)
        try:
            sheet = _sheet(str(root), group.run_ids[0])
        except (InputError, RunFailed) as error:
            # The other sheets are worth seeing.
            st.error(f"{plain(name)}: {plain(str(error))}")
            continue
        if sheet is None:
            st.caption(f"{plain(name)}: no images are stored")
            continue
        told = f"P takes {sheet.recognised:.0%} of {sheet.count} for the class asked of G"
        st.image(sheet.png, caption=f"{plain(name)}: {told}", alt=f"G's images with {name}")


FIGURES = {
    "Heat map": Figure(lambda frame: len(varied_axes(frame)) > 1 and is_crossed(frame), _heat_map),
    "Surface": Figure(lambda frame: len(numeric_axes(frame)) > 1 and is_crossed(frame), _surface),
    "Parallel coordinates": Figure(lambda frame: bool(varied_axes(frame)), _parallel),
    "Against bits": Figure(
        lambda frame: bool(set(BITS_AXES) & set(varied_axes(frame))) and is_crossed(frame), _bits
    ),
    "Histogram of H'": Figure(lambda frame: bool(_grouping_axes(frame)), _mirrored),
    "H' over epochs": Figure(lambda frame: bool(_grouping_axes(frame)), _epochs),
    "Q's loss": Figure(lambda frame: bool(_grouping_axes(frame)), _q_losses),
    "Samples": Figure(lambda frame: bool(_grouping_axes(frame)), _samples),
}
"""The pictures by what they are called."""
