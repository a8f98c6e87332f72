"""Where a run goes on: at the newest of its checkpoints that is whole."""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

from adadfq_core.errors import InputError
from adadfq_core.files import sha256
from adadfq_core.runs.database import session
from adadfq_core.runs.records import Record, RecordKind, encode, settings_in_force
from adadfq_core.runs.store import RunStore
from adadfq_core.settings import change_live

_KEPT = (RecordKind.STATUS, RecordKind.NOTICE, RecordKind.NETWORK)
"""Kinds that tell of the run's processes, not of iterations."""


class Resumption(NamedTuple):
    """A checkpoint that is whole, and in a sentence which newer ones are not; empty if none."""

    checkpoint: Record
    notice: str


def last_whole_checkpoint(store: RunStore, run_id: str) -> Resumption:
    """The newest checkpoint of a run whose file is there and as it was written.

    Raises:
        InputError: there is no such run, or it has no such checkpoint.
    """
    stored = store.read(run_id, kinds=[RecordKind.CHECKPOINT])
    faults: list[str] = []
    for checkpoint in reversed(stored.records):
        fault = _fault(store, checkpoint)
        if fault is None:
            return Resumption(checkpoint, _notice(faults, checkpoint))
        faults.append(fault)
    if not faults:
        raise InputError(
            f"Run {run_id} is {stored.info.status} and has no checkpoint to resume from; start a "
            "new run."
        )
    older = f", and none of the {len(faults) - 1} before it is whole" if faults[1:] else ""
    raise InputError(
        f"Run {run_id} cannot be resumed because {faults[0]}{older}; put it back or start a new "
        "run."
    )


def go_back(store: RunStore, run_id: str, checkpoint: Record, changes: dict[str, Any]) -> None:
    """Let the log of a run that has ended stop at `checkpoint`, and `changes` hold from there on.

    What was played after it is taken out with its files: two courses in one log would be taken
    for one.

    Raises:
        InputError: a setting that cannot change during a run, or a value out of range.
    """
    log = store.read(run_id)
    course = [record for record in log.records if record.kind not in _KEPT]
    after = [record for record in course if _comes_after(record, checkpoint)]
    parameters = [
        record
        for record in course
        if record.kind == RecordKind.PARAMETERS and not _comes_after(record, checkpoint)
    ]
    changed = change_live(settings_in_force(log.info.settings, parameters), changes)
    valid = {name: getattr(changed, name) for name in changes}
    words = ", ".join(f"{name} = {value:g}" for name, value in valid.items())
    notice = (
        f"The run went back to the checkpoint of iteration {checkpoint.iteration}, to go on with "
        f"{words}; iterations {checkpoint.iteration + 1} to {log.info.iteration} as they were "
        "played before were taken out."
    )
    with session(store.database, "IMMEDIATE") as connection:
        connection.executemany(
            "DELETE FROM records WHERE run_id = ? AND seq = ?",
            [(run_id, record.seq) for record in after],
        )
        connection.executemany(
            "INSERT INTO records (run_id, iteration, kind, data) VALUES (?, ?, ?, ?)",
            [
                (run_id, checkpoint.iteration, RecordKind.PARAMETERS, encode({"changes": valid})),
                (run_id, checkpoint.iteration, RecordKind.NOTICE, encode({"text": notice})),
            ],
        )
    for record in after:
        if record.file is not None:
            # What stays because somebody reads it just now goes with the run.
            with contextlib.suppress(OSError):
                store.path(record).unlink()


def _comes_after(record: Record, checkpoint: Record) -> bool:
    """Whether `record` tells of what `checkpoint` does not hold."""
    if record.kind == RecordKind.PARAMETERS:
        return (record.iteration, record.seq) > (checkpoint.iteration, checkpoint.seq)
    # The map of real samples does not depend on what was played.
    return record.iteration > checkpoint.iteration and record.data.get("source") != "real"


def _fault(store: RunStore, checkpoint: Record) -> str | None:
    """What is wrong with the file of `checkpoint`, `None` if nothing is."""
    if checkpoint.file is None:  # as an archive of anyone's may have it
        return "its checkpoint names no file"
    path = store.path(checkpoint)
    try:
        digest = sha256(path)
    except FileNotFoundError:
        return f"its checkpoint '{path}' is missing"
    except OSError as error:
        return f"its checkpoint '{path}' cannot be read ({error.strerror or error})"
    if digest != checkpoint.data.get("sha256"):
        return f"its checkpoint '{path}' is damaged (its checksum does not match)"
    return None


def _notice(faults: list[str], checkpoint: Record) -> str:
    if not faults:
        return ""
    others = f", and {len(faults) - 1} more" if faults[1:] else ""
    return (
        f"The run could not go on from its last iteration because {faults[0]}{others}; it goes on "
        f"from the checkpoint of iteration {checkpoint.iteration} and plays again what came after."
    )
