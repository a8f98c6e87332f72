"""What every outlet of a run does."""

from __future__ import annotations

from typing import Protocol

from adadfq_core.runs.records import RunInfo, Update


class Sink(Protocol):
    """Takes one run's records to another tool, and remembers beside them how far it has come."""

    @property
    def cursor(self) -> int:
        """The last record that was taken, also by an earlier process; 0 before the first."""

    def write(self, update: Update) -> None:
        """Take the records of `update`, which was read from `cursor`, and remember its cursor.

        Raises:
            InputError: the outlet's place cannot be used.
            RunFailed: the records could not be taken; those that were are remembered.
        """

    def settle(self, info: RunInfo) -> None:
        """Show the run's state, after the last record that there is for now.

        Raises:
            InputError, RunFailed: as `write`.
        """
