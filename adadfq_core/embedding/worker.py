"""The embedding process: `python -m adadfq_core.embedding.worker PARENT_PID METHOD`.

Requests come as pickles on standard input and each gets one reply, a pickle on standard output;
both pipes are private to this process and the one that started it. torch is never imported.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from typing import BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

from adadfq_core.embedding.cache import fit_cached
from adadfq_core.embedding.events import EmbeddingEvent, Failed, Fitted, Transformed
from adadfq_core.embedding.projection import Projection
from adadfq_core.embedding.requests import FitRequest, Request, TransformRequest
from adadfq_core.embedding.umap_map import warm_up
from adadfq_core.errors import InputError

_NICENESS = 10
_PARENT_WATCH_SECONDS = 0.5


class Worker:
    """Answers requests; holds the projection from the one fit on."""

    def __init__(self) -> None:
        self._projection: Projection | None = None

    def answer(self, request: Request) -> EmbeddingEvent:
        """The event that `request` leads to; whatever goes wrong is a `Failed`."""
        try:
            if isinstance(request, FitRequest):
                return self._fit(request)
            return self._transform(request)
        except Exception as error:
            traceback.print_exc()
            fitting = isinstance(request, FitRequest)
            tag = None if isinstance(request, FitRequest) else request.tag
            told = isinstance(error, InputError)
            reason = str(error) if told else f"{type(error).__name__}: {error}"
            return Failed(reason, tag, final=fitting)

    def _fit(self, request: FitRequest) -> Fitted:
        started = time.perf_counter()
        projection, from_cache = fit_cached(request.real, request.settings, request.cache_folder)
        self._projection = projection
        positions, rows = _placed(projection.positions)
        seconds = time.perf_counter() - started
        return Fitted(positions, rows, projection.method, projection.notice, seconds, from_cache)

    def _transform(self, request: TransformRequest) -> Transformed:
        assert self._projection is not None  # the service sends the fit first
        started = time.perf_counter()
        positions, rows = _placed(self._projection.transform(request.features))
        notice = self._projection.transform_notice(request.features)
        return Transformed(request.tag, positions, rows, notice, time.perf_counter() - started)


def _placed(positions: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """The finite rows of `(N, k)` positions, and their indices."""
    rows = np.flatnonzero(np.isfinite(positions).all(axis=1))
    return positions[rows], rows


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer requests until their stream ends."""
    worker = Worker()
    while True:
        try:
            request: Request = pickle.load(requests)
        except EOFError:
            return
        pickle.dump(worker.answer(request), replies)
        replies.flush()


def main(parent: int, method: str) -> None:
    """Warm up for `method`, then serve standard input until it or process `parent` ends."""
    threading.Thread(target=_exit_with, args=(parent,), daemon=True).start()
    _lower_priority()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to act on
    signal.signal(signal.SIGTERM, _leave)
    # What a library prints must not end up among the replies.
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # umap-learn imports TensorFlow or torch where they are installed, for a class not used here.
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    if method == "umap":
        try:
            warm_up()
        except Exception:
            # Told to the user with the first request, which runs into the same.
            traceback.print_exc()
    serve(sys.stdin.buffer, replies)


def _lower_priority() -> None:
    if sys.platform == "win32":
        import psutil

        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(_NICENESS)


def _exit_with(parent: int) -> NoReturn:
    """End this process soon after its parent, whatever it is doing.

    The end of standard input alone is not enough: it is not seen during a fit, and a process
    that the parent forked may hold the other end open.
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


if __name__ == "__main__":
    with contextlib.suppress(SystemExit):
        main(int(sys.argv[1]), sys.argv[2])
    # Tearing down the compiler takes up to a second, for which `close` would keep a run waiting.
    os._exit(0)
