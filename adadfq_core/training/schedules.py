"""Factors on the learning rates over a run."""

from __future__ import annotations

import math

from adadfq_core.settings import RunSettings


def learning_rate_factor(settings: RunSettings, iteration: int) -> float:
    """Factor on both learning rates at 0-based `iteration`, within [0, 1].

    "steps" multiplies by 0.1 at the first iteration of the epochs at 1/4, 1/2 and 3/4 of the run
    (100, 200 and 300 of the paper's 400). "cosine" stays at 1 through the warm-up and then falls
    to 0 along a half cosine.
    """
    if settings.schedule == "steps":
        epoch = iteration // settings.iterations_per_epoch
        return float(0.1 ** sum(epoch >= settings.epochs * part / 4 for part in (1, 2, 3)))
    if settings.schedule == "cosine":
        done = iteration - settings.warmup_iterations
        total = settings.iterations - settings.warmup_iterations
        return 0.5 * (1 + math.cos(math.pi * min(max(done / total, 0.0), 1.0)))
    return 1.0
