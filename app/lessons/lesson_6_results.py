"""Lesson 6: a measured landscape of one run a point, and what more seeds say of three margins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from adadfq_core.ablation.tables import LOWER, TOP1, UPPER
from adadfq_core.lessons.recorded import FOLDER, read_surface
from adadfq_core.lessons.seeds import interval, seeds_to_tell
from app.charts.ablation.surface import surface_figure
from app.charts.lessons.fitting import MARGIN_COLOURS
from app.charts.lessons.seeds import seeds_figure
from app.components.live_chart import live_chart
from app.lessons.lesson_5_fitting import margin_name, recorded_runs, seeds
from app.lessons.question import Verdict, ask
from app.lessons.texts import text
from app.lessons.widgets import Choice, Widgets, begin, slider

SEEDS, CANNOT = "learn_6_seeds", "learn_6_cannot"
# The two margins of the question.
COMPARED = ("disagreement", "paper")
# In percentage points, above and below all results. The interval of two seeds may be longer still:
# a chart that held it would leave no room to see the others.
_ROOM = 1.5
_SURFACE_HEIGHT, _SEEDS_HEIGHT = 440, 240

Results = Mapping[str, Sequence[float]]


@st.cache_data(show_spinner=False)
def _surface() -> pd.DataFrame:
    return read_surface(FOLDER)


def widgets() -> Widgets:
    """What may be set."""
    return {SEEDS: seeds(), CANNOT: Choice((False, True), False)}


def draw() -> None:
    """Draw the lesson."""
    begin(widgets())
    results = {margin: [run.final for run in runs] for margin, runs in recorded_runs().items()}
    surface = _surface()
    left, right = st.columns([1, 1])
    with left:
        _landscape(surface)
        st.markdown(spread_text(surface[TOP1], results))
    with right:
        _intervals(results)
        _question(results)


def _landscape(surface: pd.DataFrame) -> None:
    low, high = surface[TOP1].min(), surface[TOP1].max()
    live_chart(
        surface_figure(surface, LOWER, UPPER),
        key="learn_6_surface",
        revision="recorded",
        title=text("lesson_6.surface_title", cells=len(surface)),
        height=_SURFACE_HEIGHT,
        alt=text("lesson_6.surface_alt", low=low, high=high),
    )


def spread_text(surface: Sequence[float] | pd.Series, results: Results) -> str:
    """What differs more: the points of the surface, or the seeds of one margin; as Markdown."""
    across = max(surface) - min(surface)
    same = max(max(values) - min(values) for values in results.values())
    # A landscape of nothing but luck has more points, hence a somewhat larger span.
    key = "lesson_6.spread_large" if 2 * same >= across else "lesson_6.spread_small"
    seeds = len(next(iter(results.values())))
    return text(key, cells=len(surface), surface=across, same=same, seeds=seeds)


def _intervals(results: Results) -> None:
    choice, instead = st.columns([3, 1], vertical_alignment="bottom")
    with choice:
        count = slider(text("lesson_6.seeds"), SEEDS, seeds(), persist_state="session")
    instead.checkbox(text("lesson_6.cannot"), key=CANNOT, persist_state="session")
    named = {margin_name(margin): values for margin, values in results.items()}
    measured = [value for values in results.values() for value in values]
    ends = min(measured) - _ROOM, max(measured) + _ROOM
    colours = [MARGIN_COLOURS[margin] for margin in results]
    live_chart(
        seeds_figure(named, colours, count, ends),
        key="learn_6_intervals",
        revision="recorded",
        title=text("lesson_6.seeds_title"),
        height=_SEEDS_HEIGHT,
        alt=_alt(named, count),
    )
    st.caption(text("lesson_6.interval"))


def _alt(named: Results, count: int) -> str:
    parts = []
    for name, values in named.items():
        mean, low, high = interval(values[:count])
        key = "lesson_6.seeds_alt_one" if count == 1 else "lesson_6.seeds_alt_mean"
        parts.append(text(key, name=name, mean=mean, low=low, high=high))
    return text("lesson_6.seeds_alt", count=count, means="; ".join(parts))


def _question(results: Results) -> None:
    first, second = (results[margin] for margin in COMPARED)
    a, b = map(margin_name, COMPARED)
    ask(
        6,
        text("lesson_6.question", a=a, b=b, seeds=len(first)),
        lambda: check(first, second, st.session_state[SEEDS], cannot=st.session_state[CANNOT]),
    )


def check(first: Sequence[float], second: Sequence[float], count: int, *, cannot: bool) -> Verdict:
    """Whether the intervals of two settings stay apart from `count` seeds on, or never do."""
    needed = seeds_to_tell(first, second)
    if needed is None and cannot:
        return Verdict(True, text("lesson_6.not_told", seeds=len(first)))
    if needed is not None and cannot:
        return Verdict(False, text("lesson_6.can"))
    if count == needed:
        return Verdict(True, text("lesson_6.told", count=count))
    if interval(first[:count]).overlaps(interval(second[:count])):
        return Verdict(False, text("lesson_6.overlap", count=count))
    return Verdict(False, text("lesson_6.later", count=count))
