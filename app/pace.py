"""How often a live page is drawn anew: a picture of the game must not cost the game its cores."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
# Of one core, what drawing the pages of all sessions together may take: the server draws one at a
# time, and where no time is left, whoever opens a page or presses a button waits for the others.
SHARE = 0.4
# A session that has not drawn for so many seconds has gone, or looks at something that stands.
GONE_AFTER = 120.0
SLOWEST = 60.0
# Of how many drawings the cost is known, and of how many before it is used: the first ones of a
# server and of a session take longer.
COSTS, FIRST_COSTS = 50, 5
# A page keeps its pace while the right one is within this factor of it: to change it, all is drawn.
CLOSE = 1.5


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


class Crowd:
    """What the live pages of all sessions of this process cost, and the pace that leaves room.

    Thirty who watch a run at the pace that one of them has would need more than all of a core.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, float] = {}
        self._costs: deque[float] = deque(maxlen=COSTS)

    def drew(self, session: str, seconds: float) -> None:
        """Note that `session` has drawn its page in so many seconds of processor time."""
        with self._lock:
            now = self._clock()
            self._costs.append(seconds)
            self._seen[session] = now
            self._seen = {s: at for s, at in self._seen.items() if now - at <= GONE_AFTER}

    @contextmanager
    def drawing(self, session: str) -> Iterator[None]:
        """Within it, this thread draws the page of `session`."""
        began = time.thread_time()
        try:
            yield
        finally:
            self.drew(session, time.thread_time() - began)

    def pace(self, wanted: float) -> float:
        """Seconds between two drawings of a page that would be drawn every `wanted` ones alone."""
        with self._lock:
            if len(self._seen) < 2 or len(self._costs) < FIRST_COSTS:
                return wanted
            each = statistics.median(self._costs)
            return max(wanted, min(len(self._seen) * each / SHARE, SLOWEST))


def differs(pace: float, right: float) -> bool:
    """Whether a page that is drawn at `pace` should rather be drawn at the `right` one."""
    return not pace / CLOSE <= right <= pace * CLOSE


CROWD = Crowd()
"""All sessions of this server."""
