"""In place of the process that looks at networks, one that has an answer to nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from adadfq_core.inspection.states import Refused, State
from app.panels.inspection import service


def refuse(monkeypatch: pytest.MonkeyPatch, sentence: Callable[[object], str]) -> None:
    """Let the Inspect page be told `sentence` of each request instead of an answer."""

    class Nobody:
        def submit(self, request: object, slot: str) -> None:
            pass

        def state(self, request: object) -> State:
            return Refused(sentence(request))

    monkeypatch.setattr(service, "_service", Nobody)
