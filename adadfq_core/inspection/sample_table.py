"""One row for each stored sample, computed from the arrays of a sheet (see `runs.recorder`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from adadfq_core.game.objectives import entropy
from adadfq_core.settings import RunSettings

REGIONS = ("under", "inside", "over")
"""Where H' lies: below lambda_l, within the margin (its ends included), above lambda_u."""

NO_ANSWER = -1
"""In place of a network's class where its logits are not finite."""

COLUMNS: dict[str, type[np.generic]] = {
    "iteration": np.int64,
    "place": np.int64,
    "class_index": np.int64,
    "class_name": np.str_,
    "h_prime": np.float32,
    "adaptability": np.float32,
    "region": np.int8,
    "p_class": np.int64,
    "p_confidence": np.float32,
    "p_right": np.bool_,
    "q_class": np.int64,
    "q_confidence": np.float32,
    "agree": np.bool_,
    "loss_ds": np.float32,
    "loss_as": np.float32,
    "loss_q": np.float32,
}
"""The table's columns in order, and the type that each is computed in."""


def _answer(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Class and softmax confidence `(n,)` of `(n, C)`: `NO_ANSWER` and NaN if not all finite."""
    confidence, answer = logits.softmax(dim=1).max(dim=1)
    finite = logits.isfinite().all(dim=1)
    return answer.where(finite, NO_ANSWER), confidence.where(finite, torch.nan)


def _loss_q(p: Tensor, q: Tensor, labels: Tensor, settings: RunSettings) -> Tensor:
    """What each sample adds to the loss that Q minimises, `(n,)` in nats."""
    temperature = settings.temperature
    if settings.method == "gdfq":
        target = (p / temperature).log_softmax(dim=1)
        answer = (q / temperature).log_softmax(dim=1)
        divergence = (target.exp() * (target - answer)).sum(dim=1)
        return F.cross_entropy(q, labels, reduction="none") + temperature**2 * divergence
    return -(temperature**2) * entropy(p - q, temperature)


def answer_name(answer: int, classes: Sequence[str]) -> str:
    """A network's answer in words."""
    return classes[answer] if answer != NO_ANSWER else "nothing finite"


def region_codes(h_prime: np.ndarray, settings: RunSettings) -> np.ndarray:
    """Where H' `(n,)` float32 lies, by its place in `REGIONS`; -1 where it is not finite."""
    # Plain numbers take the type of H', which holds 0.8 as a number a little above 0.8.
    region = (h_prime >= settings.lambda_l).astype(np.int8) + (h_prime > settings.lambda_u)
    return np.where(np.isfinite(h_prime), region, -1)


def sheet_columns(
    iteration: int, arrays: Mapping[str, np.ndarray], settings: RunSettings
) -> dict[str, np.ndarray]:
    """All `COLUMNS` of one sheet but the class names, each `(n,)`; `region` counts in `REGIONS`.

    `loss_ds` and `loss_as` are the cross-entropies of `softmax(p - q)` and of `softmax(p + q)`
    against the asked class, and `loss_q` is Q's loss under the run's method and temperature. All
    are in nats, and their mean over a batch is the loss that the players saw. What follows from
    logits or from an H' that is not finite is NaN, `NO_ANSWER` or false; its region is -1.

    Args:
        iteration: the one whose images these are.
        arrays: `labels`, `h_prime` `(n,)`, `p_logits` and `q_logits` `(n, C)`.
        settings: those that the iteration was played with.
    """
    h_prime = arrays["h_prime"].astype(np.float32)
    labels = torch.from_numpy(arrays["labels"].astype(np.int64))
    p, q = (torch.from_numpy(arrays[f"{name}_logits"].astype(np.float64)) for name in "pq")
    p_class, p_confidence = _answer(p)
    q_class, q_confidence = _answer(q)
    columns = {
        "iteration": np.full(len(h_prime), iteration),
        "place": np.arange(len(h_prime)),
        "class_index": labels,
        "h_prime": h_prime,
        "adaptability": 1 - h_prime,
        "region": region_codes(h_prime, settings),
        "p_class": p_class,
        "p_confidence": p_confidence,
        "p_right": p_class == labels,
        "q_class": q_class,
        "q_confidence": q_confidence,
        "agree": (p_class == q_class) & (p_class != NO_ANSWER),
        "loss_ds": F.cross_entropy(p - q, labels, reduction="none"),
        "loss_as": F.cross_entropy(p + q, labels, reduction="none"),
        "loss_q": _loss_q(p, q, labels, settings),
    }
    return {name: np.asarray(values).astype(COLUMNS[name]) for name, values in columns.items()}


def sample_table(
    sheets: Sequence[Mapping[str, np.ndarray]], classes: Sequence[str]
) -> pd.DataFrame:
    """The samples of `sheets`, each as `sheet_columns` gives it, one row a sample in their order.

    `region` becomes a category of `REGIONS`, missing where H' is not finite. Without a sheet the
    table has no row, but all columns.
    """
    joined = {
        name: np.concatenate([np.empty(0, kind), *(sheet[name] for sheet in sheets)])
        for name, kind in COLUMNS.items()
        if name != "class_name"
    }
    names = [classes[index] for index in joined["class_index"]]
    finished = {
        "class_name": pd.Series(names, dtype="str"),
        "region": pd.Categorical.from_codes(joined["region"], pd.Index(REGIONS), ordered=True),
    }
    return pd.DataFrame({name: finished.get(name, joined.get(name)) for name in COLUMNS})
