"""One sample of three classes beside a fixed batch: what P and Q say of it, and its H'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adadfq_core.game.objectives import normalised_entropy

# P's and Q's logits for the other samples of the batch, from sharp disagreement to full agreement:
# H' is normalised with the batch's least entropy, so a sample alone has none.
OTHERS_P = ((6.0, 0.0, 0.0), (3.0, 0.0, 0.0), (2.0, 0.0, 0.0), (1.0, 0.0, 0.0), (2.0, 1.0, 0.0))
OTHERS_Q = ((0.0, 6.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.5), (2.0, 1.0, 0.0))


@dataclass(frozen=True, eq=False)
class Judged:
    """What P and Q make of a sample, with C = 3.

    Attributes:
        p, q: their probabilities, `softmax` of the logits, `(C,)`.
        p_ds, p_as: disagreement and agreement distribution, `(C,)`.
        p_answer, q_answer: the likeliest class, `None` where two or more share the first place.
        h_prime: normalised entropy H' of the sample within the batch, 0..1.
        others: H' of the batch's other samples.
    """

    p: NDArray[np.float64]
    q: NDArray[np.float64]
    p_ds: NDArray[np.float64]
    p_as: NDArray[np.float64]
    p_answer: int | None
    q_answer: int | None
    h_prime: float
    others: NDArray[np.float64]

    @property
    def answers_differ(self) -> bool:
        """Whether both have an answer, and not the same one."""
        both = (self.p_answer, self.q_answer)
        return None not in both and self.p_answer != self.q_answer

    @property
    def adaptability(self) -> float:
        """`1 - H'`."""
        return 1 - self.h_prime


def judge(p_logits: Sequence[float], q_logits: Sequence[float]) -> Judged:
    """P's and Q's three logits for a sample, judged within the batch of the fixed samples."""
    p_batch = torch.tensor((p_logits, *OTHERS_P), dtype=torch.float64)
    q_batch = torch.tensor((q_logits, *OTHERS_Q), dtype=torch.float64)
    h_prime = normalised_entropy(p_batch - q_batch).numpy()
    p, q = p_batch[0], q_batch[0]
    return Judged(
        p=p.softmax(0).numpy(),
        q=q.softmax(0).numpy(),
        p_ds=(p - q).softmax(0).numpy(),
        p_as=(p + q).softmax(0).numpy(),
        p_answer=_answer(p),
        q_answer=_answer(q),
        h_prime=float(h_prime[0]),
        others=h_prime[1:],
    )


def _answer(logits: Tensor) -> int | None:
    first = (logits == logits.max()).nonzero().flatten()
    return int(first[0]) if len(first) == 1 else None
