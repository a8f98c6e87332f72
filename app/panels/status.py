"""How far a run is and what it has reached, in each of its states, or what to do without one."""

from __future__ import annotations

import html

import streamlit as st

from adadfq_core.runs import RunInfo, RunStatus, ordinal
from adadfq_core.runs.summary import Summary
from app.markdown import plain
from app.run_view import RunView


def doing(info: RunInfo, seconds_left: float | None) -> str:
    """The run's state in a line."""
    if info.place is not None:
        return (
            f"queued: {ordinal(info.place)} in the queue; it starts by itself when it is its turn, "
            "also when this page is closed"
        )
    if info.status == RunStatus.STARTING:
        return "starting: loading the network"
    parts = [f"{info.status}", f"iteration {info.iteration} of {info.settings.iterations}"]
    if info.active and info.iteration < info.settings.warmup_iterations:
        parts.append("warm-up: only G learns, Q's activation ranges are being set")
    if info.active and seconds_left is not None:
        minutes, seconds = divmod(round(seconds_left), 60)
        parts.append(f"about {minutes} min {seconds:02d} s left")
    return " · ".join(parts)


def figures(summary: Summary) -> list[tuple[str, str, str]]:
    """Name, value and player of each figure; a dash where nothing was measured yet."""

    def percent(value: float | None) -> str:
        return "–" if value is None else f"{value:.2f} %"

    recovered = summary.recovered
    return [
        ("P", percent(summary.top1_p), "p"),
        ("Q calibrated", percent(summary.top1_q_calibrated), ""),
        ("Q now", percent(summary.top1_q_last), "q"),
        ("gap recovered", "–" if recovered is None else f"{100 * recovered:.0f} %", ""),
    ]


def status_html(info: RunInfo, summary: Summary, seconds_left: float | None) -> str:
    """One strip: what the run does, how far it is, and its accuracies."""
    share = 100 * min(info.iteration / info.settings.iterations, 1.0)
    failed = " failed" if info.status in (RunStatus.FAILED, RunStatus.LOST) else ""
    cells = "".join(
        f'<div><dt class="{player}">{name}</dt><dd>{value}</dd></div>'
        for name, value, player in figures(summary)
    )
    return (
        f'<div class="run-status"><div><div class="doing" role="status">'
        f"{html.escape(doing(info, seconds_left))}</div>"
        f'<div class="bar{failed}" role="progressbar" aria-label="Iterations done" '
        f'aria-valuenow="{share:.0f}" aria-valuemin="0" aria-valuemax="100">'
        f'<i style="width:{share:.2f}%"></i></div></div><dl>{cells}</dl></div>'
    )


def status_strip(view: RunView) -> None:
    """The strip, and a sentence where the run needs its reader."""
    info = view.info
    st.html(status_html(info, view.summary(), view.seconds_left() if info.active else None))
    if info.status in (RunStatus.FAILED, RunStatus.LOST):
        st.error(
            f"{plain(info.reason)} Resume goes on from the last checkpoint.",
            icon=":material/error:",
        )
    elif not view.has_points and info.active:
        st.html('<div class="waiting" role="status">The first iterations are being played …</div>')


def welcome(network: str, weight_bits: int, activation_bits: int, before: int) -> None:
    """What a page without a run says: who plays, and what Start does.

    Args:
        before: runs that go or wait.
    """
    cards = (
        (
            "p",
            "P · full precision",
            f"A trained network, <b>{html.escape(network)}</b>. It never changes, and the "
            "images that it was trained on are not needed.",
        ),
        (
            "g",
            "G · the generator",
            "Invents images on which P and Q disagree, but not too much: within the margin "
            "between λ<sub>l</sub> and λ<sub>u</sub>.",
        ),
        (
            "q",
            "Q · the quantized network",
            f"A copy of P with {weight_bits}-bit weights and "
            f"{activation_bits}-bit activations that learns from G's images to agree "
            "with P.",
        ),
    )
    boxes = "".join(
        f'<div class="{player}"><h2>{title}</h2><p>{text}</p></div>'
        for player, title, text in cards
    )
    st.html(f'<div class="welcome">{boxes}</div>')
    st.info(
        "Press **Start** and watch them play. Every slider at the left works while they do.",
        icon=":material/play_arrow:",
    )
    if before:
        goes = "One run goes or waits" if before == 1 else f"{before} runs go or wait"
        st.caption(f"{goes} already: yours waits for its turn unless there is room for it beside.")
