"""What the Ablation page's panels share: the sweep that is looked at, and what a click chose."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from adadfq_core.ablation import control
from adadfq_core.ablation.results import results_frame
from adadfq_core.ablation.states import CellInfo, SweepInfo
from adadfq_core.errors import InputError, RunFailed
from app.markdown import plain
from app.pace import EAGER_FOR

SWEEP = "sweep_id"
"""Key of the widget that chooses the sweep; other pages set it, and `VIEW`, to open one."""

VIEW = "ablation_view"
RESULTS, NEW, PAPER = "Results", "New sweep", "The paper's figures"

_QUERY = "sweep"
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HELD, _CHOSEN = "ablation_results", "ablation_chosen"
_ERROR, _PRESSED, _SEEN = "ablation_error", "ablation_pressed", "ablation_seen"
_NEXT = "ablation_next"

Signature = tuple[tuple[str, str | None], ...]


@dataclass(frozen=True)
class Sweep:
    """A sweep as one drawing of the page sees it.

    `frame` is its table (`ablation.results.results_frame`), one row a cell.
    """

    info: SweepInfo
    cells: tuple[CellInfo, ...]
    frame: pd.DataFrame

    @property
    def sweep_id(self) -> str:
        """Its id."""
        return self.info.sweep_id

    @property
    def signature(self) -> Signature:
        """What changes whenever there is something new to draw."""
        return signature(self.cells)


def signature(cells: Sequence[CellInfo]) -> Signature:
    """See `Sweep.signature`."""
    return tuple((cell.status, cell.run_id) for cell in cells)


def read_sweep(root: Path, sweep_id: str) -> Sweep:
    """The sweep `sweep_id`; its results are read anew only if a cell has changed.

    Raises:
        InputError: there is no such sweep.
        RunFailed: its store cannot be read.
    """
    info = control.info(root, sweep_id)
    cells = tuple(control.cells(root, sweep_id))
    now = (root, sweep_id, signature(cells))
    known, frame = st.session_state.get(_HELD, (None, None))
    if known != now:
        frame = results_frame(root, sweep_id)
        st.session_state[_HELD] = (now, frame)
    return Sweep(info, cells, frame)


def restore_from_address() -> str:
    """At a session's first run, and when the reader goes back, look at the sweep of the address.

    Returns what is bad about the address in a sentence, or nothing.
    """
    context = get_script_run_ctx()
    back = context is not None and context.is_history_navigation
    if _SEEN in st.session_state and not back:
        return ""
    st.session_state[_SEEN] = True
    wanted = st.query_params.get(_QUERY)
    if wanted is None:
        return ""
    if not _ID.fullmatch(wanted):
        return "The link's 'sweep' is not the name of a sweep and was left out; ask for a new link."
    st.session_state[SWEEP] = wanted
    st.session_state[VIEW] = RESULTS
    return ""


def show_next(sweep_id: str) -> None:
    """Look at the results of `sweep_id` from the page's next run on."""
    st.session_state[_NEXT] = sweep_id


def restore_next() -> None:
    """Do what `show_next` asked for; the widgets whose values these are must not be drawn yet."""
    if _NEXT in st.session_state:
        st.session_state[SWEEP] = st.session_state.pop(_NEXT)
        st.session_state[VIEW] = RESULTS


def write_address(sweep_id: str) -> None:
    """Let the address say which sweep is looked at."""
    wanted = {_QUERY: sweep_id}
    # Every assignment is an entry of the browser's history, even of what was there.
    if st.query_params.to_dict() != wanted:
        st.query_params.from_dict(wanted)


def attempt(action: Callable[[], object]) -> None:
    """Do what a button asks for; a failure is told where `tell_failure` stands."""
    try:
        action()
        st.session_state[_PRESSED] = time.monotonic()
    except (InputError, RunFailed) as error:
        st.session_state[_ERROR] = str(error)


def lately_pressed() -> bool:
    """Whether a button has asked something of a sweep that may not be done yet."""
    return time.monotonic() - st.session_state.get(_PRESSED, -math.inf) < EAGER_FOR


def tell_failure() -> None:
    """Say once why the button that was pressed last did nothing."""
    if _ERROR in st.session_state:
        st.error(plain(st.session_state.pop(_ERROR)), icon=":material/error:")


def choose_runs(sweep_id: str, run_ids: Sequence[str]) -> None:
    """Remember the runs that the reader clicked on."""
    st.session_state[_CHOSEN] = (sweep_id, frozenset(run_ids))


def chosen_cells(sweep: Sweep) -> list[CellInfo]:
    """The cells of this sweep whose runs were clicked on last."""
    sweep_id, run_ids = st.session_state.get(_CHOSEN, (None, frozenset()))
    return [cell for cell in sweep.cells if sweep_id == sweep.sweep_id and cell.run_id in run_ids]
