"""The training process' side of the embedding process: never waits, never raises its errors."""

from __future__ import annotations

import contextlib
import pickle
import queue
import threading
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adadfq_core.embedding import child
from adadfq_core.embedding.events import Dropped, EmbeddingEvent, Failed
from adadfq_core.embedding.projection import feature_table
from adadfq_core.embedding.requests import FitRequest, Request, TransformRequest
from adadfq_core.embedding.settings import ProjectionSettings

_WORKER = "adadfq_core.embedding.worker"
_CHILD_CHECK_SECONDS = 0.5


class EmbeddingService:
    """Fits once and transforms in a low-priority process that starts, and warms up, at once.

    That process does not import torch. All pipe traffic is on one thread here, which sleeps in
    system calls, so that neither a busy nor a dead process holds up training.
    """

    def __init__(self, cache_folder: Path, settings: ProjectionSettings | None = None) -> None:
        """Start the process; layouts are kept in `cache_folder`, which need not exist.

        Raises:
            OSError: the system cannot start another process.
        """
        self._cache_folder = cache_folder
        self._settings = settings or ProjectionSettings()
        self._events: queue.SimpleQueue[EmbeddingEvent] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._fit: FitRequest | None = None
        self._newest: TransformRequest | None = None
        self._fit_submitted = False
        self._fit_sent = False
        self._closed = False
        self._failed = False
        self._process = child.start(_WORKER, (self._settings.method,), cache_folder)
        self._thread = threading.Thread(target=self._converse, name="embedding", daemon=True)
        self._thread.start()

    def submit_fit(self, real_features: ArrayLike) -> None:
        """Fit on real features `(N, D)`, which are copied; allowed once.

        Features that are not a table, or have no finite row, lead to a final `Failed`.

        Raises:
            RuntimeError: a second fit would move points that are already drawn.
        """
        if self._fit_submitted:
            raise RuntimeError("The projection is fitted once; start a new service to refit.")
        self._fit_submitted = True
        try:
            real = _copied(real_features)
        except (TypeError, ValueError) as error:
            self._fail(Failed(str(error), tag=None, final=True))
            return
        with self._changed:
            self._fit = FitRequest(real, self._settings, self._cache_folder)
            self._changed.notify()

    def submit_transform(self, tag: int, features: ArrayLike) -> None:
        """Place features `(M, D)`, which are copied, once the fit is done.

        A request whose turn has not come is replaced, and reported as `Dropped`. Features that
        do not fit the projection lead to a `Failed` of this tag. After a final failure, or
        `close`, nothing happens.
        """
        with self._changed:
            if self._failed or self._closed:
                return
            try:
                request = TransformRequest(tag, _copied(features))
            except (TypeError, ValueError) as error:
                self._events.put(Failed(str(error), tag, final=False))
                return
            if self._newest is not None:
                self._events.put(Dropped(self._newest.tag))
            self._newest = request
            self._changed.notify()

    def poll(self) -> list[EmbeddingEvent]:
        """Events since the last call, oldest first; takes microseconds."""
        events: list[EmbeddingEvent] = []
        with contextlib.suppress(queue.Empty):
            while True:
                events.append(self._events.get_nowait())
        return events

    def close(self) -> None:
        """End the process and wait until it is gone, two seconds at most; may be repeated."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        child.stop(self._process)
        self._thread.join()
        child.close_pipes(self._process)

    def _converse(self) -> None:
        """Send one request at a time and queue its reply, until closed or failed."""
        requests, replies = self._process.stdin, self._process.stdout
        assert requests is not None and replies is not None
        try:
            while (request := self._next_request()) is not None:
                child.send(request, requests)
                event: EmbeddingEvent = pickle.load(replies)
                if isinstance(event, Failed) and event.final:
                    self._fail(event)
                    return
                self._report(event)
        except (OSError, EOFError, pickle.UnpicklingError):
            self._fail(Failed(self._cause(), tag=None, final=True))

    def _next_request(self) -> Request | None:
        """Wait for a request; `None` once closed or failed.

        Raises:
            EOFError: the process ended meanwhile.
        """
        with self._changed:
            while not (self._closed or self._failed):
                if self._fit is not None:
                    fit, self._fit = self._fit, None
                    self._fit_sent = True
                    return fit
                if self._fit_sent and self._newest is not None:
                    newest, self._newest = self._newest, None
                    return newest
                self._changed.wait(_CHILD_CHECK_SECONDS)
                if self._process.poll() is not None:
                    raise EOFError
        return None

    def _report(self, event: EmbeddingEvent) -> None:
        with self._changed:
            if not self._failed:
                self._events.put(event)

    def _fail(self, event: Failed) -> None:
        """Report a final failure, unless closed or failed already."""
        with self._changed:
            if self._closed or self._failed:
                return
            self._failed = True
            self._newest = None
            self._events.put(event)
            self._changed.notify()

    def _cause(self) -> str:
        how = child.how_it_ended(self._process)
        return (
            f"The embedding process ended ({how}); training goes on without new embeddings. "
            "Its output in the log of the run may say why."
        )


def _copied(features: ArrayLike) -> NDArray[np.float32]:
    """A copy, since the caller may reuse its buffer before the request is sent."""
    return feature_table(features).copy()
