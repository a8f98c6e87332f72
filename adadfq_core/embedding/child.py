"""A helper process and the one that started it: what both sides need of the system.

It is a plain subprocess rather than one of `multiprocessing`, whose spawned children import the
parent's main module. Messages are pickles on its standard input and output; both pipes are
private to the two.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, BinaryIO, NoReturn

import adadfq_core

_EXIT_SECONDS = 2.0
_PARENT_WATCH_SECONDS = 0.5
_THREAD_LIMITS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
)


def start(
    module: str,
    arguments: tuple[str, ...],
    cache_folder: Path,
    *,
    threads: int = 1,
    errors: IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start `python -m module PID *arguments`, PID being this process, to talk to by its pipes.

    Args:
        cache_folder: where numba's files go if they cannot lie beside the packages.
        threads: most threads of every numeric library.
        errors: where its standard error goes; `None` for this process' own.

    Raises:
        OSError: the system cannot start another process.
    """
    return subprocess.Popen(
        [sys.executable, "-m", module, str(os.getpid()), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env=_environment(cache_folder, threads),
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a started process and wait until it is gone, two seconds at most; may be repeated."""
    process.terminate()
    try:
        process.wait(_EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def send(message: object, stream: IO[bytes]) -> None:
    """Write `message` as a pickle, at once."""
    pickle.dump(message, stream, protocol=pickle.HIGHEST_PROTOCOL)
    stream.flush()


def close_pipes(process: subprocess.Popen[bytes]) -> None:
    """Give back the pipes to an ended process; nobody may be using them."""
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        # Closing flushes what the process no longer reads.
        with contextlib.suppress(OSError):
            pipe.close()


def how_it_ended(process: subprocess.Popen[bytes]) -> str:
    """In words; waits for a process that is about to end."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_EXIT_SECONDS)
    code = process.returncode
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def settle_in(parent: int, niceness: int) -> BinaryIO:
    """In a started process: live no longer than `parent`, give way to others, keep pipes private.

    Args:
        niceness: added to the inherited one (on Windows: below normal, whatever it is).

    Returns:
        Where messages to the parent are written; what libraries print goes to standard error.
    """
    threading.Thread(target=_exit_with, args=(parent,), daemon=True).start()
    _lower_priority(niceness)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to act on
    signal.signal(signal.SIGTERM, _leave)
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # umap-learn imports TensorFlow or torch where they are installed, for a class not used here.
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    return replies


def _environment(cache_folder: Path, threads: int) -> dict[str, str]:
    """Few threads for every numeric library, this package on the path, a place for numba's files.

    numba stores compiled code beside the packages, for all runs and projects; where they are
    read-only it would refuse to start without a folder of its own.
    """
    environment = dict(os.environ) | dict.fromkeys(_THREAD_LIMITS, str(threads))
    root = str(Path(adadfq_core.__path__[0]).parent)
    inherited = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = os.pathsep.join([root, inherited] if inherited else [root])
    umap = importlib.util.find_spec("umap")
    locations = umap.submodule_search_locations if umap is not None else None
    if locations and not os.access(locations[0], os.W_OK):
        environment.setdefault("NUMBA_CACHE_DIR", str(cache_folder.resolve() / "numba"))
    return environment


def _lower_priority(niceness: int) -> None:
    if sys.platform == "win32":
        import psutil

        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(niceness)


def _exit_with(parent: int) -> NoReturn:
    """End this process soon after its parent, whatever it is doing.

    The end of standard input alone is not enough: it is not seen during a long computation, and
    a process that the parent forked may hold the other end open.
    """
    while _is_alive(parent):
        time.sleep(_PARENT_WATCH_SECONDS)
    os._exit(0)


def _is_alive(parent: int) -> bool:
    if sys.platform == "win32":
        import psutil

        return psutil.pid_exists(parent)
    return os.getppid() == parent


def _leave(*_: object) -> NoReturn:
    sys.exit(0)
