"""Trainers played to their end, whole and interrupted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from adadfq_core.training.trainer import Trainer


def states_of_q(trainer: Trainer) -> list[dict[str, Tensor]]:
    """Q's state after each iteration of a trainer, which is played to its end."""
    states = []
    for _ in range(trainer.settings.iterations):
        trainer.play()
        states.append({k: v.clone() for k, v in trainer.players.q.state_dict().items()})
    return states


def assert_resumes(make: Callable[[], Trainer], last: Mapping[str, Tensor]) -> None:
    """Stopped after one to three iterations and gone on with, Q ends in the state `last`."""
    for stop in (1, 2, 3):
        first, second = make(), make()
        for _ in range(stop):
            first.play()
        second.load_state_dict(first.state_dict())
        while not second.finished:
            second.play()
        ended = second.players.q.state_dict()
        assert all(torch.equal(value, last[name]) for name, value in ended.items()), stop
