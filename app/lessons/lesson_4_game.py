"""Lesson 4: G's moves by hand and by the optimizer, against a Q that learns from them."""

from __future__ import annotations

from typing import Any

import streamlit as st
from torch import nn

from adadfq_core.lessons.toy_game import EDGE, SETTINGS, ToyGame, View, load_p
from app.charts.lessons.toy_game import plane_figure, score_figure
from app.components.live_chart import live_chart
from app.lessons.question import Verdict, ask
from app.lessons.texts import text
from app.lessons.widgets import Span, Widgets, begin, slider

GAME = "learn_4_game"
X, Y = "learn_4_x", "learn_4_y"
PLACE = Span(-EDGE, EDGE, 0.0, 0.1)
ROUNDS = 10
# What the question asks for. Whoever moves on to where most samples are inside reaches it in three
# lessons; whoever stays at one place sees its samples leave the margin.
GOAL, WANTED, LEAST_INSIDE = 4.8, 3, SETTINGS.batch // 2
_MAP_HEIGHT, _SCORE_HEIGHT = 560, 150


@st.cache_resource(show_spinner=False)
def _p() -> nn.Module:
    return load_p()


def _game() -> ToyGame:
    """This session's game."""
    if GAME not in st.session_state:
        st.session_state[GAME] = ToyGame(_p())
        _place()
    game: ToyGame = st.session_state[GAME]
    return game


def _start_again() -> None:
    st.session_state[GAME] = ToyGame(_p())
    st.session_state[X] = st.session_state[Y] = PLACE.start


def _place() -> None:
    _game().place(st.session_state[X], st.session_state[Y])


def _play_rounds() -> None:
    game = _game()
    for _ in range(ROUNDS):
        game.move_g()
        game.learn_q()


def widgets() -> Widgets:
    """What may be set."""
    return {X: PLACE, Y: PLACE}


def draw() -> None:
    """Draw the lesson."""
    begin(widgets())
    game = _game()
    view = game.view()
    left, right = st.columns([6, 5])
    with left:
        _map(view, game.disagreement[-1])
    with right:
        _controls()
        _score(game, view)
        question = text("lesson_4.question", goal=GOAL, least=LEAST_INSIDE, count=SETTINGS.batch)
        ask(4, question, lambda: check(game))


def _map(view: View, now: float) -> None:
    # Adaptability is 1 - H', so the margin's ends change places.
    margin = (1 - SETTINGS.lambda_u, 1 - SETTINGS.lambda_l)
    figure = plane_figure(
        view.axis, 1 - view.h_prime, view.p_lead, view.q_lead, view.samples, view.inside, margin
    )
    inside, count = int(view.inside.sum()), len(view.inside)
    live_chart(
        figure,
        key="learn_4_map",
        revision="toy",
        height=_MAP_HEIGHT,
        alt=text("lesson_4.map_alt", inside=inside, count=count, now=now),
        on_click=_place_at,
    )


def _place_at(point: dict[str, Any]) -> None:
    for key, side in ((X, "x"), (Y, "y")):
        st.session_state[key] = round(float(point[side]), 1)
    _place()


def _controls() -> None:
    for column, key, name in zip(st.columns(2), (X, Y), ("x", "y"), strict=True):
        with column:
            slider(
                text(f"lesson_4.{name}"),
                key,
                PLACE,
                on_change=_place,
                persist_state="session",
                help=text("lesson_4.placed_help"),
            )
    moves = {"move_g": _move_g, "learn_q": _learn_q, "rounds": _play_rounds}
    with st.container(horizontal=True, gap="small"):
        for name, move in moves.items():
            st.button(
                text(f"lesson_4.{name}"),
                key=f"press_4_{name}",
                on_click=move,
                help=text(f"lesson_4.{name}_help"),
            )
        st.button(text("lesson_4.again"), key="press_4_again", on_click=_start_again)


def _move_g() -> None:
    _game().move_g()


def _learn_q() -> None:
    _game().learn_q()


def _score(game: ToyGame, view: View) -> None:
    now = game.disagreement[-1]
    inside, count = int(view.inside.sum()), len(view.inside)
    st.markdown(text("lesson_4.score", inside=inside, count=count, now=now))
    live_chart(
        score_figure(game.disagreement, GOAL),
        key="learn_4_score",
        revision="toy",
        height=_SCORE_HEIGHT,
        alt=text(
            "lesson_4.score_alt",
            first=game.disagreement[0],
            now=now,
            lessons=len(game.inside),
            goal=GOAL,
        ),
    )


def check(game: ToyGame) -> Verdict:
    """Whether Q was taught often enough inside the margin, and now agrees with P well enough."""
    taught = sum(inside >= LEAST_INSIDE for inside in game.inside)
    first, now = game.disagreement[0], game.disagreement[-1]
    if taught < WANTED:
        why = text("lesson_4.too_few", taught=taught, least=LEAST_INSIDE, wanted=WANTED)
    elif round(now, 1) >= GOAL:
        why = text("lesson_4.too_high", now=now, goal=GOAL)
    else:
        return Verdict(True, text("lesson_4.solved", first=first, now=now))
    return Verdict(False, why)
