"""The order of a run: iterations, evaluations and checkpoints, told to an observer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from torch import Tensor

from adadfq_core.game.step import Outcome
from adadfq_core.training.examination import Examination, Score
from adadfq_core.training.trainer import HalfMove, Trainer
from adadfq_core.zoo.evaluation_data import EvaluationData


class Observer(Protocol):
    """What a run tells, and where it can be held or ended (by an exception)."""

    def before_iteration(self) -> None:
        """Called before every iteration: apply commands, wait while paused."""

    def wants_halves(self) -> bool:
        """Whether the next iteration is to be played as two half moves."""

    def half_played(self, move: HalfMove) -> None:
        """Called after each half move; the other player's move waits until it returns."""

    def played(self, outcome: Outcome, milliseconds: float, value: Mapping[str, Tensor]) -> None:
        """Called after every iteration with the time that its moves took.

        `value` is empty unless it was measured: the game's value "before" the moves, "after_g"
        and "after_q", scalars; without the moves that were not made (Q's in the warm-up).
        """

    def between_batches(self) -> None:
        """Called between the batches of an evaluation."""

    def evaluated(self, network: str, score: Score) -> None:
        """What "p", "q_calibrated" (Q before its first move) or "q" was measured at."""

    def checkpoint(self) -> None:
        """Called when a checkpoint is due."""


def train(trainer: Trainer, data: EvaluationData | None, observer: Observer) -> None:
    """Play all remaining iterations of `trainer`.

    P and the calibrated Q are measured at the end of the warm-up, Q then every
    `evaluate_every` iterations and at the end. Checkpoints come after evaluations, so that a
    resumed run owes none. Without `data` nothing is measured. Every `value_every` iterations,
    and where the observer wants the half moves, the game's value is measured around each.
    """
    examination = None if data is None else Examination(trainer, data)
    while not trainer.finished:
        observer.before_iteration()
        if observer.wants_halves():
            outcome, milliseconds, value = _play_halves(trainer, observer.half_played)
        elif (trainer.iteration + 1) % trainer.settings.value_every == 0:
            outcome, milliseconds, value = _play_halves(trainer)
        else:
            began = time.perf_counter()
            outcome, value = trainer.play(), {}
            milliseconds = (time.perf_counter() - began) * 1e3
        observer.played(outcome, milliseconds, value)
        evaluate_if_due(trainer, examination, observer)
        if trainer.finished or trainer.iteration % trainer.settings.checkpoint_every == 0:
            observer.checkpoint()


def _play_halves(
    trainer: Trainer, tell: Callable[[HalfMove], None] | None = None
) -> tuple[Outcome, float, dict[str, Tensor]]:
    """An iteration with its milliseconds and value, both as `Observer.played` takes them.

    The time is that of the moves alone. The looks around them would show as a slow iteration in
    a log in which the others have none, and in step mode so would the user's pauses.
    """
    q_waits = trainer.warming_up
    milliseconds = 0.0
    value: dict[str, Tensor] = {}
    for move in trainer.play_halves():
        milliseconds += move.milliseconds
        value.setdefault("before", move.value_before)
        if move.player == "g" or not q_waits:
            value[f"after_{move.player}"] = move.value_after
        if tell is not None:
            tell(move)
    return move.outcome, milliseconds, value


def evaluate_if_due(trainer: Trainer, examination: Examination | None, observer: Observer) -> None:
    """Measure what is due after the iteration that `trainer` has just played."""
    if examination is None:
        return
    done = trainer.iteration - trainer.settings.warmup_iterations
    due: list[str] = []
    if done == 0:
        due = ["p", "q_calibrated"]
    elif done > 0 and (done % trainer.settings.evaluate_every == 0 or trainer.finished):
        due = ["q"]
    for name in due:
        observer.evaluated(name, examination.measure(name, observer.between_batches))
