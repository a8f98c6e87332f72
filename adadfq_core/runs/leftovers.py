"""Folders that a crash has left in a run store, told for sure from those that are a user's.

A run's folder and its row cannot come and go in one step. So a folder bears a mark while it has
no row yet, or none any more: one with the mark and without a row is a leftover. Any other folder
stays, also of runs whose database was moved away.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from pathlib import Path

from adadfq_core.errors import InputError
from adadfq_core.runs.database import session
from adadfq_core.runs.process import alive, identity
from adadfq_core.runs.store import RunStore

_MARK = ".leftover"
_GOING = ".deleting-"
_TEMPORARY = re.compile(r"\.importing-(\d+)-(\d+)-[0-9a-f]+")


def mark(folder: Path) -> None:
    """Say that a run's folder has no row yet, or is about to lose it.

    Raises:
        InputError: the folder is not writable.
    """
    try:
        (folder / _MARK).touch()
    except OSError as error:
        raise InputError(
            f"The run folder '{folder}' cannot be written ({error.strerror or error}); make it "
            "writable and try again."
        ) from error


def unmark(folder: Path) -> None:
    """Say that a run's folder belongs to its row."""
    (folder / _MARK).unlink(missing_ok=True)


def temporary_folder(root: Path) -> Path:
    """A new folder in the store `root` that is a leftover as soon as this process has ended."""
    own = identity(os.getpid())
    assert own is not None
    folder = root / f".importing-{own.pid}-{own.started:.0f}-{secrets.token_hex(8)}"
    folder.mkdir()
    return folder


def _is_abandoned(folder: Path) -> bool:
    name = _TEMPORARY.fullmatch(folder.name)
    return name is not None and not alive(int(name[1]), float(name[2]))


def size(folder: Path) -> int:
    """Bytes of the files in `folder`, 0 if it is missing."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            # A run that goes on replaces files meanwhile.
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(os.path.join(path, name)).st_size
    return total


def remove_leftovers(store: RunStore) -> int:
    """Remove all leftovers of `store`; returns the bytes that this has freed.

    What another program holds open (Windows) stays for the next call.
    """
    # Within a transaction no other process is between a folder and its row; in it the folders are
    # only renamed, since removing them takes long.
    with session(store.database, "IMMEDIATE") as connection:
        known = {row[0] for row in connection.execute("SELECT run_id FROM runs")}
        for folder in _folders(store.root):
            if _is_abandoned(folder) or ((folder / _MARK).exists() and folder.name not in known):
                with contextlib.suppress(OSError):
                    folder.rename(store.root / f"{_GOING}{secrets.token_hex(8)}")
    freed = 0
    for folder in _folders(store.root):
        if folder.name.startswith(_GOING):
            before = size(folder)
            shutil.rmtree(folder, ignore_errors=True)
            freed += before - size(folder)
    return freed


def _folders(root: Path) -> list[Path]:
    with os.scandir(root) as entries:
        return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
