"""A new sweep: what is varied around which settings, what it will cost, and its start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st
import yaml

from adadfq_core.ablation import control, designs
from adadfq_core.ablation.estimate import (
    Cost,
    Pace,
    costs,
    estimate,
    in_words,
    known_pace,
    known_runs,
)
from adadfq_core.ablation.plan import Design, Halving, Plan, Point
from adadfq_core.ablation.space import room_for, sweep_bytes
from adadfq_core.cores import cores
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.presets import PRESETS
from adadfq_core.settings import RunSettings, bounds, limits, make_settings
from adadfq_core.settings_file import from_yaml
from app import access
from app.links import changes_from
from app.markdown import plain
from app.panels import controls
from app.panels.ablation.axes import axes_panel
from app.panels.ablation.state import attempt, show_next

QUICK = "quick"
MOST_SEEDS = 20
MOST_REASONS_SHOWN = 2
DESIGNS: dict[Design, str] = {
    "grid": "Grid",
    "list": "List",
    "random": "Random",
    "latin": "Latin hypercube",
}
_LIST = "lambda_l,lambda_u\n0.1,0.8\n0.0,1.0"
_PRESET, _CHANGES = "sweep_preset", "sweep_changes"
_STARTED = "ablation_started"
_PACES, _FILE = "ablation_paces", "ablation_file"

Places = tuple[Design, tuple[str, ...], tuple[Point, ...]]
"""A design, its axes and its points, as `Plan` holds them."""


def new_sweep_panel(root: Path) -> None:
    """Draw the form, and beside it what the sweep costs and the button that starts it."""
    # Noted at the press and done here: a press that follows a change of the form at once means the
    # form as it is now, not as it was when the button was drawn.
    pressed = st.session_state.pop(_STARTED, False)
    form, side = st.columns([5, 3], gap="large")
    with form:
        with st.container(border=True):
            base = _base_settings()
        with st.container(border=True):
            places = _places()
            seeds, halving = _repeats()
        with st.container(border=True):
            workers, threads, address, name = _machines()
    with side, st.container(border=True):
        if base is None or places is None:
            st.caption("What is marked in red must be corrected before the sweep can start.")
            return
        preset, changes = base
        design, axes, points = places
        plan = Plan(
            preset=preset,
            changes=changes,
            design=design,
            axes=axes,
            points=points,
            seeds=tuple(range(seeds)),
            halving=halving,
        )
        try:
            going = _cost(root, plan, workers, threads, address)
        except (InputError, RunFailed) as error:
            st.error(plain(str(error)))
            return

        def start() -> None:
            sweep_id = access.start_sweep(
                root, plan, name=name, workers=workers, threads=threads, ray_address=address
            )
            show_next(sweep_id)

        st.button(
            "Start",
            type="primary",
            icon=":material/play_arrow:",
            width="stretch",
            disabled=not going,
            on_click=_note_start,
            help="The runs go on in processes of their own, also when this page is closed.",
        )
        if pressed and going:
            attempt(start)
            st.rerun()


def _note_start() -> None:
    st.session_state[_STARTED] = True


def _base_settings() -> tuple[str, dict[str, Any]] | None:
    """What all runs have in common, a preset and changes to it; `None` while they are not right."""
    st.markdown("## Settings of all runs")
    st.session_state.setdefault(_PRESET, QUICK)
    left, right = st.columns([2, 3])
    with left:
        preset: str = st.selectbox(
            "Preset",
            list(PRESETS),
            key=_PRESET,
            help="\n\n".join(f"**{each.name}**: {each.summary}" for each in PRESETS.values()),
        )
        row = st.container(horizontal=True)
        row.button(
            "From Play",
            icon=":material/content_copy:",
            on_click=lambda: attempt(_take_those_of_play),
            disabled="preset" not in st.session_state,
            help="Take over what is set in the sidebar of the Play page.",
        )
        with row.popover("From a file", icon=":material/upload_file:"):
            _load_file(preset)
    with right:
        text: str = st.text_area(
            "Changes to the preset",
            key=_CHANGES,
            height=122,
            placeholder="weight_bits: 4\nactivation_bits: 4",
            help="One setting a line, as in a settings file: `name: value`. The values of the axes "
            "go over them.",
        )
        try:
            return preset, from_yaml(text) if text.strip() else {}
        except InputError as error:
            st.error(plain(str(error)))
            return None


def _take_those_of_play() -> None:
    preset = st.session_state["preset"]
    changes = changes_from(controls.start_settings(), preset)
    st.session_state[_PRESET] = preset
    st.session_state[_CHANGES] = as_lines(changes)


def as_lines(changes: dict[str, Any]) -> str:
    """`changes` as `from_yaml` reads them, one a line."""
    plain = {
        name: list(value) if isinstance(value, tuple) else value for name, value in changes.items()
    }
    return yaml.safe_dump(plain, sort_keys=False, default_flow_style=None) if plain else ""


def _load_file(preset: str) -> None:
    """Offer to put the settings of a file into the text of the changes, which is drawn later."""
    uploaded = st.file_uploader(
        "Settings file",
        type=["yaml", "yml"],
        key="upload_sweep_settings",
        max_upload_size=1,
        help="As the Play page writes it: what differs from the preset becomes the changes.",
    )
    if uploaded is None or uploaded.file_id == st.session_state.get(_FILE):
        return
    st.session_state[_FILE] = uploaded.file_id
    try:
        settings = make_settings(from_yaml(uploaded.getvalue()))
    except InputError as error:
        st.error(plain(str(error)))
        return
    st.session_state[_CHANGES] = as_lines(changes_from(settings, preset))


def _places() -> Places | None:
    """The design and its points; `None` while what is written is not right."""
    st.markdown("## What is varied")
    st.session_state.setdefault("sweep_design", "grid")
    chosen: Design = st.segmented_control(
        "Design",
        list(DESIGNS),
        format_func=lambda design: DESIGNS[design],
        required=True,
        key="sweep_design",
        label_visibility="collapsed",
        help="Grid: every value with every other. List: the points that you write. Random and "
        "Latin hypercube: so many points within the axes, the latter spread evenly on each.",
    )
    try:
        if chosen == "list":
            return _listed()
        axes = axes_panel()
        if axes is None:
            return None
        names = tuple(axis.name for axis in axes)
        if chosen == "grid":
            return "grid", names, designs.grid(axes)
        left, right = st.columns(2)
        count: int = left.number_input(
            "Points", 1, 1000, 25, key="sweep_points", help="How many are drawn within the axes."
        )
        seed: int = right.number_input(
            "Seed of the design",
            0,
            2**31 - 1,
            0,
            key="sweep_design_seed",
            help="Another seed draws other points.",
        )
        make = designs.random if chosen == "random" else designs.latin
        return chosen, names, make(axes, count, seed)
    except InputError as error:
        st.error(plain(str(error)))
        return None


def _listed() -> Places:
    st.session_state.setdefault("sweep_list", _LIST)
    text: str = st.text_area(
        "Points",
        key="sweep_list",
        height=180,
        help="A table as in a CSV file: the first line names the axes, each other one is a point.",
    )
    points = designs.from_csv(text)
    return "list", tuple(points[0]), points


def _repeats() -> tuple[int, Halving | None]:
    left, middle, right = st.columns([2, 2, 1], vertical_alignment="bottom")
    seeds: int = left.number_input(
        "Seeds of each point",
        1,
        MOST_SEEDS,
        1,
        key="sweep_seeds",
        help="Several give mean and standard deviation. All points are played with the first seed "
        "before any is with the second.",
    )
    stops: bool = middle.toggle(
        "Stop hopeless runs early",
        key="sweep_halving",
        help="Asynchronous successive halving (arXiv 1810.05934): half-way, a run goes on only if "
        "its top-1 is among the best part of those that came as far. The others have no final "
        "accuracy.",
    )
    low, high = limits(Halving.model_fields["factor"])
    factor: int = right.number_input(
        "Best 1 of",
        int(low or 0),
        int(high or 0),
        Halving().factor,
        key="sweep_factor",
        disabled=not stops,
        help="3: the best third goes on.",
    )
    return seeds, Halving(factor=factor) if stops else None


def _machines() -> tuple[int, int, str, str]:
    """Runs at once, threads of each, the cluster's address, and the sweep's name."""
    st.markdown("## Where it runs")
    default_workers, default_threads = control.default_workers()
    at_once, each, cluster = st.columns([1, 1, 2])
    workers: int = at_once.number_input(
        "Runs at once",
        1,
        control.MOST_WORKERS,
        default_workers,
        key="sweep_workers",
        help=f"This machine has {cores()} cores; runs at once times threads should not be more.",
    )
    low, high = bounds("threads")
    threads: int = each.number_input(
        "Threads each",
        int(low or 0),
        int(high or 0),
        default_threads,
        key="sweep_threads",
        help="One is best for many runs: threads of one run wait for each other at every layer. "
        "The same seed gives the same result only with as many threads.",
    )
    address: str = cluster.text_input(
        "Ray address",
        key="sweep_ray_address",
        placeholder="empty: this machine",
        help="Of a Ray cluster: auto, host:port or ray://host:port. Its free cores set how many "
        "runs go at once; the results are gathered here.",
    )
    name: str = st.text_input(
        "Name",
        key="sweep_name",
        max_chars=control.MOST_NAME,
        placeholder="empty: named after its axes",
        help="To find the sweep again.",
    )
    return workers, threads, address.strip(), name.strip()


@st.cache_data(max_entries=4, show_spinner=False)
def _refused(plan_json: str) -> list[str]:
    """Why cells of the plan cannot run; validates the settings of every one."""
    _, refused = designs.feasible(Plan.model_validate_json(plan_json))
    return [reason for _, reason in refused]


@st.cache_data(max_entries=4, show_spinner=False)
def _costs(plan_json: str, threads: int) -> dict[Cost, RunSettings]:
    """As `estimate.costs`, which validates the settings of every cell."""
    return costs(Plan.model_validate_json(plan_json), threads)


def _cost(root: Path, plan: Plan, workers: int, threads: int, address: str) -> int:
    """Say how many runs the plan has, which are refused, and how long and how much disk they take;
    returns the runs.

    Where a time is not known it can be measured.

    Raises:
        RunFailed: the disk has less room than they take.
    """
    wanted = _costs(plan.model_dump_json(), threads)
    measured: dict[tuple[int, Cost], Pace] = st.session_state.setdefault(_PACES, {})
    paces = {}
    for like, settings in wanted.items():
        pace = known_pace(root, settings, workers) or measured.get((workers, like))
        if pace is not None:
            paces[like] = pace
    numbers = st.container()
    unknown = [like for like in wanted if like not in paces]
    if unknown and _wants_to_measure(len(unknown), workers):
        with st.spinner("Playing a few iterations …"):
            for like in unknown:
                paces[like] = measured[workers, like] = access.measure_pace(wanted[like], workers)
    found = estimate(plan, workers, threads, paces)
    with numbers:
        left, right = st.columns([2, 3])
        left.metric("Runs", found.runs)
        right.metric("Time", "–" if found.seconds is None else in_words(found.seconds))
        st.caption(found.sentence)
        runs = known_runs(plan, threads, paces)
        if runs:
            st.caption(room_for(sweep_bytes(runs, workers), root))
        if address:
            st.caption(
                f"On {plain(address)} as long only if {workers} go at once on cores like these."
            )
        for reason in shown_reasons(_refused(plan.model_dump_json())):
            st.caption(f":material/block: {plain(reason)}")
    return found.runs


def _wants_to_measure(kinds: int, workers: int) -> bool:
    return st.button(
        "Measure the time",
        icon=":material/timer:",
        width="stretch",
        help=f"Nothing like {'it' if kinds == 1 else f'{kinds} of the kinds of runs'} was played "
        f"on this machine yet: play a few iterations, {workers} at once. It takes about a minute "
        "for each kind.",
    )


def shown_reasons(reasons: Sequence[str]) -> list[str]:
    """The most frequent of `reasons`, and how many others there are."""
    counted = Counter(reasons).most_common()
    shown = [reason for reason, _ in counted[:MOST_REASONS_SHOWN]]
    others = sum(count for _, count in counted[MOST_REASONS_SHOWN:])
    return [*shown, *([f"and {others} more of the kind"] if others else [])]
