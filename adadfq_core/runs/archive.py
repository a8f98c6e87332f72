"""A run as one file: written from a store, and taken into another (see `archive_format`).

An archive comes from anyone. What it holds is checked before the store changes: names, sizes,
hashes and every line. Nothing of it is run; checkpoints are read without running code, wherever
they are read (see `training.checkpoints`), and a run whose settings name code is resumed by a
shell alone (see `control.resume`).
"""

from __future__ import annotations

import hashlib
import io
import shutil
import sqlite3
import stat
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, BinaryIO, TypeVar

from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.files import check_no_folder, replace_atomically
from adadfq_core.own_version import own_version
from adadfq_core.runs.archive_format import (
    COMMANDS,
    FORMAT,
    MANIFEST,
    MOST_REASON_CHARACTERS,
    RECORDS,
    CommandLine,
    FormatNumber,
    Manifest,
    Member,
    RecordLine,
    RunRow,
    command_lines,
    is_member,
    record_lines,
)
from adadfq_core.runs.control import refresh
from adadfq_core.runs.database import check_writable, session
from adadfq_core.runs.labels import can_be_shown, checked_note, checked_tags, encoded_tags
from adadfq_core.runs.leftovers import mark, remove_leftovers, temporary_folder, unmark
from adadfq_core.runs.record_content import check_arrays
from adadfq_core.runs.records import ENDED, Record, RecordKind, encode, settings_in_force
from adadfq_core.runs.store import ARRAYS, CHECKPOINTS, RunStore, fetch_info, new_run_id
from adadfq_core.settings import RunSettings, make_settings

MOST_MEMBERS = 200_000
MOST_LIST_BYTES = 24 * 2**20
"""Of the list of members, which is in memory before it can be looked at: 120 a member."""
MOST_BYTES = 16 * 2**30
"""Of all members, unpacked."""
MOST_MANIFEST_BYTES = 64 * 2**20
MOST_LINE_BYTES = 8 * 2**20
MOST_RATIO = 200
"""Of a member's size to its packed one: deflate reaches 1,032, the log of a run about 10."""

# What a zip file may say of a member: how hard it was packed, that its sizes stand behind it, and
# that its name is UTF-8; not that it is encrypted or a patch.
_FLAGS = 0x080E

_BLOCK = 2**20
_SMALL = 2**12
# The oldest moment that a zip file knows, so that the same run gives the same file.
_NO_TIME = (1980, 1, 1, 0, 0, 0)
# Within the temporary folder, what becomes the run's.
_RUN = "run"
_AGAIN = "export the run again, or copy the file again"
# What zipfile raises of a file that is none, or is damaged.
_DAMAGES = (
    *(zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, OverflowError),
    *(struct.error, zlib.error, EOFError),
)

AnyPart = TypeVar("AnyPart", bound=BaseModel)


