"""Where the tool keeps what it makes: runs, caches and unfinished trainings."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """The folder named by `ADADFQ_HOME`, or `.adadfq` in the user's home folder."""
    return Path(os.environ.get("ADADFQ_HOME") or Path.home() / ".adadfq").expanduser().absolute()


def runs_folder() -> Path:
    """Where runs are stored unless a caller names another folder."""
    return home() / "runs"


def uploads_folder() -> Path:
    """Where weights are kept that came from a page."""
    return home() / "uploads"


def cache_folder() -> Path:
    """Where recomputable results are kept."""
    return home() / "cache"
