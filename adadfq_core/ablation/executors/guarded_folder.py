"""A temporary folder that outlives its owner by no more than a moment, however the owner ends.

A small process waits beside it: `python -m adadfq_core.ablation.executors.guarded_folder FOLDER`.
Its input is a pipe whose other end the owner alone holds. When that end closes, by the owner's
will or because it was killed, every process that works in the folder is killed and the folder is
removed. Runs are started detached, so nothing else would end one whose owner is gone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import adadfq_core

_MODULE = "adadfq_core.ablation.executors.guarded_folder"
_DETACHED = "--detached"
_PACKAGE_PARENT = Path(adadfq_core.__file__).absolute().parents[1]
_END_SECONDS = 10.0
_POLL_SECONDS = 0.05


@contextlib.contextmanager
def guarded_folder(prefix: str) -> Iterator[Path]:
    """Make a temporary folder and yield it; leaving ends what works in it and removes it.

    Raises:
        OSError: the disk is full, or the system cannot start another process.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix)).resolve()
    guard = subprocess.Popen(
        _command(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=_PACKAGE_PARENT,
    )
    assert guard.stdin is not None and guard.stdout is not None
    guard.wait()  # until it has detached itself
    try:
        yield folder
    finally:
        guard.stdin.close()
        guard.stdout.read()  # ends when the folder is gone and the guard with it
        guard.stdout.close()


def _command(folder: Path, *flags: str) -> list[str]:
    return [sys.executable, "-m", _MODULE, str(folder), *flags]


def _end_processes(folder: Path) -> None:
    """Kill every process that names `folder`, or a path in it, on its command line."""
    # Only here: a guard that waits should be small.
    import psutil

    from adadfq_core.runs.process import alive

    users = [
        process
        for process in psutil.process_iter(["cmdline", "create_time"])
        if process.pid != os.getpid()
        and any(Path(word).is_relative_to(folder) for word in process.info["cmdline"] or ())
    ]
    for process in users:
        with contextlib.suppress(psutil.Error):
            process.kill()
    deadline = time.monotonic() + _END_SECONDS
    while any(alive(process.pid, process.info["create_time"]) for process in users):
        if time.monotonic() > deadline:
            break  # one that the system cannot end yet
        time.sleep(_POLL_SECONDS)


def main() -> None:
    """Guard the folder that the command line names."""
    folder = Path(sys.argv[1])
    if _DETACHED not in sys.argv:
        # Ray kills the children of a worker process that it ends; a grandchild in a session of
        # its own is left alone.
        subprocess.Popen(_command(folder, _DETACHED), start_new_session=True)
        return
    sys.stdin.buffer.read()
    _end_processes(folder)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
