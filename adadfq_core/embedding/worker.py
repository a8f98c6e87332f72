"""The embedding process: `python -m adadfq_core.embedding.worker PARENT_PID METHOD`.

Requests come as pickles on standard input and each gets one reply, a pickle on standard output;
both pipes are private to this process and the one that started it. torch is never imported.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
import time
import traceback
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from adadfq_core.embedding import child
from adadfq_core.embedding.cache import fit_cached
from adadfq_core.embedding.events import EmbeddingEvent, Failed, Fitted, Transformed
from adadfq_core.embedding.projection import Projection
from adadfq_core.embedding.requests import FitRequest, Request, TransformRequest
from adadfq_core.embedding.umap_map import warm_up
from adadfq_core.errors import InputError

_NICENESS = 10


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
        child.send(worker.answer(request), replies)


def main(parent: int, method: str) -> None:
    """Warm up for `method`, then serve standard input until it or process `parent` ends."""
    replies = child.settle_in(parent, _NICENESS)
    if method == "umap":
        try:
            warm_up()
        except Exception:
            # Told to the user with the first request, which runs into the same.
            traceback.print_exc()
    serve(sys.stdin.buffer, replies)


if __name__ == "__main__":
    with contextlib.suppress(SystemExit):
        main(int(sys.argv[1]), sys.argv[2])
    # Tearing down the compiler takes up to a second, for which `close` would keep a run waiting.
    os._exit(0)
