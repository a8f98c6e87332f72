"""Lesson 5: three recorded runs, at both ends of the H' axis and between, to be told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import streamlit as st

from adadfq_core.lessons.recorded import FOLDER, MARGINS, PRESET, RecordedRun, read_runs, sheet_file
from adadfq_core.lessons.seeds import interval
from app.charts.lessons.fitting import MARGIN_COLOURS, Course, accuracy_course, h_prime_course
from app.components.live_chart import live_chart
from app.lessons.question import Verdict, ask, done
from app.lessons.texts import text
from app.lessons.widgets import Choice, Span, Widgets, begin, slider
from app.links import ViewState, to_query

LESSON = 5
# The margin whose victories the reader counts.
COUNTED = "paper"
NONE = "none"
PREDICTED, SEED, COUNT = "learn_5_predicted", "learn_5_seed", "learn_5_count"
_HEIGHT = 238

Recorded = Mapping[str, Sequence[RecordedRun]]


@st.cache_data(show_spinner=False)
def recorded_runs() -> dict[str, list[RecordedRun]]:
    """The recorded runs of each margin (`lessons.recorded.read_runs`)."""
    return read_runs(FOLDER)


def margin_name(margin: str) -> str:
    """What the reader sees for a margin, or for the answer that none is best."""
    return text(f"lesson_5.names.{margin}")


def seeds() -> Span:
    """The recorded seeds, or how many of them, from 1."""
    return Span(1, len(recorded_runs()[COUNTED]), 1, 1)


def widgets() -> Widgets:
    """What may be set."""
    return {
        PREDICTED: Choice((*MARGINS, NONE), None),
        SEED: seeds(),
        COUNT: Choice(tuple(range(len(recorded_runs()[COUNTED]) + 1)), None),
    }


def draw() -> None:
    """Draw the lesson."""
    begin(widgets())
    recorded = recorded_runs()
    left, right = st.columns([6, 5])
    with right:
        _questions(recorded)
        if LESSON in done():
            st.markdown(f"{result_text(recorded)}\n{text('lesson_5.claim')}")
            _live_links()
    with left:
        place = st.session_state[SEED] - 1
        _charts({margin: runs[place] for margin, runs in recorded.items()})


def _questions(recorded: Recorded) -> None:
    count_of_seeds = len(recorded[COUNTED])
    st.segmented_control(
        text("lesson_5.predict"),
        [*MARGINS, NONE],
        format_func=margin_name,
        key=PREDICTED,
        persist_state="session",
    )
    look, count = st.columns(2)
    with look:
        slider(text("lesson_5.seed"), SEED, seeds(), persist_state="session")
    count.segmented_control(
        text("lesson_5.count", margin=margin_name(COUNTED)),
        list(range(count_of_seeds + 1)),
        key=COUNT,
        persist_state="session",
    )
    question = text("lesson_5.question", seeds=count_of_seeds, margin=margin_name(COUNTED))
    ask(
        LESSON,
        question,
        lambda: check(recorded, st.session_state[PREDICTED], st.session_state[COUNT]),
    )


def check(recorded: Recorded, predicted: str | None, count: int | None) -> Verdict:
    """Whether there is a prediction, and `count` is how often the margin `COUNTED` won."""
    won = victories(recorded)
    if predicted is None:
        why = text("lesson_5.no_prediction")
    elif count is None:
        why = text("lesson_5.no_count")
    elif count != won:
        why = text("lesson_5.miscounted", seeds=len(recorded[COUNTED]))
    else:
        winner = clear_winner(recorded)
        if predicted == winner:
            key = "lesson_5.predicted_well"
        else:
            key = "lesson_5.predicted_else" if winner != NONE else "lesson_5.predicted_unclear"
        values = {"won": won, "seeds": len(recorded[COUNTED])}
        return Verdict(True, text(key, **values, predicted=margin_name(predicted)))
    return Verdict(False, why)


def victories(recorded: Recorded) -> int:
    """For how many seeds Q ends higher with the margin `COUNTED` than with each of the others."""
    others = [runs for margin, runs in recorded.items() if margin != COUNTED]
    return sum(
        all(run.final > rival.final for rival in rivals)
        for run, *rivals in zip(recorded[COUNTED], *others, strict=True)
    )


def _ranked(recorded: Recorded) -> list[str]:
    """The margins from the highest mean of Q's final top-1 to the lowest."""
    finals = {margin: interval([run.final for run in runs]) for margin, runs in recorded.items()}
    return sorted(finals, key=lambda margin: -finals[margin].mean)


