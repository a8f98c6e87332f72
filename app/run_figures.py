"""What the charts of a run are drawn from, for the page and the report alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from adadfq_core.game.pushes import h_prime_push, h_prime_push_gdfq
from adadfq_core.settings import RunSettings
from app.charts.h_prime_bands import HPrimeBins, bin_h_prime
from app.charts.terms import Steps, in_force_over_run
from app.run_view import RunView

H_PRIME_BINS = 120
_TERMS_OF_GDFQ = ("iteration", "loss_g", "loss_bns")


def accuracy_title(data: dict[str, Any] | None) -> str:
    """Heading of the accuracy's chart: on how many real images it is measured."""
    if data is None:
        return "Top-1 is not measured: no real images were given"
    return f"Top-1 on {data['images']:,} real images"


def pushes(samples: dict[str, np.ndarray], settings: RunSettings) -> np.ndarray:
    """Where G's loss pushes each sample on the H' axis `(n,)`, from both networks' logits."""
    if not settings.has_generator:
        return np.zeros(len(samples["labels"]))
    p, q, labels = (torch.from_numpy(samples[name]) for name in ("p_logits", "q_logits", "labels"))
    if settings.method == "gdfq":
        return h_prime_push_gdfq(p, q, labels).numpy()
    push = h_prime_push(
        p,
        q,
        labels,
        settings.lambda_l,
        settings.lambda_u,
        settings.alpha_ds,
        settings.beta,
    )
    return push.whole.numpy()


def in_force(view: RunView, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Values of settings at each iteration read so far."""
    return in_force_over_run(
        names, view.steps["iteration"], view.info.settings.model_dump(), view.setting_changes
    )


def h_prime_bins(view: RunView, known: HPrimeBins | None = None) -> HPrimeBins:
    """H' of the run so far in bins; those `known` of an earlier reading are gone on from."""
    margin = in_force(view, ("lambda_l", "lambda_u"))
    return bin_h_prime(
        view.steps["iteration"],
        view.h_prime,
        view.steps["samples"],
        margin["lambda_l"],
        margin["lambda_u"],
        H_PRIME_BINS,
        known,
    )


def plays_gdfq(view: RunView) -> bool:
    """Whether both players minimise GDFQ's losses, which no other method has."""
    return view.info.settings.method == "gdfq"


def terms_of(view: RunView) -> Steps:
    """The terms that make up the generator's loss of this run."""
    if plays_gdfq(view):
        # L_G is then P's cross-entropy and L_BNS; the terms of the game are not in it.
        return {name: view.steps[name] for name in _TERMS_OF_GDFQ}
    return view.steps