def export_run(root: Path, run_id: str, path: Path) -> None:
    """Write a run to the file `path`, whole or not at all; a file that is there is replaced.

    A file that a record names and that is gone from the disk is left out, and its record stays.

    Raises:
        InputError: there is no such run, it has not ended, or `path` is a folder.
        RunFailed: the file cannot be written, or the run changed meanwhile.
    """
    refresh(root)
    check_no_folder(path)
    try:
        with replace_atomically(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            _write(RunStore(root), run_id, archive)
    except OSError as error:
        raise RunFailed(
            f"'{path}' could not be written ({error.strerror or error}); free some space or "
            "choose another place."
        ) from error


def _write(store: RunStore, run_id: str, archive: zipfile.ZipFile) -> None:
    files: dict[str, Member] = {}
    with session(store.database) as connection:
        info = fetch_info(connection, run_id)
        if not info.ended:
            raise InputError(
                f"Run {run_id} is {info.status} and cannot be exported; stop it first or wait "
                "until it ends."
            )
        rows = connection.execute(
            "SELECT DISTINCT file FROM records WHERE run_id = ? AND file IS NOT NULL", (run_id,)
        )
        named = sorted(row[0].removeprefix(f"{run_id}/") for row in rows)
        files[RECORDS] = _pack_lines(archive, RECORDS, record_lines(connection, run_id))
        files[COMMANDS] = _pack_lines(archive, COMMANDS, command_lines(connection, run_id))
    for name in named:
        path = store.folder(run_id) / name
        if is_member(name) and path.is_file():
            with path.open("rb") as content:
                files[name] = _pack(archive, name, iter(lambda: content.read(_BLOCK), b""))
    if store.info(run_id) != info:
        raise RunFailed(f"Run {run_id} changed while it was exported; export it again.")
    row = RunRow(
        run_id=run_id,
        created=info.created,
        settings=info.settings.model_dump(mode="json"),
        preset=info.preset,
        status=info.status,
        reason=_fit_to_show(info.reason),
        iteration=info.iteration,
        updated=info.updated,
        tags=list(info.tags),
        note=info.note,
    )
    manifest = Manifest(format=FORMAT, program=own_version(), run=row, files=files)
    _pack_lines(archive, MANIFEST, [manifest.model_dump_json(indent=1).encode()])


def _fit_to_show(reason: str) -> str:
    """What an archive may hold of a reason, which may be the text of any library's error."""
    shown = "".join(sign for sign in reason if sign == "\n" or can_be_shown(sign))
    return shown[:MOST_REASON_CHARACTERS]


def _pack_lines(archive: zipfile.ZipFile, name: str, lines: Iterable[bytes]) -> Member:
    return _pack(archive, name, lines, zipfile.ZIP_DEFLATED)


def _pack(
    archive: zipfile.ZipFile, name: str, blocks: Iterable[bytes], method: int = zipfile.ZIP_STORED
) -> Member:
    """Add a member. Arrays and networks hardly get smaller, so they are stored as they are."""
    info = zipfile.ZipInfo(name, _NO_TIME)
    info.compress_type = method
    digest, size = hashlib.sha256(), 0
    with archive.open(info, "w", force_zip64=True) as member:
        for block in blocks:
            member.write(block)
            digest.update(block)
            size += len(block)
    return Member(sha256=digest.hexdigest(), bytes=size)


def import_run(root: Path, source: Path | BinaryIO, *, owner: str = "") -> str:
    """Take the run of an archive into the store `root`, all of it or nothing; returns its id.

    It keeps its id unless another run has that. If the very same run, with the same log, is there
    already, under whatever id, nothing is done and that id is returned. Weights, data and code
    that its settings name by a path may be missing here: the run shows nevertheless. It belongs to
    `owner`, where users sign in.

    Raises:
        InputError: no archive, one of a newer version, or one that is damaged or not allowed.
        RunFailed: the disk is full or fails.
    """
    check_writable(root)
    store = RunStore(root)
    remove_leftovers(store)
    with _opened(source) as archive:
        members = _checked_members(archive)
        manifest = _read_manifest(archive, members)
        with session(store.database) as connection:
            same = _same_run(connection, manifest)
        if same is not None:
            return same
        settings = _checked_row(manifest.run)
        try:
            folder = temporary_folder(store.root)
            try:
                _unpack(archive, members, manifest, folder)
                return _take_in(store, manifest, settings, folder, owner)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        except OSError as error:
            raise RunFailed(
                f"The run could not be unpacked into '{store.root}' ({error.strerror or error}); "
                "free some space or check the disk."
            ) from error


class _Bounded(io.BufferedReader):
    """A file of which at most `most` bytes are read at once, as `zipfile` does its list."""

    most = MOST_LIST_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self.most:
            raise zipfile.BadZipFile(f"its list of members has {size} bytes")
        return super().read(size)


@contextmanager
def _opened(source: Path | BinaryIO) -> Iterator[zipfile.ZipFile]:
    """The zip file `source`; whatever is wrong with it becomes an `InputError`."""
    name = source.name
    with ExitStack() as open_files:
        try:
            if isinstance(source, Path):
                source = open_files.enter_context(source.open("rb"))
            file = _Bounded(source)  # type: ignore[arg-type]  # every real one has readinto
            # Else the source would be closed together with it.
            open_files.callback(file.detach)
            archive = open_files.enter_context(zipfile.ZipFile(file))
            file.most = sys.maxsize
        except OSError as error:
            raise InputError(
                f"'{name}' cannot be read ({error.strerror or error}); check the path."
            ) from error
        except (*_DAMAGES, ValueError) as error:
            raise InputError(f"'{name}' is no archive of a run ({error}); {_AGAIN}.") from error
        try:
            yield archive
        except InputError as error:
            raise InputError(f"'{name}' cannot be imported: {error}") from error.__cause__
        except _DAMAGES as error:
            raise InputError(f"'{name}' is damaged ({error}); {_AGAIN}.") from error


def _checked_members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The members by name, none of which is more than an archive may have.

    Raises:
        InputError: names the first that is not allowed.
    """
    infos = archive.infolist()
    if len(infos) > MOST_MEMBERS:
        raise InputError(f"it has {len(infos)} members; at most {MOST_MEMBERS} are allowed.")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        shown = ascii(info.orig_filename[:100])
        # Versions of zipfile differ in what they make of a name.
        known = is_member(info.orig_filename) and info.filename == info.orig_filename
        if not known or stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
            raise InputError(f"its member {shown} is none of a run's; {_AGAIN}.")
        if info.filename in members:
            raise InputError(f"its member {shown} is there twice; {_AGAIN}.")
        if info.flag_bits & ~_FLAGS:
            raise InputError(
                f"its member {shown} is encrypted or a patch, which is not allowed; {_AGAIN}."
            )
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(
                f"its member {shown} is neither stored nor deflated, the two that are allowed; "
                f"{_AGAIN}."
            )
        if info.file_size > MOST_RATIO * max(info.compress_size, _SMALL):
            raise InputError(
                f"its member {shown} unpacks to more than {MOST_RATIO} times its size, as no part "
                "of a run does; do not trust the file."
            )
        members[info.filename] = info
    packed, size = sum(info.compress_size for info in infos), _size_of(archive)
    if not all(0 <= info.header_offset < size for info in infos):
        raise InputError(f"a member of it lies outside of the file; {_AGAIN}.")
    if packed > size:
        raise InputError(
            f"its members take {packed} bytes of a file that has {size}, so they overlap; do not "
            "trust it."
        )
    total = sum(info.file_size for info in infos)
    if total > MOST_BYTES:
        raise InputError(
            f"it unpacks to {total / 2**30:.1f} GiB; at most {MOST_BYTES // 2**30} are allowed."
        )
    return members


def _size_of(archive: zipfile.ZipFile) -> int:
    assert archive.fp is not None
    return archive.fp.seek(0, io.SEEK_END)


def _read_manifest(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> Manifest:
    if MANIFEST not in members:
        raise InputError(f"it has no {MANIFEST}, so it is no archive of a run; choose another.")
    if members[MANIFEST].file_size > MOST_MANIFEST_BYTES:
        raise InputError(f"its {MANIFEST} is too large; {_AGAIN}.")
    content = archive.read(MANIFEST)
    number = _parsed(FormatNumber, content, MANIFEST).format
    if number > FORMAT:
        raise InputError(
            f"a newer version of this program made it (format {number}, this one reads {FORMAT}); "
            "update the program."
        )
    manifest = _parsed(Manifest, content, MANIFEST)
    if manifest.files.keys() | {MANIFEST} != members.keys() or not {RECORDS, COMMANDS} <= (
        manifest.files.keys()
    ):
        raise InputError(f"its members are not those that its {MANIFEST} names; {_AGAIN}.")
    return manifest


def _parsed(kind: type[AnyPart], content: bytes, name: str) -> AnyPart:
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"])) or "its text"
        raise InputError(f"{name} is not as it should be ({place}: {problem['msg']}).") from error


def _checked_row(row: RunRow) -> RunSettings:
    """The settings of a run that may come into a store."""
    if row.status not in ENDED:
        raise InputError(f"its run is {row.status}, and only one that has ended can be imported.")
    checked_tags(row.tags)
    checked_note(row.note)
    try:
        settings = make_settings(row.settings)
    except InputError as error:
        raise InputError(f"its settings cannot be used: {error}") from None
    texts = [value for _, value in settings if isinstance(value, str)]
    # On a terminal control characters would do more than show themselves.
    if not can_be_shown("".join((*texts, row.preset, *row.reason.split("\n")))):
        raise InputError("its run has texts with characters that cannot be shown.")
    return settings


def _unpack(
    archive: zipfile.ZipFile,
    members: dict[str, zipfile.ZipInfo],
    manifest: Manifest,
    folder: Path,
) -> None:
    """Write the members into `folder`, and check them on the way.

    Raises:
        InputError: a member is not what the manifest says.
        RunFailed: there is no room.
    """
    total = sum(member.bytes for member in manifest.files.values())
    if total > shutil.disk_usage(folder).free:
        raise RunFailed(
            f"The run needs {total / 2**20:.0f} MiB, which '{folder.parent}' has no room for; "
            "free some space."
        )
    for part in (ARRAYS, CHECKPOINTS):
        (folder / _RUN / part).mkdir(parents=True)
    for name, expected in manifest.files.items():
        path = folder / name if name in (RECORDS, COMMANDS) else folder / _RUN / name
        with archive.open(members[name]) as member, path.open("wb") as file:
            found = _copy(member, file)
        if found != expected:
            raise InputError(f"its member '{name}' is damaged (wrong checksum); {_AGAIN}.")


def _copy(member: IO[bytes], file: IO[bytes]) -> Member:
    digest, size = hashlib.sha256(), 0
    while block := member.read(_BLOCK):
        file.write(block)
        digest.update(block)
        size += len(block)
    return Member(sha256=digest.hexdigest(), bytes=size)


def _same_run(connection: sqlite3.Connection, manifest: Manifest) -> str | None:
    """The run that was made at the same moment and has the same log, if the store has it."""
    made = connection.execute("SELECT run_id FROM runs WHERE created = ?", (manifest.run.created,))
    for (run_id,) in made.fetchall():
        logs = {
            RECORDS: _digest(record_lines(connection, run_id)),
            COMMANDS: _digest(command_lines(connection, run_id)),
        }
        if all(manifest.files[name].sha256 == digest for name, digest in logs.items()):
            return str(run_id)
    return None


def _digest(lines: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line)
    return digest.hexdigest()


def _take_in(
    store: RunStore, manifest: Manifest, settings: RunSettings, folder: Path, owner: str
) -> str:
    """Give the run that was unpacked into `folder` its rows and its place; returns its id."""
    row = manifest.run
    _check_log(folder, settings)  # all of it before the store is locked
    with session(store.database, "IMMEDIATE") as connection:
        same = _same_run(connection, manifest)
        if same is not None:
            return same
        run_id = row.run_id
        while _is_taken(connection, store, run_id):
            run_id = new_run_id(row.created, settings)
        _insert(connection, run_id, row, settings, folder)
        connection.execute("UPDATE runs SET owner = ? WHERE run_id = ?", (owner, run_id))
        # Without its row the folder is a leftover, should this process end before the commit.
        mark(folder / _RUN)
        (folder / _RUN).rename(store.folder(run_id))
    unmark(store.folder(run_id))
    return run_id


def _check_log(folder: Path, settings: RunSettings) -> None:
    """Check every line of the log, and the arrays that whoever shows the run draws.

    Raises:
        InputError: says what is not as the program writes it.
    """
    changes: list[Record] = []
    with_arrays: list[RecordLine] = []
    classes: int | None = None
    for number, line in enumerate(_lines(folder / RECORDS, RecordLine)):
        if line.kind is RecordKind.PARAMETERS:
            changes.append(Record(number, line.iteration, line.kind, line.data, None))
        elif line.kind is RecordKind.NETWORK:
            classes = len(line.data["classes"])
        elif line.file is not None and line.kind is not RecordKind.CHECKPOINT:
            with_arrays.append(line)
    for _ in _lines(folder / COMMANDS, CommandLine):
        pass
    try:
        settings_in_force(settings, changes)
    except InputError as error:
        raise InputError(f"the changes in its log cannot be used: {error}") from None
    for line in with_arrays:
        _check_file_of(line, folder / _RUN / str(line.file), classes)


def _check_file_of(line: RecordLine, path: Path, classes: int | None) -> None:
    if not path.is_file():
        return  # it was gone where the run was exported, as whoever reads the record is told
    try:
        arrays = load(path.read_bytes())
        # Without a word on the network nothing of the run is drawn.
        if classes is not None:
            check_arrays(line.kind, line.data, arrays, classes)
    except SafetensorError:
        return  # it was damaged there
    except (ValueError, TypeError, KeyError, AttributeError) as error:  # a type without a name here
        raise InputError(
            f"its member '{line.file}' is not as it should be ({error}); {_AGAIN}."
        ) from error


def _is_taken(connection: sqlite3.Connection, store: RunStore, run_id: str) -> bool:
    row = connection.execute("SELECT 1 FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    return row is not None or store.folder(run_id).exists()


def _insert(
    connection: sqlite3.Connection, run_id: str, row: RunRow, settings: RunSettings, folder: Path
) -> None:
    connection.execute(
        "INSERT INTO runs (run_id, created, settings, preset, status, reason, iteration, updated, "
        "tags, note) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(run_id, row.created, settings.model_dump_json(), row.preset, row.status),
            *(row.reason, row.iteration, row.updated),
            *(encoded_tags(row.tags), checked_note(row.note)),
        ),
    )
    connection.executemany(
        "INSERT INTO records (run_id, iteration, kind, data, file) VALUES (?, ?, ?, ?, ?)",
        (
            (
                *(run_id, line.iteration, line.kind, encode(line.data)),
                None if line.file is None else f"{run_id}/{line.file}",
            )
            for line in _lines(folder / RECORDS, RecordLine)
        ),
    )
    connection.executemany(
        "INSERT INTO commands (run_id, created, kind, payload, applied_iteration, error) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (
            (
                *(run_id, line.created, line.kind, encode(line.payload)),
                *(line.applied_iteration, line.error),
            )
            for line in _lines(folder / COMMANDS, CommandLine)
        ),
    )


def _lines(path: Path, kind: type[AnyPart]) -> Iterator[AnyPart]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MOST_LINE_BYTES + 1):
            number += 1
            if len(line) > MOST_LINE_BYTES:
                raise InputError(f"line {number} of its {path.name} is too long; {_AGAIN}.")
            yield _parsed(kind, line, f"line {number} of its {path.name}")
