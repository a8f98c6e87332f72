"""Asynchronous successive halving (Li et al. 2020, arXiv 1810.05934), in its stopping form.

A run is judged when it reaches a rung, among those that have reached it before: none ever waits
for another, and one that goes on is not called back when better ones come later.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from adadfq_core.ablation.plan import Halving
from adadfq_core.settings import RunSettings

# A share of the iterations that is whole, such as 0.7 of 10, may come out a little above it.
_TOLERANCE = 1e-9


def rungs(settings: RunSettings, halving: Halving) -> list[int]:
    """Iterations at which a run is judged, in order and each once.

    Each is the first evaluation of the trained Q at or after one of the shares, and none the
    run's last, after which there is nothing to save.
    """
    warmup, every = settings.warmup_iterations, settings.evaluate_every
    found = set()
    for share in halving.rungs:
        evaluations = math.ceil((share * settings.iterations - warmup) / every - _TOLERANCE)
        found.add(warmup + max(evaluations, 1) * every)
    return sorted(iteration for iteration in found if iteration < settings.iterations)


def hopeless(value: float, others: Sequence[float], factor: int) -> bool:
    """Whether a run is outside the best 1 / `factor` of those that have reached its rung.

    Of n runs, itself included, n // `factor` go on, and any that is as good as the last of them;
    while there are fewer than `factor`, all do. A run without a number (NaN) is hopeless at once.

    Args:
        value: top-1 of the run at the rung, in percent.
        others: that of all others which have reached the rung, also of those stopped there.
    """
    if math.isnan(value):
        return True
    reached = len(others) + 1
    better = sum(other > value for other in others)
    return reached >= factor and better >= reached // factor
