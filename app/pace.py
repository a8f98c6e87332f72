"""How often a live page is drawn anew: a picture of the game must not cost the game its cores."""

from __future__ import annotations

import os

from adadfq_core.runs import RunInfo, RunStatus

# Until the first point is there nothing else is to be seen, and nothing trains yet; and who has
# pressed a button waits for what it does.
EAGER = 0.3
EAGER_FOR = 2.0
"""Seconds after a press for which a page is drawn so often."""
LIVELY = 1.0
# Where training has every core, each redrawing holds it up for as long as that takes.
BESIDE_TRAINING = 4.0
# Of this many milliseconds between two iterations most is waiting, during which cores are free.
SLOW = 200


def refresh_seconds(
    info: RunInfo, has_points: bool, *, eager: bool, cores: int | None = None
) -> float:
    """Seconds between two drawings of the page of a run that goes or waits.

    Args:
        has_points: whether the page has any iteration to show.
        eager: whether a button was pressed less than `EAGER_FOR` ago.
        cores: of this machine; `None` asks the system.
    """
    if eager:
        return EAGER
    if info.queued:
        return LIVELY
    if not has_points:
        return EAGER
    cores = cores or os.cpu_count() or 1
    settings = info.settings
    waits = info.status == RunStatus.PAUSED or settings.slow_motion >= SLOW
    if waits or cores > settings.threads:
        return LIVELY
    return BESIDE_TRAINING
