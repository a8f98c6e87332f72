from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from embedding_samples import Collect, Start

from adadfq_core.embedding import EmbeddingEvent, EmbeddingService, ProjectionSettings

_WAIT_SECONDS = 60.0  # the first import after an installation compiles


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts services with a cache folder of the test's own; they are closed after the test."""
    with contextlib.ExitStack() as stack:

        def make(settings: ProjectionSettings | None = None) -> EmbeddingService:
            service = EmbeddingService(tmp_path / "cache", settings)
            stack.callback(service.close)
            return service

        yield make


@pytest.fixture
def collect() -> Collect:
    """Polls a service until it has reported a number of events."""

    def wait(service: EmbeddingService, count: int) -> list[EmbeddingEvent]:
        events: list[EmbeddingEvent] = []
        deadline = time.monotonic() + _WAIT_SECONDS
        while len(events) < count:
            assert time.monotonic() < deadline, events
            events += service.poll()
            time.sleep(0.01)
        return events

    return wait
