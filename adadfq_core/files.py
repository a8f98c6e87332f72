"""Files that users name, read and written so that nobody ever sees half of one; checksums."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adadfq_core.errors import InputError


def expanded(path: str | os.PathLike[str]) -> Path:
    """`path` with a `~` at its start as the home folder; that of an unknown user stays as it is."""
    return Path(os.path.expanduser(path))


def check_no_folder(path: Path) -> None:
    """Refuse a folder where a file is to be written.

    Raises:
        InputError: `path` is one.
    """
    if not path.name or os.path.isdir(path):
        raise InputError(f"'{path}' is a folder; name a file.")


def read_start(path: Path, most: int, name: str) -> bytes:
    """The first `most` + 1 bytes of a file, so that one that is larger can be told.

    Args:
        name: what a sentence calls it.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as handle:
            return handle.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{name} cannot be read ({reason}); check its path.") from error


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes.

    Raises:
        OSError: it cannot be read.
    """
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def replace_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success flush it to disk and rename it to `path`.

    On an exception the temporary file is removed and `path` stays as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
