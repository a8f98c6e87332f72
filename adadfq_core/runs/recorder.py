"""Turns what the training loop tells into records of the run's log."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from adadfq_core.embedding.features import PenultimateFeatures
from adadfq_core.errors import RunFailed
from adadfq_core.game.step import SCALARS, Outcome
from adadfq_core.runs import divergence
from adadfq_core.runs.records import RecordKind
from adadfq_core.runs.writer import RunWriter
from adadfq_core.training.examination import Score
from adadfq_core.training.soundness import first_non_finite
from adadfq_core.training.trainer import HalfMove, Trainer
from adadfq_core.zoo.formats import ImageFormat

SHEET_IMAGES = 64
# A sheet is stored every few iterations, so that of large images fewer are kept.
SHEET_BYTES = 4 << 20
EMBEDDED_SAMPLES = 256
# How long results stay on the device before they are copied and written together.
DRAIN_SECONDS = 0.2


def sheet_samples(labels: Tensor, image_shape: Sequence[int]) -> Tensor:
    """Indices of the samples `(B,)` that a sheet keeps, sorted by class.

    If there is no room for all, they are taken at equal distances, so that no class is left out.
    """
    order = torch.argsort(labels, stable=True)
    count = min(len(order), SHEET_IMAGES, max(SHEET_BYTES // math.prod(image_shape), 1))
    places = torch.arange(count, device=order.device) * len(order) // count
    return order[places]


class _Played(NamedTuple):
    """An iteration whose results are still on the device, and what is recorded beside them."""

    iteration: int
    outcome: Outcome
    beside: dict[str, float]
    value: Mapping[str, Tensor]


class Recorder:
    """Writes steps, image sheets and samples' features; copies off the device in batches.

    A resumed run plays some iterations again, with the same results; those that the log already
    has (`recorded`: last iteration of each kind, `measured`: iteration and network of each
    evaluation) are not written twice.
    """

    def __init__(
        self,
        writer: RunWriter,
        trainer: Trainer,
        images: ImageFormat,
        recorded: dict[RecordKind, int],
        measured: set[tuple[int, str]],
        seconds: float,
    ) -> None:
        self._writer = writer
        self._trainer = trainer
        self._images = images
        self._recorded = recorded
        self._measured = measured
        self._pending: list[_Played] = []
        self._drained = time.monotonic()
        self._resumed_at = time.monotonic() - seconds
        self._tap = PenultimateFeatures(trainer.players.p)
        batches = max(1, EMBEDDED_SAMPLES // trainer.settings.batch)
        self._features: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=batches)

    @property
    def seconds(self) -> float:
        """Seconds at work since the run began, pauses left out."""
        return time.monotonic() - self._resumed_at

    def leave_out(self, seconds: float) -> None:
        """Do not count the last `seconds` as work."""
        self._resumed_at += seconds

    def played(self, outcome: Outcome, milliseconds: float, value: Mapping[str, Tensor]) -> None:
        """Keep one iteration's results; write them when enough time has gone by.

        `value` is as `training.loop.Observer.played` gets it.
        """
        iteration = self._trainer.iteration
        lr_g, lr_q = self._trainer.learning_rates
        beside = {"ms": milliseconds, "seconds": self.seconds, "lr_g": lr_g, "lr_q": lr_q}
        self._pending.append(_Played(iteration, outcome, beside, value))
        self._features.append((self._tap.latest(), outcome.labels, outcome.h_prime))
        settings = self._trainer.settings
        if iteration == 1 or settings.slow_motion or iteration % settings.snapshot_every == 0:
            self._sheet(iteration, outcome)
        if iteration == 1 or time.monotonic() - self._drained >= DRAIN_SECONDS:
            self.drain()

    def drain(self) -> None:
        """Write the kept iterations.

        Raises:
            RunFailed: a loss is NaN or infinite; names the term and the iteration.
        """
        pending, self._pending = self._pending, []
        self._drained = time.monotonic()
        if not pending:
            return
        scalars = torch.stack([played.outcome.scalars for played in pending]).tolist()
        h_primes = torch.stack([played.outcome.h_prime for played in pending]).tolist()
        for played, values, h_prime in zip(pending, scalars, h_primes, strict=True):
            iteration = played.iteration
            data: dict[str, object] = dict(zip(SCALARS, values, strict=True))
            data |= played.beside
            data["h_prime"] = [round(h, 4) for h in h_prime]
            self.append(RecordKind.STEP, iteration, data)
            if played.value:
                numbers = torch.stack(list(played.value.values())).tolist()
                about = dict(zip(played.value, numbers, strict=True))
                self.append(RecordKind.VALUE, iteration, about)
            for name, value in zip(SCALARS, values, strict=True):
                if not np.isfinite(value):
                    raise self._diverged(f"{name} became {value}", iteration)

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Refuse a trainer's `state_dict` that must not be kept, measured or gone on from.

        Raises:
            RunFailed: a weight, a range or an optimizer's memory is NaN or infinite.
        """
        bad = first_non_finite(state)
        if bad is not None:
            raise self._diverged(f"{bad} is not finite any more", self._trainer.iteration)

    def _diverged(self, what: str, iteration: int) -> RunFailed:
        return RunFailed(
            divergence.sentence(what, iteration, self._writer.run_id, self._trainer.settings)
        )

    def append(
        self,
        kind: RecordKind,
        iteration: int,
        data: dict[str, object],
        arrays: dict[str, np.ndarray] | None = None,
    ) -> None:
        """Write a record unless an earlier process of this run did."""
        if iteration > self._recorded.get(kind, -1):
            self._writer.append(kind, iteration, data, arrays)

    def evaluated(self, network: str, score: Score) -> None:
        """Write what a network was measured at, after the iterations that led to it."""
        self.drain()
        self.check_state(self._trainer.state_dict())
        iteration = self._trainer.iteration
        # Two networks are measured at the end of the warm-up, and a run may die between them.
        if (iteration, network) not in self._measured:
            data: dict[str, object] = {"network": network, "top1": score.top1}
            data["seconds"] = self.seconds
            if score.loss_q is not None:
                data["loss_q"] = score.loss_q
            self._writer.append(RecordKind.EVALUATION, iteration, data)

    def _sheet(self, iteration: int, outcome: Outcome) -> None:
        chosen = sheet_samples(outcome.labels, outcome.images.shape[1:])
        self.append(
            RecordKind.IMAGES,
            iteration,
            {},
            {
                "pixels": self._images.pixels(outcome.images[chosen]).cpu().numpy(),
                "labels": outcome.labels[chosen].cpu().numpy(),
                "h_prime": outcome.h_prime[chosen].cpu().numpy(),
                "p_logits": outcome.p_logits[chosen].cpu().numpy(),
                "q_logits": outcome.q_logits[chosen].cpu().numpy(),
            },
        )

    def half_played(self, move: HalfMove) -> None:
        """Write one player's move: G's as images before and after, Q's as logits.

        `value_before` and `value_after` are the game's value, the mean H' of what G makes or of
        the real images in its place.
        """
        chosen = sheet_samples(move.outcome.labels, move.outcome.images.shape[1:])
        arrays = {"labels": move.outcome.labels[chosen].cpu().numpy()}
        for when, look in (("before", move.before), ("after", move.after)):
            arrays |= {
                f"pixels_{when}": self._images.pixels(look.images[chosen]).cpu().numpy(),
                f"p_logits_{when}": look.p_logits[chosen].cpu().numpy(),
                f"q_logits_{when}": look.q_logits[chosen].cpu().numpy(),
                f"h_prime_{when}": look.h_prime[chosen].cpu().numpy(),
            }
        data: dict[str, object] = {
            "player": move.player,
            "value_before": float(move.value_before),
            "value_after": float(move.value_after),
        }
        # Not through `append`: G's and Q's moves are of one iteration.
        iteration = self._trainer.iteration + (move.player == "g")
        self._writer.append(RecordKind.HALF, iteration, data, arrays)
        self._writer.flush()

    def recent_samples(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features `(n, D)`, labels and adaptability `(n,)` of the latest samples."""
        features, labels, h_prime = (torch.cat(part) for part in zip(*self._features, strict=True))
        return features.cpu().numpy(), labels.cpu().numpy(), (1 - h_prime).cpu().numpy()