def _rival(recorded: Recorded) -> str | None:
    """The best of the margins whose interval overlaps that of the highest mean; `None`: of none."""
    best, *others = _ranked(recorded)
    highest = interval([run.final for run in recorded[best]])
    for margin in others:
        if highest.overlaps(interval([run.final for run in recorded[margin]])):
            return margin
    return None


def clear_winner(recorded: Recorded) -> str:
    """The margin whose interval lies above all others, or `NONE`."""
    return _ranked(recorded)[0] if _rival(recorded) is None else NONE


def result_text(recorded: Recorded) -> str:
    """What the recordings say of the three margins, as Markdown."""
    best, rival = _ranked(recorded)[0], _rival(recorded)
    means = ", ".join(
        text(
            "lesson_5.mean",
            name=margin_name(margin),
            mean=interval([run.final for run in runs]).mean,
        )
        for margin, runs in recorded.items()
    )
    values = {"seeds": len(recorded[best]), "means": means, "best": margin_name(best)}
    if rival is None:
        accuracy = text("lesson_5.result_clear", **values)
    else:
        accuracy = text("lesson_5.result_close", **values, rival=margin_name(rival))
    low, high = (
        interval([run.h_prime[-1][1] for run in recorded[margin]])
        for margin in ("disagreement", "agreement")
    )
    key = "lesson_5.h_close" if low.overlaps(high) else "lesson_5.h_apart"
    return f"{accuracy} {text(key, low=low.mean, high=high.mean)}"


def _live_links() -> None:
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.markdown(text("lesson_5.live"), width="content")
        for margin in MARGINS:
            # A new session, as a link opens one, takes its settings from the address.
            st.link_button(margin_name(margin), live_address(margin))


def live_address(margin: str) -> str:
    """Address of the Play page with the settings of a recorded margin."""
    lower, upper = MARGINS[margin]
    view = ViewState(preset=PRESET, changes={"lambda_l": lower, "lambda_u": upper})
    return f"./?{urlencode(to_query(view))}"


def _charts(runs: Mapping[str, RecordedRun]) -> None:
    def courses(of: str, unit: str) -> list[Course]:
        return [
            Course(
                text(f"lesson_5.{unit}", name=margin_name(margin), value=getattr(run, of)[-1][1]),
                MARGIN_COLOURS[margin],
                getattr(run, of),
            )
            for margin, run in runs.items()
        ]

    any_run = next(iter(runs.values()))
    h_prime, top1 = courses("h_prime", "h_end"), courses("top1_q", "q_end")
    live_chart(
        h_prime_course(h_prime, any_run.warmup),
        key="learn_5_h_prime",
        revision="recorded",
        title=text("lesson_5.h_title"),
        height=_HEIGHT,
        alt=text("lesson_5.h_alt", ends=", ".join(course.name for course in h_prime)),
    )
    if st.session_state[PREDICTED] is None:
        st.info(text("lesson_5.hidden"))
    else:
        live_chart(
            accuracy_course(top1, any_run.top1_p, any_run.warmup),
            key="learn_5_accuracy",
            revision="recorded",
            title=text("lesson_5.q_title"),
            height=_HEIGHT,
            alt=text(
                "lesson_5.q_alt",
                ends=", ".join(course.name for course in top1),
                top1_p=any_run.top1_p,
            ),
        )
    for column, margin in zip(st.columns(len(runs)), runs, strict=True):
        column.image(
            str(sheet_file(FOLDER, margin)),
            text("lesson_5.sheet", name=margin_name(margin)),
            alt=text("lesson_5.sheet_alt", name=margin_name(margin)),
            width="stretch",
        )
