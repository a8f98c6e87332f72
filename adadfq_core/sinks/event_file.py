"""One event file of TensorBoard that can be left at any moment and gone on with later."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from tensorboard.summary.writer.record_writer import RecordWriter

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.files import replace_atomically

STATE_NAME = "adadfq-state.json"


class EventFile:
    """Events in `folder`, and a state that belongs to them.

    `size` bytes of the file are valid. What a process left behind them when it was killed is cut
    off before more is written, so that no event is there twice.

    Attributes:
        state: as it was last committed; empty for a new file.

    Raises:
        InputError: the folder cannot be made or read, or what lies there is damaged.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / name
        self._state_path = folder / STATE_NAME
        self._may_have_remains = True
        try:
            folder.mkdir(parents=True, exist_ok=True)
            found = self._state_path.read_bytes() if self._state_path.exists() else None
        except OSError as error:
            raise InputError(
                f"The folder '{folder}' cannot be used ({error.strerror}); choose one that you "
                "may write to."
            ) from error
        self._size = self._end = 0
        self.state: dict[str, Any] = {}
        if found is not None:
            self._restore(found)

    def _restore(self, found: bytes) -> None:
        try:
            content = json.loads(found)
            self._size, self.state = int(content["size"]), dict(content["state"])
            whole = self._path.stat().st_size >= self._size
        except (ValueError, TypeError, KeyError, OSError):
            whole = False
        if not whole:
            raise InputError(
                f"The event files in '{self._path.parent}' are damaged or not complete; delete "
                "that folder, and the run is written anew."
            )

    @contextmanager
    def appending(self) -> Iterator[RecordWriter]:
        """Take events, as their protocol buffers' bytes; they count when `commit` has returned.

        Raises:
            RunFailed: the file cannot be written, or another process writes it.
        """
        try:
            with self._path.open("r+b" if self._path.exists() else "x+b") as handle:
                self._go_to_end(handle)
                yield RecordWriter(handle)
                handle.flush()
                os.fsync(handle.fileno())
                self._end = handle.tell()
        except OSError as error:
            raise RunFailed(
                f"'{self._path}' could not be written ({error.strerror or error}); free some "
                "space or check the folder, then give the same command again."
            ) from error

    def _go_to_end(self, handle: BinaryIO) -> None:
        if self._may_have_remains:
            handle.truncate(self._size)
        if handle.seek(0, os.SEEK_END) != self._size:
            raise RunFailed(
                f"Another process writes '{self._path}' as well; stop one of the two, then give "
                "the same command again."
            )
        self._may_have_remains = True

    def commit(self, state: Mapping[str, Any]) -> None:
        """Make what was appended valid, together with `state`, which JSON must know.

        Raises:
            RunFailed: the state cannot be written.
        """
        content = json.dumps({"size": self._end, "state": dict(state)})
        try:
            with replace_atomically(self._state_path) as temporary:
                temporary.write_text(content, encoding="utf-8")
        except OSError as error:
            raise RunFailed(
                f"'{self._state_path}' could not be written ({error.strerror or error}); free "
                "some space or check the folder, then give the same command again."
            ) from error
        self.state = dict(state)
        self._size = self._end
        self._may_have_remains = False
