"""The Play page: start the game, steer it and watch it live."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from adadfq_core import runs
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.home import runs_folder
from adadfq_core.runs import RunStatus
from app import access
from app.markdown import plain
from app.pace import CROWD, differs, refresh_seconds
from app.panels import controls, run_charts
from app.panels.address import history_key, restore_from_address, write_address
from app.panels.animation import animation_panel
from app.panels.coverage import coverage_table, coverage_title
from app.panels.half_move import half_move_panel
from app.panels.history import REPLAY_REFRESH_SECONDS, history_bar, playing
from app.panels.images import images_panel
from app.panels.inspection.state import choose, open_inspection
from app.panels.players import players_strip
from app.panels.settings_file import load_pending_settings, settings_file_panel
from app.panels.status import status_strip, welcome
from app.panels.transport import buttons, lately_pressed, way_back
from app.run_view import Frame, RunView, newest
from app.sample_ids import sample_of
from app.session import session_id

BANDS, VALUE, MAP, LOSSES = "H' over the run", "Value of the game", "Map", "Losses"
HISTOGRAM, PLAYERS, IMAGES = "Histogram of H'", "Gradients and rates", "Images"
PANELS = (VALUE, BANDS, MAP, LOSSES, HISTOGRAM, PLAYERS, IMAGES)
SHOWN_AT_FIRST = [VALUE, BANDS, MAP, LOSSES, IMAGES]


def chosen_panels() -> list[str]:
    """The panels that the reader wants to see; draws the choice."""
    shown: list[str] = st.pills(
        "Panels",
        PANELS,
        selection_mode="multi",
        default=SHOWN_AT_FIRST,
        key="panels",
        label_visibility="collapsed",
        help="Each panel is drawn anew while the run goes: fewer leave more of the cores to it.",
    )
    return shown


def panels(view: RunView, frame: Frame, beside: RunView | None) -> None:
    """All panels of a run at one moment, drawn over those of the run it is compared with."""
    classes = view.network["classes"]
    if view.half is not None and frame.past is None:
        half_move_panel(view.half.data, view.half.iteration, view.half_arrays, classes)
    players_strip(view, frame)

    def inspect(number: int) -> None:
        choose(view.run_id, sample_of(number))
        open_inspection(view.run_id)

    def inspect_range(h_prime: tuple[float, float]) -> None:
        st.session_state["filter_h_prime"] = h_prime
        open_inspection(view.run_id)

    left, right = st.columns([3, 2])
    with left:
        run_charts.margin_panel(view, frame, classes, inspect)
    with right:
        run_charts.accuracy_panel(view, frame, beside)
    draw = {
        VALUE: lambda: run_charts.value_panel(view, frame),
        BANDS: lambda: run_charts.bands_panel(view, frame, beside),
        MAP: lambda: run_charts.map_panel(view, frame, classes),
        LOSSES: lambda: run_charts.terms_panel(view, beside),
        HISTOGRAM: lambda: run_charts.histogram_panel(view, frame, beside, inspect_range),
    }
    chosen = chosen_panels()
    wanted = [name for name in draw if name in chosen]
    for start in range(0, len(wanted), 2):
        for column, name in zip(st.columns(2), wanted[start : start + 2], strict=False):
            with column:
                draw[name]()
    if PLAYERS in chosen:
        run_charts.players_panel(view, beside)
    if IMAGES in chosen:
        images_panel(view.run_id, frame, classes, inspect)


def frame_of(view: RunView) -> Frame:
    """The moment that the history bar asks for; draws the bar."""
    settings = view.info.settings
    past = history_bar(
        view.moments,
        view.info.iteration,
        settings.iterations,
        key=history_key(view.run_id),
    )
    if past is not None:
        return view.frame_at(past)
    in_force = runs.current_settings(view.root, view.run_id)
    return view.frame(controls.shown_settings(in_force, view.info))


def held_view(run_id: str) -> RunView | None:
    """What this session has read of run `run_id`, if that is the run it looked at last."""
    view: RunView | None = st.session_state.get("view")
    return view if view is not None and view.run_id == run_id else None


def beside_view(root: Path) -> RunView | None:
    """What has been read of the run that the shown one is compared with, brought up to date."""
    run_id = st.session_state.get("beside")
    if run_id is None:
        return None
    view: RunView | None = st.session_state.get("beside_view")
    if view is None or view.run_id != run_id:
        view = st.session_state["beside_view"] = RunView.attach(root, run_id)
    else:
        view.refresh()
    if not view.info.ended:
        st.caption(
            f"Beside it: {plain(view.info.preset)}, {runs.state(view.info)}, iteration "
            f"{view.info.iteration} of {view.info.settings.iterations}."
        )
    return view


def page() -> None:
    """Draw the page."""
    root = runs_folder()
    restore_from_address(root)
    load_pending_settings()
    for problem in st.session_state.pop("address_problems", []):
        st.warning(plain(problem))
    try:
        known = runs.list_runs(root)
        run_id = st.session_state.get("run_id", newest(known))
        info = next((info for info in known if info.run_id == run_id), None)
        if info is not None and st.session_state.get("shown_run") != info.run_id:
            # Attached to a run: the sliders take the values in force.
            controls.show_settings(runs.current_settings(root, info.run_id))
            st.session_state["shown_run"] = info.run_id
    except (InputError, RunFailed) as error:
        st.error(plain(str(error)))
        return
    unended = info is not None and not info.ended
    with st.sidebar:
        controls.settings_panel(root, info.run_id if info else None, unended)
        settings_file_panel(unended)
    buttons(root, info)
    if "error" in st.session_state:
        st.error(plain(st.session_state["error"]))
    write_address(run_id or None)
    if info is None:
        before = sum(not other.ended for other in known)
        chosen = (st.session_state[f"setting_{name}"] for name in ("network", *controls.FIXED))
        welcome(*chosen, before)
        return
    if refusal := access.why_not(info):
        st.caption(plain(refusal))
    shown_status = info.status

    known_view = held_view(info.run_id)
    had_points = known_view is not None and known_view.has_points
    replays = playing(history_key(info.run_id))
    eager = lately_pressed()
    alone = REPLAY_REFRESH_SECONDS if replays else refresh_seconds(info, had_points, eager=eager)
    # Who has pressed something is one of many, and waits.
    pace = alone if eager else CROWD.pace(alone)

    @st.fragment(run_every=pace if unended or replays else None)
    def live() -> None:
        with CROWD.drawing(session_id()):
            draw()

    def draw() -> None:
        view = held_view(info.run_id)
        try:
            if view is None:
                view = st.session_state["view"] = RunView.attach(root, info.run_id)
            else:
                view.refresh()
            status_strip(view)
            way_back(root, view.info)
            if view.info.status in (RunStatus.FINISHED, RunStatus.STOPPED):
                st.page_link(
                    "views/take_away.py",
                    label="Take Q away",
                    icon=":material/deployed_code:",
                    query_params={"run": view.run_id},
                )
            other = beside_view(root)
            for notice in view.notices:
                st.info(plain(notice))
            if view.has_points and not view.network:
                st.error(
                    "The log of this run does not say which network is played, so nothing of it "
                    "can be drawn; it is not as the program wrote it."
                )
            elif view.has_points:
                # Before that all charts are empty, and drawing them would slow the start down.
                with st.container(key="live"):
                    panels(view, frame_of(view), other)
        except (InputError, RunFailed) as error:
            st.error(plain(str(error)))
            return
        write_address(info.run_id)
        if (
            view.info.status != shown_status
            or view.has_points != had_points
            or playing(history_key(view.run_id)) != replays
            or lately_pressed() != eager
            or (not eager and differs(pace, CROWD.pace(alone)))
        ):
            # The buttons outside follow the run's state, the pace its first point, a replay and
            # how many others look on.
            st.rerun()

    live()
    view = held_view(info.run_id)
    if view is not None and view.network:
        with st.expander(coverage_title(view.network["coverage"])):
            st.dataframe(coverage_table(view.network["coverage"]), hide_index=True)
    if view is not None and view.moments.iterations:
        animation_panel(root, info.run_id)


page()
