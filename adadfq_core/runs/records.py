"""What a run is made of: its state, its append-only log and the commands sent to it.

Numbers that JSON does not know are stored as the texts "NaN", "Infinity" and "-Infinity" and are
floats again when read, so the database holds valid JSON only and a loss that diverged stays
visible. The price: a text value in a record that equals one of the three comes back as a float.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from adadfq_core.settings import RunSettings, make_settings


class RunStatus(StrEnum):
    """State of a run.

    `queued`: it waits for a place among those that go. `lost`: its process went away without
    leaving a final state.
    """

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    LOST = "lost"


ACTIVE = (RunStatus.STARTING, RunStatus.RUNNING, RunStatus.PAUSED)
"""States in which a run has, or is about to get, a process."""

ENDED = tuple(status for status in RunStatus if status not in (*ACTIVE, RunStatus.QUEUED))
"""States in which nothing more comes of itself."""


class RecordKind(StrEnum):
    """Kinds of record in a run's log.

    `status` holds {"status", "reason"}; `parameters` holds {"changes": {setting: value}};
    `notice` is for the reader of the page; `network` holds what was loaded (see
    `runs.worker`); `half` is one player's move (see `runs.recorder`); `value` is the game's value,
    the mean H', {"before", "after_g", "after_q"} the moves of its iteration, without those that
    were not made; the rest is defined by the training loop.
    """

    STEP = "step"
    EVALUATION = "evaluation"
    PARAMETERS = "parameters"
    STATUS = "status"
    IMAGES = "images"
    SAMPLES = "samples"
    EMBEDDING = "embedding"
    CHECKPOINT = "checkpoint"
    NOTICE = "notice"
    NETWORK = "network"
    HALF = "half"
    VALUE = "value"


class CommandKind(StrEnum):
    """Commands to a run's process.

    Payloads: `step` {"iterations": n} or {"halves": n}; `parameters` {"changes": {setting:
    value}}; else empty.
    """

    PAUSE = "pause"
    RESUME = "resume"
    STEP = "step"
    PARAMETERS = "parameters"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class RunInfo:
    """State of one run.

    `created`, `process_started` and `updated` are seconds since 1970 (UTC); `pid` and
    `process_started` name the run's last process, `None` before it has one. `reason` says why a
    run ended, and is empty while it goes well. `tags` and `note` are the user's own words (see
    `runs.labels`). `owner` is who started or imported it where users sign in, else empty. `place`
    is that of a queued run among all that wait, from 1.
    """

    run_id: str
    created: float
    settings: RunSettings
    preset: str
    status: RunStatus
    reason: str
    iteration: int
    pid: int | None
    process_started: float | None
    updated: float
    tags: tuple[str, ...] = ()
    note: str = ""
    owner: str = ""
    place: int | None = None

    @property
    def active(self) -> bool:
        """Whether the run has, or is about to get, a process."""
        return self.status in ACTIVE

    @property
    def queued(self) -> bool:
        """Whether the run waits for a place."""
        return self.status is RunStatus.QUEUED

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of itself: the run neither goes nor waits for a place."""
        return self.status in ENDED


@dataclass(frozen=True, slots=True)
class Record:
    """One entry of a run's log.

    `seq` grows in the order in which entries became visible; iterations may go back once, where
    a run was resumed from a checkpoint. `file` is relative to the store's root, with slashes.
    """

    seq: int
    iteration: int
    kind: RecordKind
    data: dict[str, Any]
    file: str | None


@dataclass(frozen=True, slots=True)
class Update:
    """What is new since a cursor; pass `cursor` to the next read."""

    cursor: int
    records: list[Record]
    info: RunInfo


@dataclass(frozen=True, slots=True)
class Command:
    """A command and what became of it.

    Pending: `applied_iteration` and `error` are both `None`. Applied: `applied_iteration` is the
    iteration from which it holds. Refused: `error` says why.
    """

    seq: int
    run_id: str
    created: float
    kind: CommandKind
    payload: dict[str, Any]
    applied_iteration: int | None = None
    error: str | None = None


def settings_in_force(
    start: RunSettings, changes: Iterable[Record], iteration: int | None = None
) -> RunSettings:
    """`start` with the `changes`, records of kind `parameters`, that hold for `iteration`.

    A change is recorded with the last iteration before it. In a resumed run those made before the
    process ended hold again where they did, so iterations count before the order of the log.

    Args:
        iteration: the one that is played with the settings; all changes count for `None`.

    Raises:
        InputError: changes that were made before and after a resumption do not go together.
    """
    merged: dict[str, Any] = {}
    for record in sorted(changes, key=lambda record: (record.iteration, record.seq)):
        if iteration is None or record.iteration < iteration:
            merged |= record.data["changes"]
    return make_settings(merged, start)


NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _from_numpy(value: object) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"A record cannot hold a {type(value).__name__}.")


def _spell(value: Any) -> Any:
    """`value` with its non-finite floats as texts."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: _spell(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spell(item) for item in value]
    return value


def _unspell(value: Any) -> Any:
    if isinstance(value, str):
        return NON_FINITE.get(value, value)
    if isinstance(value, dict):
        return {key: _unspell(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_unspell(item) for item in value]
    return value


def encode(data: Mapping[str, Any]) -> str:
    """`data` as valid JSON (see the module's docstring); NumPy scalars and arrays are allowed."""
    try:
        return json.dumps(data, allow_nan=False, default=_from_numpy, separators=(",", ":"))
    except ValueError:
        # Rare: the whole of `data` is walked only when a number is not finite.
        return json.dumps(_spell(data), allow_nan=False, default=_from_numpy)


def decode(text: str) -> dict[str, Any]:
    """The data that `encode` stored."""
    data: dict[str, Any] = json.loads(text)
    if '"NaN"' in text or 'Infinity"' in text:
        data = _unspell(data)
    return data
