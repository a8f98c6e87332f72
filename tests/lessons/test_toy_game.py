"""The toy game against the engine's own functions, and what the lesson says of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from adadfq_core.errors import RunFailed
from adadfq_core.lessons.toy_game import EDGE, ToyGame, load_p, plane

INSIDE, AGREEING = (1.5, -1.5), (-0.5, 2.5)


@pytest.fixture
def game() -> ToyGame:
    return ToyGame(load_p())


def played(game: ToyGame, place: tuple[float, float], lessons: int = 3) -> ToyGame:
    game.place(*place)
    for _ in range(lessons):
        game.learn_q()
    return game


def test_p_is_of_the_wavy_line_and_q_differs_from_it_in_part(game: ToyGame) -> None:
    places = plane()
    above = places[:, 1] > 1.5 * torch.sin(1.4 * places[:, 0])
    assert ((load_p()(places).argmax(1) == 1) == above).double().mean() > 0.99
    view = game.view()
    differs = (view.p_lead > 0) != (view.q_lead > 0)
    assert game.disagreement == [pytest.approx(100 * differs.mean())]
    assert 2 < game.disagreement[0] < 15


def test_h_prime_is_the_entropy_of_two_classes_from_its_least_to_log_two(game: ToyGame) -> None:
    game.place(*INSIDE)
    view = game.view()
    share = 1 / (1 + np.exp(-(view.p_lead - view.q_lead).astype(np.float64)))
    info = -(share * np.log(share) + (1 - share) * np.log1p(-share))
    # None of the samples disagrees more than the plane's worst place does.
    expected = (info - info.min()) / (np.log(2) - info.min())
    np.testing.assert_allclose(view.h_prime, expected, atol=1e-4)
    between = (view.sample_h_prime >= 0.1) & (view.sample_h_prime <= 0.8)
    assert (view.inside == between).all() and 0 < view.inside.sum() < len(between)


def test_samples_in_the_margin_teach_q_and_those_it_agrees_on_hardly_do() -> None:
    inside, agreeing = (played(ToyGame(load_p()), place) for place in (INSIDE, AGREEING))
    assert min(inside.inside) > max(agreeing.inside)
    assert len(inside.inside) == 3 and len(inside.disagreement) == 4
    gained = [game.disagreement[0] - game.disagreement[-1] for game in (inside, agreeing)]
    assert gained[0] > 1 > abs(gained[1])


def test_the_same_moves_lead_to_the_same_game() -> None:
    first, second = (played(ToyGame(load_p()), INSIDE) for _ in range(2))
    assert first.disagreement == second.disagreement


@pytest.mark.parametrize("place", [(0, 2), (2, 2), AGREEING])
def test_g_moves_its_samples_into_the_margin_and_leaves_q_alone(
    game: ToyGame, place: tuple[float, float]
) -> None:
    game.place(*place)
    before = game.view()
    for _ in range(3):
        game.move_g()
    after = game.view()
    assert after.inside.sum() >= 2 * before.inside.sum()
    assert (after.q_lead == before.q_lead).all() and game.inside == []


def test_in_ten_rounds_the_optimizer_brings_q_nearer_to_p(game: ToyGame) -> None:
    for _ in range(10):
        game.move_g()
        game.learn_q()
    assert game.disagreement[-1] < 0.9 * game.disagreement[0]


def test_samples_stay_on_the_plane(game: ToyGame) -> None:
    game.place(EDGE, -EDGE)
    for _ in range(3):
        game.move_g()
        assert np.abs(game.view().samples).max() <= EDGE


def test_a_missing_network_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"toy-p\.safetensors"):
        load_p(tmp_path)
