"""Lesson 3: where P and Q disagree, where they agree, and one number between the two."""

from __future__ import annotations

import streamlit as st

from adadfq_core.lessons.logits import OTHERS_P, Judged, judge
from adadfq_core.settings import RunSettings
from app.charts.lessons.adaptability import distributions_figure, place_figure
from app.components.live_chart import live_chart
from app.lessons import texts
from app.lessons.question import Verdict, ask
from app.lessons.texts import text
from app.lessons.widgets import Span, Widgets, begin, slider

START = {"p": (2.0, 0.0, 0.0), "q": (2.0, 0.0, 0.0)}
FARTHEST = 6.0
STEP = 0.5
LOWER, UPPER = RunSettings().lambda_l, RunSettings().lambda_u


def _logit(network: str, index: int) -> Span:
    return Span(-FARTHEST, FARTHEST, START[network][index], STEP)


def widgets() -> Widgets:
    """What may be set."""
    return {
        f"learn_3_{network}_{index}": _logit(network, index)
        for network, starts in START.items()
        for index in range(len(starts))
    }


def draw() -> None:
    """Draw the model and the question."""
    classes = texts.all_texts()["lesson_3"]["classes"]
    begin(widgets())
    hands, eyes = st.columns([2, 3], gap="medium")
    with hands:
        p = _logits("p", classes)
        q = _logits("q", classes)
        question = st.container()
    judged = judge(p, q)
    with eyes:
        _distributions(judged, classes)
        _place(judged)
        st.caption(text("lesson_3.honest", others=len(OTHERS_P)))
    with question:
        ask(3, text("lesson_3.question", lower=LOWER, upper=UPPER), lambda: check(judged))


def check(judged: Judged) -> Verdict:
    """Whether P and Q answer differently and H' lies inside the margin."""
    values = {"h_prime": judged.h_prime, "lower": LOWER, "upper": UPPER}
    if judged.h_prime > UPPER:
        return Verdict(False, text("lesson_3.too_alike", **values))
    if judged.h_prime < LOWER:
        return Verdict(False, text("lesson_3.too_far", **values))
    if not judged.answers_differ:
        return Verdict(False, text("lesson_3.same_answer", **values))
    return Verdict(True, text("lesson_3.learnable", **values))


def _logits(network: str, classes: list[str]) -> tuple[float, float, float]:
    st.markdown(text(f"lesson_3.logits_{network}"))
    scores: list[float] = []
    for index, (column, name) in enumerate(zip(st.columns(len(classes)), classes, strict=True)):
        with column:
            key = f"learn_3_{network}_{index}"
            scores.append(slider(name, key, _logit(network, index), format="%.1f"))
    first, second, third = scores
    return first, second, third


def _distributions(judged: Judged, classes: list[str]) -> None:
    unsure = text("lesson_3.unsure")
    p, q = (
        unsure if answer is None else classes[answer]
        for answer in (judged.p_answer, judged.q_answer)
    )
    live_chart(
        distributions_figure(judged, classes, texts.all_texts()["lesson_3"]["distributions"]),
        key="learn_3_distributions",
        revision="",
        title=text("lesson_3.distributions_title", p=p, q=q),
        height=270,
        alt="; ".join(
            text(
                "lesson_3.distribution_alt",
                name=text(f"lesson_3.spoken.{name}"),
                shares=", ".join(
                    f"{label} {100 * share:.0f} %"
                    for label, share in zip(classes, getattr(judged, name), strict=True)
                ),
            )
            for name in ("p", "q", "p_ds", "p_as")
        ),
    )


def _place(judged: Judged) -> None:
    if judged.h_prime < LOWER:
        place = "below"
    elif judged.h_prime > UPPER:
        place = "above"
    else:
        place = "inside"
    values = {
        "h_prime": judged.h_prime,
        "adaptability": judged.adaptability,
        "place": text(f"lesson_3.places.{place}"),
        "lower": LOWER,
        "upper": UPPER,
    }
    live_chart(
        place_figure(judged, LOWER, UPPER, texts.all_texts()["lesson_3"]["place"]),
        key="learn_3_place",
        revision="",
        title=text("lesson_3.place_title", **values),
        height=210,
        alt=text("lesson_3.place_alt", **values),
    )
