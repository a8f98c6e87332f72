"""Taking what runs have logged to their outlets, once or for as long as they are going."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from adadfq_core.runs import RunInfo, read
from adadfq_core.sinks.base import Sink

POLL_SECONDS = 1.0
# A paper's run has hundreds of thousands of records.
RECORDS_AT_ONCE = 1000


def _pass_on(root: Path, run_id: str, sink: Sink) -> RunInfo:
    """Give `sink` all that is new; the run's state as it was with the last record."""
    while True:
        update = read(root, run_id, sink.cursor, limit=RECORDS_AT_ONCE)
        sink.write(update)
        if len(update.records) < RECORDS_AT_ONCE:
            return update.info


def follow(root: Path, sinks: Mapping[str, Sink], *, until_end: bool) -> bool:
    """Take what is new in the runs of store `root` to their `sinks`, by run.

    Args:
        until_end: go on until every run has ended; otherwise take what there is now.

    Returns:
        Whether all runs have ended.

    Raises:
        InputError: there is no such run, or the outlet's place cannot be used.
        RunFailed: an outlet fails; calling again goes on from there.
    """
    going = dict(sinks)
    all_ended = True
    while going:
        for run_id, sink in list(going.items()):
            info = _pass_on(root, run_id, sink)
            if until_end and not info.ended:
                continue
            sink.settle(info)
            all_ended = all_ended and info.ended
            del going[run_id]
        if going:
            time.sleep(POLL_SECONDS)
    return all_ended
