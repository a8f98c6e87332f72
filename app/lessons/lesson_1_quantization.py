"""Lesson 1: what rounding to a few bits does to a number, to a filter and to a network."""

from __future__ import annotations

import streamlit as st

from adadfq_core.lessons import numbers
from adadfq_core.quant.fake_quant import MAX_BITS, MIN_BITS, levels
from app.charts.lessons.rounding import bits_figure, staircase_figure, weights_figure
from app.components.live_chart import live_chart
from app.lessons import texts
from app.lessons.question import Verdict, ask
from app.lessons.subject import quantized_top1, subject
from app.lessons.texts import text
from app.lessons.widgets import Choice, Span, Widgets, begin, slider

# Convolutions near the image, in the middle and near the answer.
LAYERS = {
    "early": "stages.0.0.conv1",
    "middle": "stages.1.1.conv1",
    "late": "stages.2.2.conv2",
}
REACH = 1.25
BITS = Span(MIN_BITS, MAX_BITS, MAX_BITS, 1)
NUMBER = Span(-REACH, REACH, 0.35, 0.05)
# In percent.
KEPT = Span(10, 100, 100, 5)
LOSS = 1.0
HEIGHT = 234
_TRIED = "lesson_1_tried_bits"


def widgets() -> Widgets:
    """What may be set."""
    return {
        "learn_1_bits": BITS,
        "learn_1_number": NUMBER,
        "learn_1_kept": KEPT,
        "learn_1_layer": Choice(tuple(LAYERS), "late"),
    }


def draw() -> None:
    """Draw the model and the question."""
    begin(widgets())
    hands, eyes = st.columns([2, 3], gap="medium")
    with hands:
        bits = slider(text("lesson_1.bits"), "learn_1_bits", BITS)
        number = slider(text("lesson_1.number"), "learn_1_number", NUMBER)
        kept = slider(
            text("lesson_1.kept"),
            "learn_1_kept",
            KEPT,
            format="%d %%",
            help=text("lesson_1.kept_help"),
        )
        layer = st.segmented_control(
            text("lesson_1.layer"),
            list(LAYERS),
            format_func=lambda name: text(f"lesson_1.layers.{name}"),
            key="learn_1_layer",
            required=True,
        )
        question = st.container()
    with eyes:
        left, right = st.columns(2)
        with left:
            _number(number, bits, kept / 100)
        with right:
            _filter(LAYERS[layer], bits, kept / 100)
        chart, below = st.container(), st.empty()
        # In the note's place, so that nothing moves meanwhile; the chart of before stays.
        with below, st.spinner(text("lesson_1.waiting")):
            top1, found = subject().top1, quantized_top1(bits)
        with chart:
            _network(bits, top1, found)
        below.caption(_honest())
    with question:
        ask(1, text("lesson_1.question", loss=LOSS), lambda: check(bits))


def check(bits: int) -> Verdict:
    """Whether `bits` is the least number of bits that loses less than `LOSS` points."""
    top1 = subject().top1
    with st.spinner(text("lesson_1.waiting")):
        found = {number: quantized_top1(number) for number in range(MIN_BITS, bits + 1)}
    lost = top1 - found[bits]
    values = {"bits": bits, "lost": max(lost, 0.0), "found": found[bits]}
    if lost >= LOSS:
        return Verdict(False, text("lesson_1.too_few", **values))
    if numbers.fewer_bits_suffice(top1, found, bits, LOSS):
        return Verdict(False, text("lesson_1.too_many", **values))
    return Verdict(True, text("lesson_1.found", **values, share=100 * bits / 32))


def _honest() -> str:
    known, measured = (len(part.labels) for part in (subject().known, subject().measured))
    return text("lesson_1.honest", known=known, measured=measured, image=100 / measured)


def _number(number: float, bits: int, kept: float) -> None:
    snapped = numbers.round_number(number, bits, -kept, kept)
    values = {"number": number, "snapped": snapped, "count": levels(bits) + 1}
    live_chart(
        staircase_figure(
            *numbers.staircase(bits, -kept, kept, REACH),
            number,
            snapped,
            texts.all_texts()["lesson_1"]["staircase"],
        ),
        key="learn_1_staircase",
        revision="",
        title=text("lesson_1.staircase_title", **values),
        height=HEIGHT,
        alt=text("lesson_1.staircase_alt", **values),
    )


def _filter(layer: str, bits: int, kept: float) -> None:
    weights = numbers.filter_weights(subject().graph, layer)
    rounding = numbers.round_filter(weights, bits, kept)
    values = {
        "count": len(rounding.before),
        "levels": len(rounding.allowed),
        "clipped": 100 * rounding.clipped,
        "error": rounding.error,
    }
    live_chart(
        weights_figure(rounding, texts.all_texts()["lesson_1"]["weights"]),
        key="learn_1_weights",
        revision=layer,
        title=text("lesson_1.weights_title", **values),
        height=HEIGHT,
        alt=text("lesson_1.weights_alt", **values),
    )


def _network(bits: int, top1: float, found: float) -> None:
    # Only what was tried is shown: the answer is to be found, not read off.
    tried = st.session_state.get(_TRIED, {}) | {bits: found}
    st.session_state[_TRIED] = tried
    values = {"bits": bits, "found": found, "top1": top1}
    live_chart(
        bits_figure(top1, tried, bits, texts.all_texts()["lesson_1"]["accuracy"]),
        key="learn_1_accuracy",
        revision="",
        title=text("lesson_1.accuracy_title", **values),
        height=HEIGHT,
        alt=text("lesson_1.accuracy_alt", **values),
    )
