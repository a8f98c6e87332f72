"""How a run is written as one file: members, their lines and what is allowed of them.

A zip file with `manifest.json` (the format, the program's version, the run's row, size and SHA-256
of every other member), `records.jsonl` and `commands.jsonl` (a line each, in order) and the files
that the records name, as `arrays/*` and `checkpoints/*`. No process and no number of the store
that wrote it is in it, so the same run always gives the same lines.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from adadfq_core.runs.record_content import check_content
from adadfq_core.runs.records import CommandKind, RecordKind, RunStatus
from adadfq_core.runs.store import ARRAYS, CHECKPOINTS

FORMAT = 1
SUFFIX = ".adadfq.zip"
MANIFEST, RECORDS, COMMANDS = "manifest.json", "records.jsonl", "commands.jsonl"
MOST_REASON_CHARACTERS = 20_000

_RUN_ID = r"^[0-9]{8}-[0-9]{6}-[2-8]w[2-8]a-[0-9a-z]{2}$"
_FILE = rf"({ARRAYS}/[0-9a-z-]{{1,100}}\.safetensors|{CHECKPOINTS}/[0-9a-z-]{{1,100}}\.pt)"
# Seconds since 1970 within what every system's calendar knows.
_Time = Annotated[float, Field(ge=0, lt=2**32, allow_inf_nan=False)]
_Iteration = Annotated[int, Field(ge=0, lt=2**48)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FormatNumber(BaseModel):
    """The one part of a manifest that every version of the program can read."""

    format: int


class RunRow(_Part):
    """A run's row, without its process."""

    run_id: str = Field(pattern=_RUN_ID)
    created: _Time
    settings: dict[str, Any]
    preset: str = Field(max_length=200)
    status: RunStatus
    reason: str = Field(max_length=MOST_REASON_CHARACTERS)
    iteration: _Iteration
    updated: _Time
    tags: list[str]
    note: str


class Member(_Part):
    """What a member must be."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class Manifest(_Part):
    """Content of `manifest.json`."""

    format: int
    program: str = Field(max_length=100)
    run: RunRow
    files: dict[str, Member]


class RecordLine(_Part):
    """A line of `records.jsonl`; `file` is relative to the run's folder."""

    iteration: _Iteration
    kind: RecordKind
    data: dict[str, Any]
    file: str | None = Field(pattern=rf"^{_FILE}$")

    @model_validator(mode="after")
    def _check_content(self) -> Self:
        check_content(self.kind, self.data)
        return self


class CommandLine(_Part):
    """A line of `commands.jsonl`."""

    created: _Time
    kind: CommandKind
    payload: dict[str, Any]
    applied_iteration: _Iteration | None
    error: str | None

    @model_validator(mode="after")
    def _check_settled(self) -> Self:
        if self.applied_iteration is None and self.error is None:
            raise ValueError("the command still waits, and a run that has ended has none.")
        return self


def is_member(name: str) -> bool:
    """Whether an archive may have a member `name`."""
    return name in (MANIFEST, RECORDS, COMMANDS) or is_file(name)


def is_file(name: str) -> bool:
    """Whether `name` is that of a file of a run, relative to the run's folder."""
    return re.fullmatch(_FILE, name) is not None


def record_lines(connection: sqlite3.Connection, run_id: str) -> Iterator[bytes]:
    """The lines of `records.jsonl` of a run, within a transaction."""
    rows = connection.execute(
        "SELECT iteration, kind, data, file FROM checked_records WHERE run_id = ? ORDER BY seq",
        (run_id,),
    )
    for iteration, kind, data, file in rows:
        name = None if file is None else file.removeprefix(f"{run_id}/")
        yield _line(
            iteration=iteration,
            kind=kind,
            data=json.loads(data),
            file=name if name is not None and is_file(name) else None,
        )


def command_lines(connection: sqlite3.Connection, run_id: str) -> Iterator[bytes]:
    """The lines of `commands.jsonl` of a run, within a transaction."""
    rows = connection.execute(
        "SELECT created, kind, payload, applied_iteration, error FROM checked_commands "
        "WHERE run_id = ? ORDER BY seq",
        (run_id,),
    )
    for created, kind, payload, applied_iteration, error in rows:
        yield _line(
            created=created,
            kind=kind,
            payload=json.loads(payload),
            applied_iteration=applied_iteration,
            error=error,
        )


def _line(**values: Any) -> bytes:
    return json.dumps(values, separators=(",", ":")).encode() + b"\n"
