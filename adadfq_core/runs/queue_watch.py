"""Looks at the queue while runs wait, for when nobody else does.

A run that ends gives its place away itself. One whose process was killed cannot, and the runs
behind it would wait until somebody opens a page. So a process that has seen a run wait looks again
from time to time, in a thread of its own, until none waits.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

from adadfq_core.errors import InputError, RunFailed

LOOK_EVERY_S = 15.0

_lock = threading.Lock()
_watched: set[Path] = set()


def watch(root: Path, look: Callable[[Path], bool]) -> None:
    """Call `look` from time to time, as long as it says that runs in `root` wait.

    A folder that is watched already, or is gone by then, is left alone.
    """
    if _take(root):
        threading.Thread(target=_keep_looking, args=(root, look), daemon=True).start()


def _take(root: Path) -> bool:
    """Whether nobody watched `root`; now somebody does."""
    with _lock:
        if root in _watched:
            return False
        _watched.add(root)
        return True


def _keep_looking(root: Path, look: Callable[[Path], bool]) -> None:
    while True:
        time.sleep(LOOK_EVERY_S)
        # Before the look: a run that is queued after it finds nobody watching, and is watched.
        with _lock:
            _watched.discard(root)
        waits = False
        # What fails now is told to whoever looks at a page or types a command.
        with contextlib.suppress(InputError, RunFailed, OSError, sqlite3.Error):
            waits = root.is_dir() and look(root)
        if not waits or not _take(root):
            return
