from __future__ import annotations

from pathlib import Path

import pytest
from quick_runs import QuickRuns

from adadfq_core import runs
from adadfq_core.results import measuring


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> QuickRuns:
    """Runs are over at once, on data that are there."""
    quick = QuickRuns()
    monkeypatch.setattr(runs, "start", quick.start)
    monkeypatch.setattr(runs, "resume", quick.resume)
    monkeypatch.setattr(measuring, "unmeasurable", lambda _: None)
    return quick
