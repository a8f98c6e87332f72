"""P and Q on the same real images: what Q gets right, and how far it is from P there."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from adadfq_core.game.methods import loss_of_q
from adadfq_core.training.evaluation import answers, percent_right
from adadfq_core.training.trainer import Trainer
from adadfq_core.zoo.evaluation_data import EvaluationData


class Score(NamedTuple):
    """What a network was measured at.

    Attributes:
        top1: in percent.
        loss_q: what Q minimises on G's images (`game.methods.loss_of_q`), on these images and with
            the temperature in force, in nats: its test loss. `None` for P.
    """

    top1: float
    loss_q: float | None


class Examination:
    """Measures the networks of `trainer` on the real images `data`; P answers them only once."""

    def __init__(self, trainer: Trainer, data: EvaluationData) -> None:
        self._trainer = trainer
        self._data = data
        self._p_logits: Tensor | None = None

    @torch.inference_mode()
    def measure(self, name: str, between_batches: Callable[[], None] | None = None) -> Score:
        """Measure "p", or Q under any other name.

        Args:
            between_batches: see `evaluation.answers`.
        """
        labels = self._data.labels
        if self._p_logits is None:
            p = self._trainer.players.p
            parts = [logits for _, logits in answers(p, self._data.images, between_batches)]
            self._p_logits = torch.cat(parts)
        if name == "p":
            return Score(percent_right(self._p_logits.argmax(1), labels), None)
        classes = []
        loss = torch.zeros((), dtype=torch.float64, device=labels.device)
        q = self._trainer.quantized_network()
        for part, logits in answers(q, self._data.images, between_batches):
            classes.append(logits.argmax(1))
            of_part = loss_of_q(self._p_logits[part], logits, labels[part], self._trainer.settings)
            loss += of_part.double() * len(logits)
        return Score(percent_right(torch.cat(classes), labels), float(loss) / len(labels))
