"""The memory of earlier images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adadfq_core.game.step import Outcome
from adadfq_core.training.replay import ROOM, ReplayMemory
from adadfq_core.training.trainer import Trainer

Build = Callable[..., Trainer]


def outcome(values: list[int]) -> Outcome:
    """What was seen of images that hold these numbers, with their negatives as P's logits."""
    images = torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    logits = -images[:, 0, 0]
    h_prime = torch.zeros(len(values))
    labels = torch.zeros(len(values), dtype=torch.int64)
    return Outcome(images, labels, logits, logits, h_prime, torch.zeros(9))


def remembered(memory: ReplayMemory) -> set[int]:
    """The numbers of all images that it can draw, each of which has its own logits."""
    found = set()
    random = torch.Generator().manual_seed(0)
    for _ in range(200):
        drawn = memory.draw(random)
        assert drawn is not None and drawn.images.shape == (memory.draws, 1, 2, 2)
        assert torch.equal(drawn.images[:, 0, 0], -drawn.p_logits)
        found |= {int(value) for value in drawn.images[:, 0, 0, 0]}
    return found


def filled(draws: int, *batches: range) -> ReplayMemory:
    memory = ReplayMemory(draws, torch.device("cpu"))
    for batch in batches:
        memory.add(outcome(list(batch)))
    return memory


def test_nothing_is_drawn_before_there_is_an_image() -> None:
    assert filled(2).draw(torch.Generator()) is None
    assert filled(2).state_dict() == {}


@pytest.mark.parametrize(
    ("batches", "held"),
    [
        ([range(3)], range(3)),
        ([range(20), range(20, 32)], range(32)),
        ([range(20), range(20, 40)], range(8, 40)),
        ([range(0, 7), range(7, 46), range(46, 50)], range(18, 50)),
        ([range(100)], range(68, 100)),
        ([range(5), range(5, 205)], range(173, 205)),
    ],
)
def test_the_oldest_images_give_way(batches: list[range], held: range) -> None:
    assert ROOM * 2 == 32
    assert remembered(filled(2, *batches)) == set(held)


def test_a_restored_memory_goes_on_as_the_first_would() -> None:
    first = filled(2, range(20))
    other = filled(2, range(50, 70))
    other.load_state_dict(first.state_dict())
    for memory in (first, other):
        memory.add(outcome(list(range(20, 40))))
    assert remembered(first) == remembered(other) == set(range(8, 40))
    other.load_state_dict({})
    assert other.draw(torch.Generator()) is None


def test_a_restored_memory_does_not_write_into_the_state_it_came_from() -> None:
    first = filled(2, range(32))
    other = filled(2)
    other.load_state_dict(first.state_dict())
    other.add(outcome(list(range(50, 60))))
    assert remembered(first) == set(range(32))


def moves(trainer: Trainer, weights_of: Callable[[nn.Module], dict[str, Tensor]]) -> dict[str, Any]:
    while not trainer.finished:
        trainer.play()
    return weights_of(trainer.players.q)


def test_q_learns_from_it(
    tiny_trainer: Build, weights_of: Callable[[nn.Module], dict[str, Tensor]]
) -> None:
    plain, again = (moves(tiny_trainer(replay=count), weights_of) for count in (0, 4))
    assert any(not torch.equal(plain[name], again[name]) for name in plain)


def test_half_moves_are_remembered_too(tiny_trainer: Build) -> None:
    trainer = tiny_trainer(replay=4)
    (seen,) = {half.outcome for half in trainer.play_halves()}
    assert trainer._memory is not None
    drawn = trainer._memory.draw(torch.Generator())
    assert drawn is not None
    for image in drawn.images:
        assert (seen.images.half().float() == image).all((1, 2, 3)).any()
