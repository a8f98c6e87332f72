from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from adadfq_core.game.step import SCALARS, Outcome
from adadfq_core.training import trainer as trainer_module
from adadfq_core.training.examination import Score
from adadfq_core.training.loop import train
from adadfq_core.training.trainer import HalfMove, Trainer

Build = Callable[..., Trainer]
SLOW_SECONDS = 500.0


class Played:
    """An observer that keeps what it is told; `halves` are the iterations it wants by halves."""

    def __init__(
        self,
        trainer: Trainer,
        halves: set[int] | None = None,
        wait: Callable[[], None] = lambda: None,
    ) -> None:
        self.milliseconds: dict[int, float] = {}
        self.values: dict[int, dict[str, float]] = {}
        self.seen: dict[int, float] = {}
        self.moves: list[tuple[int, str]] = []
        self._trainer = trainer
        self._halves = halves or set()
        self._wait = wait

    def before_iteration(self) -> None:
        pass

    def wants_halves(self) -> bool:
        return self._trainer.iteration + 1 in self._halves

    def half_played(self, move: HalfMove) -> None:
        self.moves.append((self._trainer.iteration, move.player))
        self._wait()

    def played(self, outcome: Outcome, milliseconds: float, value: Mapping[str, Tensor]) -> None:
        iteration = self._trainer.iteration
        self.milliseconds[iteration] = milliseconds
        self.seen[iteration] = float(outcome.scalars[SCALARS.index("h_prime_mean")])
        if value:
            self.values[iteration] = {name: float(number) for name, number in value.items()}

    def between_batches(self) -> None:
        pass

    def evaluated(self, network: str, score: Score) -> None:
        raise AssertionError("nothing is measured without data")

    def checkpoint(self) -> None:
        pass


def test_the_value_is_measured_every_few_iterations(tiny_trainer: Build) -> None:
    trainer = tiny_trainer(value_every=3)
    observer = Played(trainer)
    train(trainer, None, observer)
    warm_up, later = {"before", "after_g"}, {"before", "after_g", "after_q"}
    assert {i: set(value) for i, value in observer.values.items()} == {
        3: warm_up,
        6: later,
        9: later,
        12: later,
    }
    for iteration, value in observer.values.items():
        assert value["before"] == pytest.approx(observer.seen[iteration], rel=1e-6)
        assert len(set(value.values())) == len(value), "every move changes something"
    assert not observer.moves, "nobody asked for half moves"


def test_measuring_the_value_changes_no_number(
    tiny_trainer: Build, weights_of: Callable[[nn.Module], dict[str, Tensor]]
) -> None:
    ended = []
    for every in (1, 1000):
        trainer = tiny_trainer(value_every=every, q_average=0.9)
        observer = Played(trainer)
        train(trainer, None, observer)
        assert len(observer.values) == (12 if every == 1 else 0)
        ended.append((observer.seen, trainer))
    (seen, measured), (plain_seen, plain) = ended
    assert seen == plain_seen
    for one, other in (
        (measured.players.generator, plain.players.generator),
        (measured.quantized_network(), plain.quantized_network()),
    ):
        for own, expected in zip(weights_of(one).values(), weights_of(other).values(), strict=True):
            assert torch.equal(own, expected)


def test_an_iteration_by_halves_is_measured_too(tiny_trainer: Build) -> None:
    trainer = tiny_trainer(value_every=1000)
    observer = Played(trainer, halves={2, 7})
    train(trainer, None, observer)
    assert observer.moves == [(1, "g"), (2, "q"), (6, "g"), (7, "q")]
    assert {i: set(value) for i, value in observer.values.items()} == {
        2: {"before", "after_g"},
        7: {"before", "after_g", "after_q"},
    }


def test_the_time_is_that_of_the_moves_alone(
    tiny_trainer: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_at, clock = trainer_module.look_at, [0.0]

    def ticking() -> float:
        clock[0] += 1
        return clock[0]

    def wait() -> None:
        clock[0] += SLOW_SECONDS

    def slow_look(*args: object) -> object:
        wait()
        return look_at(*args)

    monkeypatch.setattr(time, "perf_counter", ticking)
    monkeypatch.setattr(trainer_module, "look_at", slow_look)
    trainer = tiny_trainer(value_every=5, epochs=2, iterations_per_epoch=3)
    observer = Played(trainer, halves={6}, wait=wait)
    train(trainer, None, observer)
    assert set(observer.values) == {5, 6}
    assert all(0 < took < SLOW_SECONDS * 1e3 for took in observer.milliseconds.values())
