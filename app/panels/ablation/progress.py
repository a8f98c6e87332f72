"""How far a sweep is, when it will be done, and what it needs its reader for."""

from __future__ import annotations

import html
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from adadfq_core import runs
from adadfq_core.ablation import control
from adadfq_core.ablation.names import plain_symbol, value_text
from adadfq_core.ablation.plan import Point
from adadfq_core.ablation.states import SETTLED, CellInfo, CellStatus, SweepInfo, SweepStatus
from adadfq_core.cores import cores
from adadfq_core.errors import InputError, RunFailed
from app import access
from app.markdown import plain
from app.pace import BESIDE_TRAINING, EAGER, LIVELY
from app.panels.ablation.state import Sweep, attempt, lately_pressed, signature, write_address

MOST_RUNNING_SHOWN = 4


def place_text(point: Point) -> str:
    """The place of a cell in its design: `λ_l = 0.1, λ_u = 0.8`."""
    return ", ".join(
        f"{plain_symbol(name) or name} = {value_text(value)}" for name, value in point.items()
    )


def sweep_name(info: SweepInfo) -> str:
    """A sweep in a list of sweeps."""
    when = time.strftime("%d %b %Y %H:%M", time.localtime(info.created))
    plan = info.plan
    design = {"latin": "Latin hypercube"}.get(plan.design, plan.design)
    axes = " × ".join(plain_symbol(name) or name for name in plan.axes)
    runs_of = len(plan.points) * len(plan.seeds)
    return f"{info.name or axes} · {design}, {runs_of} runs · {info.status} · {when}"


def duration(seconds: float) -> str:
    """A time in the two units that matter: `2 h 05 min`, `3 min 20 s`, `8 s`."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def seconds_left(info: SweepInfo, cells: Sequence[CellInfo], now: float) -> float | None:
    """Estimate of what is left of a running sweep from how long its finished cells took.

    `None` until one has finished. All runs are taken to be as long as those.
    """
    took = [
        cell.ended - cell.started
        for cell in cells
        if cell.status is CellStatus.FINISHED
        and cell.started is not None
        and cell.ended is not None
    ]
    if not took:
        return None
    usual = sum(took) / len(took)
    begun = [
        max(usual - (now - cell.started), 0.0)
        for cell in cells
        if cell.status is CellStatus.RUNNING and cell.started is not None
    ]
    waiting = sum(cell.status is CellStatus.WAITING for cell in cells)
    # On a cluster its free cores say how many go at once.
    at_once = max(len(begun), 1) if info.ray_address else info.workers
    return max([(sum(begun) + waiting * usual) / at_once, *begun])


def doing(info: SweepInfo, cells: Sequence[CellInfo], left: float | None) -> str:
    """The sweep's state in a line."""
    counts = Counter(cell.status for cell in cells)
    done = counts[CellStatus.FINISHED] + counts[CellStatus.HALVED]
    wanted = len(cells) - counts[CellStatus.REFUSED]
    parts = [str(info.status), f"{done} of {wanted} runs done"]
    if info.status is SweepStatus.RUNNING:
        if left is not None:
            parts.append(f"about {duration(left)} left")
        place = f"on {info.ray_address}" if info.ray_address else "at once"
        parts.append(
            f"{info.workers} {place}, {info.threads} thread{'s' * (info.threads != 1)} each"
        )
    return " · ".join(parts)


def strip_html(info: SweepInfo, cells: Sequence[CellInfo], left: float | None) -> str:
    """One strip: what the sweep does, how far it is, and how many cells are in which state."""
    counts = Counter(cell.status for cell in cells)
    wanted = len(cells) - counts[CellStatus.REFUSED]
    settled = sum(counts[status] for status in SETTLED) - counts[CellStatus.REFUSED]
    share = 100 * settled / wanted if wanted else 0.0
    failed = " failed" if info.status in (SweepStatus.FAILED, SweepStatus.LOST) else ""
    shown = [
        ("done", counts[CellStatus.FINISHED], "q"),
        ("stopped early", counts[CellStatus.HALVED], "p"),
        ("running", counts[CellStatus.RUNNING], "g"),
        ("waiting", counts[CellStatus.WAITING], ""),
        ("failed", counts[CellStatus.FAILED], ""),
        ("not allowed", counts[CellStatus.REFUSED], ""),
    ]
    figures = "".join(
        f'<div><dt class="{colour}">{name}</dt><dd>{count}</dd></div>'
        for name, count, colour in shown
        if count or name == "done"
    )
    return (
        f'<div class="run-status"><div><div class="doing" role="status">'
        f"{html.escape(doing(info, cells, left))}</div>"
        f'<div class="bar{failed}" role="progressbar" aria-label="Runs done" '
        f'aria-valuenow="{share:.0f}" aria-valuemin="0" aria-valuemax="100">'
        f'<i style="width:{share:.2f}%"></i></div></div><dl>{figures}</dl></div>'
    )


