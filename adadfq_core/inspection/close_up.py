"""One generated sample up close: what P and Q say of it and what the game makes of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from adadfq_core.errors import InputError
from adadfq_core.game.objectives import entropy
from adadfq_core.inspection.sample_table import REGIONS, sheet_columns
from adadfq_core.settings import RunSettings

TOP = 5


class ClassProbability(NamedTuple):
    """A class by its number, and its share of a distribution, within [0, 1]."""

    label: int
    probability: float


@dataclass(frozen=True, eq=False)
class CloseUp:
    """The numbers of one sample; symbols as in the paper's section 3.

    Attributes:
        label: the class asked of G.
        top_p, top_q: the most likely classes of `softmax(p)` and of `softmax(q)`, at most `TOP`,
            the likeliest first.
        p_ds, p_as: disagreement and agreement distribution `softmax(p - q)`, `softmax(p + q)`,
            each `(C,)`.
        h_info: entropy of `p_ds` in nats, within [0, log C].
        h_prime: H' as it was stored: relative to the batch that the sample was played in.
        adaptability: `1 - H'`.
        l_ds, l_as: cross-entropy of `p_ds` and of `p_as` against the label, in nats.
        l_q: this sample's part of Q's loss, in nats.
        region: where H' lies, one of `sample_table.REGIONS`.
    """

    label: int
    top_p: tuple[ClassProbability, ...]
    top_q: tuple[ClassProbability, ...]
    p_ds: NDArray[np.float64]
    p_as: NDArray[np.float64]
    h_info: float
    h_prime: float
    adaptability: float
    l_ds: float
    l_as: float
    l_q: float
    region: str


def close_up(
    p_logits: ArrayLike, q_logits: ArrayLike, h_prime: float, label: int, settings: RunSettings
) -> CloseUp:
    """The numbers of one sample of a stored sheet.

    Args:
        p_logits, q_logits: `(C,)`, one row of the sheet's.
        h_prime: the sample's, as stored. It cannot be computed anew from one sample, as it depends
            on the smallest entropy of the batch, of which a sheet may keep a part.
        label: the class asked of G.
        settings: those that the sheet's iteration was played with.

    Raises:
        InputError: a number of the sample is NaN or infinite.
    """
    sheet: dict[str, NDArray[Any]] = {
        "p_logits": np.array([p_logits], dtype=np.float64),
        "q_logits": np.array([q_logits], dtype=np.float64),
        "h_prime": np.array([h_prime], dtype=np.float32),
        "labels": np.array([label]),
    }
    if not all(np.isfinite(values).all() for values in sheet.values()):
        raise InputError(
            "The numbers of this sample are not finite, as the training had diverged; choose a "
            "sample of an earlier iteration."
        )
    p, q = (torch.from_numpy(sheet[name]) for name in ("p_logits", "q_logits"))
    row = {name: column[0] for name, column in sheet_columns(0, sheet, settings).items()}
    return CloseUp(
        label=label,
        top_p=_top(p),
        top_q=_top(q),
        p_ds=_distribution(p - q),
        p_as=_distribution(p + q),
        h_info=float(entropy(p - q)),
        h_prime=float(row["h_prime"]),
        adaptability=float(row["adaptability"]),
        l_ds=float(row["loss_ds"]),
        l_as=float(row["loss_as"]),
        l_q=float(row["loss_q"]),
        region=REGIONS[row["region"]],
    )


def _distribution(logits: Tensor) -> NDArray[np.float64]:
    """`softmax` of logits `(1, C)`: `(C,)`."""
    shares: NDArray[np.float64] = logits.softmax(1)[0].numpy()
    return shares


def _top(logits: Tensor) -> tuple[ClassProbability, ...]:
    shares = _distribution(logits)
    # Stable: of equally likely classes the first comes first, as in the measured accuracy.
    order = np.argsort(-shares, kind="stable")[:TOP]
    return tuple(ClassProbability(int(label), float(shares[label])) for label in order)
