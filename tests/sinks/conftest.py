from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from logged_runs import new_run

from adadfq_core.runs.writer import RunWriter
from adadfq_core.sinks.opening import MLFLOW_ENVIRONMENT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def writer(root: Path) -> Iterator[RunWriter]:
    """The writer of a run that is going."""
    with new_run(root) as writer:
        yield writer


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow takes folders; what opening a store sets is taken back after the test."""
    for name in MLFLOW_ENVIRONMENT:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