def running_text(root: Path, cells: Sequence[CellInfo]) -> str:
    """What the cells that run are at, in a line; nothing if none runs."""
    lines = []
    for cell in cells:
        if cell.status is not CellStatus.RUNNING:
            continue
        at = "starting"
        if cell.run_id is not None:
            run = runs.info(root, cell.run_id)
            at = f"iteration {run.iteration} of {run.settings.iterations}"
        lines.append(f"{place_text(cell.point)}, seed {cell.seed}: {at}")
    more = len(lines) - MOST_RUNNING_SHOWN
    return " · ".join([*lines[:MOST_RUNNING_SHOWN], *([f"and {more} more"] if more > 0 else [])])


def refresh_seconds(info: SweepInfo, *, eager: bool, cores: int) -> float:
    """Seconds between two drawings of a running sweep's strip.

    Args:
        eager: whether a button was pressed a moment ago.
        cores: of this machine.
    """
    if eager:
        return EAGER
    here = 0 if info.ray_address else info.workers * info.threads
    return LIVELY if cores > here else BESIDE_TRAINING


def progress_panel(root: Path, sweep: Sweep) -> None:
    """The strip, kept up to date; the rest of the page is drawn anew when a cell has changed."""
    shown, eager = sweep.info.status, lately_pressed()
    running = shown is SweepStatus.RUNNING
    pace = refresh_seconds(sweep.info, eager=eager, cores=cores())

    @st.fragment(run_every=pace if running else None)
    def live() -> None:
        try:
            info = control.info(root, sweep.sweep_id) if running else sweep.info
            cells = control.cells(root, sweep.sweep_id) if running else sweep.cells
            left = seconds_left(info, cells, time.time()) if running else None
            st.html(strip_html(info, cells, left))
            at = running_text(root, cells) if running else ""
        except (InputError, RunFailed) as error:
            st.error(plain(str(error)))
            return
        if at:
            st.text(at)
        _tell_reason(info)
        if (
            info.status != shown
            or signature(cells) != sweep.signature
            or (running and lately_pressed() != eager)
        ):
            st.rerun()

    with st.container(key="sweep-progress"):
        live()
    _failed_cells(sweep)


def _tell_reason(info: SweepInfo) -> None:
    if info.status is SweepStatus.RUNNING:
        if info.reason:
            st.caption(plain(info.reason))
    elif info.status in (SweepStatus.FAILED, SweepStatus.LOST):
        st.error(
            f"{plain(info.reason)} Resume goes on with the runs that are missing.",
            icon=":material/error:",
        )
    elif info.reason:
        st.warning(plain(info.reason), icon=":material/warning:")


def _failed_cells(sweep: Sweep) -> None:
    failed = [cell for cell in sweep.cells if cell.status is CellStatus.FAILED]
    if not failed:
        return
    with st.expander(f"{len(failed)} failed, with reasons"):
        st.dataframe(
            pd.DataFrame(
                {
                    "place": [place_text(cell.point) for cell in failed],
                    "seed": [cell.seed for cell in failed],
                    "starts": [cell.attempts for cell in failed],
                    "reason": [cell.reason for cell in failed],
                }
            ),
            hide_index=True,
            column_config={"reason": st.column_config.TextColumn(width="large")},
        )


def chooser_row(root: Path, known: Sequence[SweepInfo], key: str) -> str:
    """Let the reader choose a sweep, stop it or go on with it; returns its id."""
    names = {info.sweep_id: sweep_name(info) for info in known}
    if st.session_state.get(key) not in names:
        if st.session_state.get(key):
            st.warning("The sweep of this link is not on this machine; another is shown.")
        st.session_state[key] = known[0].sweep_id
    choice, button = st.columns([6, 1], vertical_alignment="bottom")
    sweep_id: str = choice.selectbox(
        "Sweep",
        list(names),
        format_func=lambda sweep_id: names[sweep_id],
        key=key,
        help="Whose results are shown.",
    )
    write_address(sweep_id)
    (info,) = [info for info in known if info.sweep_id == sweep_id]

    def press(do: Callable[[Path, str], None]) -> None:
        # What the box says at the press, which this drawing of the page may be older than.
        attempt(lambda: do(root, st.session_state[key]))

    if info.status is SweepStatus.RUNNING:
        button.button(
            "Stop",
            icon=":material/stop:",
            width="stretch",
            on_click=press,
            args=(access.stop_sweep,),
            help="Its runs stop after their iteration, each with a checkpoint; Resume goes on.",
        )
    else:
        button.button(
            "Resume",
            icon=":material/play_arrow:",
            width="stretch",
            disabled=not any(cell.missing for cell in control.cells(root, sweep_id)),
            on_click=press,
            args=(access.resume_sweep,),
            help="Go on with the runs that are missing, and try those again that failed.",
        )
    return sweep_id
