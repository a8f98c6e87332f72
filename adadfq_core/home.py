"""Where the tool keeps what it makes, runs, caches and unfinished trainings, and what it brings."""

from __future__ import annotations

import os
from pathlib import Path

from adadfq_core.files import expanded

ASSETS = Path(__file__).resolve().parents[1] / "assets"
"""What comes with the program: networks, images and pictures."""


def home() -> Path:
    """The folder named by `ADADFQ_HOME`, or `.adadfq` in the user's home folder."""
    return expanded(os.environ.get("ADADFQ_HOME") or Path.home() / ".adadfq").absolute()


def runs_folder() -> Path:
    """Where runs are stored unless a caller names another folder."""
    return home() / "runs"


def uploads_folder() -> Path:
    """Where weights are kept that came from a page."""
    return home() / "uploads"


def cache_folder() -> Path:
    """Where recomputable results are kept."""
    return home() / "cache"
