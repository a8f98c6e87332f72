"""Starting worker processes that outlive the server, and telling whether they still live."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

import adadfq_core
from adadfq_core.errors import RunFailed

WORKER_MODULE = "adadfq_core.runs.worker"
LOG = "worker.log"

_PACKAGE_PARENT = Path(adadfq_core.__file__).absolute().parents[1]
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
# For glibc, ignored elsewhere: keep the memory that an iteration gives back for the next one, in
# place of returning it to the system and asking for thousands of pages anew each time.
_ALLOCATOR = {
    "MALLOC_TRIM_THRESHOLD_": str(4 * 1024**3),
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024**2),
}
# Start times are reckoned from the boot time, which moves when the clock is corrected.
_START_TOLERANCE_S = 3.0
# A killed process with threads is a zombie before the last of them is gone, and only then has it
# an exit code to collect.
_EXIT_CODE_TIMEOUT_S = 5.0
_LOG_TAIL_BYTES = 8192
_LOG_LINE_CHARACTERS = 300

_lock = threading.Lock()
_children: dict[int, subprocess.Popen[bytes]] = {}
_exit_codes: dict[int, int] = {}


class ProcessIdentity(NamedTuple):
    """A process, told from a later one with the same number by its start (seconds since 1970)."""

    pid: int
    started: float


def identity(pid: int) -> ProcessIdentity | None:
    """Identity of the process that has number `pid` now, `None` if there is none."""
    try:
        return ProcessIdentity(pid, psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def started_at(pid: int) -> float:
    """When the process that was just started as `pid` began (seconds since 1970).

    One that has ended already has no start time; any will show it as gone.
    """
    process = identity(pid)
    return process.started if process else time.time()


def alive(pid: int, started: float, argument: str = "") -> bool:
    """Whether the process that had number `pid` and began at `started` still runs.

    Args:
        argument: what its command line names and no other process's does. It is known by this as
            well, as every start time moves by as much as the clock is set.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if abs(process.create_time() - started) <= _START_TOLERANCE_S:
            return True
        return bool(argument) and argument in process.cmdline()
    except psutil.Error:
        return False


def _environment(threads: int) -> dict[str, str]:
    environment = {**_ALLOCATOR, **os.environ}
    environment.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    inherited = [
        os.path.abspath(entry)
        for entry in environment.get("PYTHONPATH", "").split(os.pathsep)
        if entry
    ]
    environment["PYTHONPATH"] = os.pathsep.join([str(_PACKAGE_PARENT), *inherited])
    return environment


def spawn_worker(root: Path, run_id: str, threads: int, module: str = WORKER_MODULE) -> int:
    """Start `python -m module root run_id`, as `spawn_detached` does; return its number.

    Raises:
        RunFailed: the system cannot start it.
    """
    root = root.absolute()
    return spawn_detached(
        module, [str(root), run_id], root / run_id, f"The process of run {run_id}", threads
    )


def spawn_detached(
    module: str, arguments: Sequence[str], folder: Path, name: str, threads: int = 1
) -> int:
    """Start `python -m module arguments...` detached from this process; return its number.

    It gets `threads` CPU threads, a session of its own (so Ctrl-C and the end of the server do
    not reach it), no input, and `worker.log` in `folder` for its output.

    Args:
        name: what an error calls it.

    Raises:
        RunFailed: the system cannot start it.
    """
    reap()
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS
    else:
        flags = 0
    try:
        with (folder / LOG).open("ab") as log:
            # Takes the file's first block, which has room for last words where the disk is full.
            log.write(b"\n")
            log.flush()
            child = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # The package's own parent: `-m` looks there first, and a file in the caller's
                # folder that is named like a library would shadow it.
                cwd=_PACKAGE_PARENT,
                env=_environment(threads),
                start_new_session=True,
                creationflags=flags,
            )
    except OSError as error:
        raise RunFailed(
            f"{name} could not be started ({error.strerror or error}); close other programs or "
            "check the run folder, then try again."
        ) from error
    with _lock:
        _children[child.pid] = child
        _exit_codes.pop(child.pid, None)
    return child.pid


def reap() -> None:
    """Collect the exit codes of ended workers of this process, so that none stays a zombie."""
    with _lock:
        for pid, child in list(_children.items()):
            code = child.poll()
            if code is not None:
                _exit_codes[pid] = code
                del _children[pid]


def _exit_code(pid: int) -> int | None:
    """Exit code of the ended worker `pid`, `None` where another process started it."""
    with _lock:
        child = _children.get(pid)
    if child is not None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_EXIT_CODE_TIMEOUT_S)
        reap()
    return _exit_codes.get(pid)


def log_tail(folder: Path, lines: int = 1) -> str:
    """The last non-empty lines of the output of the process of `folder`; empty if none."""
    try:
        with (folder / LOG).open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - _LOG_TAIL_BYTES))
            text = log.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    found = [line.strip() for line in text.splitlines() if line.strip()]
    return "\n".join(line[:_LOG_LINE_CHARACTERS] for line in found[-lines:])


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def end_reason(pid: int | None, folder: Path) -> str:
    """Why the process `pid` of the run or sweep in `folder` is gone, in one sentence.

    The signal or exit code is known for those that this process started.
    """
    code = None if pid is None else _exit_code(pid)
    if code is None:
        cause = "Its process never started" if pid is None else "Its process is gone"
    elif code < 0:
        cause = f"Its process was killed by {_signal_name(-code)}"
        if _signal_name(-code) == "SIGKILL":
            cause += " (by hand, or because memory ran out)"
    else:
        cause = f"Its process ended with exit code {code}"
    last = log_tail(folder)
    return f"{cause}; its last output was: {last}" if last else f"{cause}."
