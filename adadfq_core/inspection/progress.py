"""Telling how far a request has got, and learning that nobody waits for it any more."""

from __future__ import annotations

from collections.abc import Callable

from adadfq_core.inspection.states import Working


class Overtaken(Exception):
    """Nobody waits for the answer any more."""


class Progress:
    """Tells the stages of one request.

    Args:
        report: passes a state on; false once nobody waits for the answer.
    """

    def __init__(self, report: Callable[[Working], bool]) -> None:
        self._report = report
        self._wanted = True

    def tell(self, stage: str, share: float | None = None) -> None:
        """Tell a stage from where an exception would do harm."""
        self._wanted = self._report(Working(stage, share)) and self._wanted

    def __call__(self, stage: str, share: float | None = None) -> None:
        """Tell a stage.

        Raises:
            Overtaken: nobody waits for the answer any more.
        """
        self.tell(stage, share)
        if not self._wanted:
            raise Overtaken
