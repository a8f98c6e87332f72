"""The web server's side of the inspection process: never waits, never raises its errors."""

from __future__ import annotations

import logging
import pickle
import subprocess
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import psutil

from adadfq_core.embedding import child
from adadfq_core.inspection.requests import TITLES, Request
from adadfq_core.inspection.states import Answered, NotAsked, Refused, State, Waiting, Working

LOG = "inspection.log"
"""In the cache folder: what the process printed, tracebacks among it."""

IDLE_SECONDS = 300.0
"""Without a request for so long the process is ended, and its memory given back."""

REFUSAL_SECONDS = 5.0
"""A refused request that is submitted again within these is not tried again."""

ANSWER_BYTES = 256 * 2**20
"""Answers that are kept; of larger ones the last is."""

MOST_WAITING = 8
"""Requests of a kind that wait, at most; the oldest ones give way."""

_WORKER = "adadfq_core.inspection.worker"
_log = logging.getLogger(__name__)
_KEPT_REFUSALS = 64
_LOG_BYTES = 2**20


@dataclass
class _Job:
    """A request that is not answered yet.

    Attributes:
        slots: where it is waited for; nobody waits any more where there are none.
        state: `Waiting` or `Working`.
    """

    request: Request
    slots: set[str]
    state: Waiting | Working


class InspectionService:
    """Answers requests about runs in one low-priority process, which any number of sessions share.

    The process starts at the first request, ends with this one, with `close`, or when there was
    nothing to do for `IDLE_SECONDS`, and starts again when it is needed. All pipe traffic is on one
    thread here. Methods take microseconds and may be called from any thread.
    """

    def __init__(self, cache_folder: Path) -> None:
        """Nothing is started yet; `cache_folder` need not exist."""
        self._cache_folder = cache_folder
        self._changed = threading.Condition()
        self._waiting: dict[Request, _Job] = {}  # the newest last
        self._current: _Job | None = None
        self._answers: OrderedDict[Request, tuple[Answered, int]] = OrderedDict()
        self._refusals: OrderedDict[Request, tuple[Refused, float]] = OrderedDict()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, request: Request, slot: str) -> None:
        """Ask for an answer, which `state` will tell; the newest request is worked on first.

        A request that waits, is worked on or is answered is not asked for twice. What the same slot
        waited for before is dropped, unless another slot waits for it as well. After `close`
        nothing happens.

        Args:
            slot: a place of one reader's page that shows one answer at a time, such as
                "<session>/walk".
        """
        with self._changed:
            if self._closed:
                return
            self._leave(slot, request)
            if request in self._answers:
                self._answers.move_to_end(request)
                return
            refused = self._refusals.get(request)
            if refused is not None and time.monotonic() - refused[1] < REFUSAL_SECONDS:
                return
            job = self._job(request)
            if job is not None:
                job.slots.add(slot)
                return
            self._refusals.pop(request, None)
            self._waiting[request] = _Job(request, {slot}, Waiting())
            self._bound(type(request))
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._converse, name="inspection", daemon=True
                )
                self._thread.start()
            self._changed.notify()

    def state(self, request: Request) -> State:
        """How far `request` has got. To be asked again while it is `Waiting` or `Working`."""
        with self._changed:
            if request in self._answers:
                self._answers.move_to_end(request)
                return self._answers[request][0]
            if request in self._refusals:
                return self._refusals[request][0]
            job = self._job(request)
            return NotAsked() if job is None else job.state

    def close(self) -> None:
        """End the process and wait until it is gone, two seconds at most; may be repeated."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            process, thread = self._process, self._thread
        if process is not None:
            child.stop(process)
        if thread is not None:
            thread.join()

    def _job(self, request: Request) -> _Job | None:
        if self._current is not None and self._current.request == request:
            return self._current
        return self._waiting.get(request)

    def _leave(self, slot: str, request: Request) -> None:
        """`slot` waits for nothing but `request` any more."""
        jobs = [*self._waiting.values(), *([] if self._current is None else [self._current])]
        for job in jobs:
            if job.request != request:
                job.slots.discard(slot)
                if not job.slots:
                    self._waiting.pop(job.request, None)

    def _bound(self, kind: type[Request]) -> None:
        same = [request for request in self._waiting if type(request) is kind]
        for request in same[:-MOST_WAITING]:
            del self._waiting[request]

    def _converse(self) -> None:
        """Pass on one request at a time, until closed."""
        while (job := self._next()) is not None:
            try:
                state, size = self._asked(job)
            except Exception as error:
                # Whatever goes wrong with one request, the thread has to be there for the next.
                _log.exception("A request could not be passed on or its answer not be read.")
                self._end()
                cause = f"it could not be passed on ({type(error).__name__}); ask again"
                state, size = _refused(job.request, cause), 0
            with self._changed:
                self._current = None
                if isinstance(state, Answered):
                    self._keep(job.request, state, size)
                elif isinstance(state, Refused):
                    self._refusals[job.request] = state, time.monotonic()
                    while len(self._refusals) > _KEPT_REFUSALS:
                        self._refusals.popitem(last=False)
                elif job.slots:
                    # Somebody came to wait for it just after it was given up.
                    self._waiting[job.request] = _Job(job.request, job.slots, Waiting())
        self._end()

    def _next(self) -> _Job | None:
        """Wait for the newest job, which becomes the current one; `None` once closed."""
        while True:
            with self._changed:
                limit = None if self._process is None else IDLE_SECONDS
                busy = self._closed or bool(self._waiting) or self._changed.wait(limit)
                if self._closed:
                    return None
                if self._waiting:
                    _, self._current = self._waiting.popitem()
                    self._current.state = Working("starting")
                    return self._current
            if not busy:
                self._end()

    def _asked(self, job: _Job) -> tuple[State, int]:
        """What the process makes of `job`, and its size in bytes.

        A process that ends without a word, though it had worked before, may have been dead already:
        the next one is asked as well.
        """
        before = self._process
        state, size, heard = self._asked_once(job)
        if isinstance(state, Refused) and not heard and before is not None:
            state, size, _ = self._asked_once(job)
        return state, size

    def _asked_once(self, job: _Job) -> tuple[State, int, bool]:
        """As `_asked`, and whether the process said anything."""
        heard = False
        try:
            process = self._running()
        except OSError as error:
            reason = error.strerror or error
            cause = f"its process could not be started ({reason}); check {self._cache_folder}"
            return _refused(job.request, cause), 0, heard
        assert process.stdin is not None and process.stdout is not None
        try:
            child.send(job.request, process.stdin)
            while True:
                content: bytes = pickle.load(process.stdout)
                heard = True
                state: State = pickle.loads(content)
                if not isinstance(state, Working):
                    return state, len(content), heard
                with self._changed:
                    job.state = state
                    wanted = bool(job.slots)
                child.send(wanted, process.stdin)
        except (OSError, EOFError, pickle.UnpicklingError):
            how = child.how_it_ended(process)
            cause = f"its process ended ({how}); ask again, or choose fewer images"
            self._end()
            return _refused(job.request, cause), 0, heard

    def _running(self) -> subprocess.Popen[bytes]:
        """The process, which is started if there is none, or if it has died.

        Raises:
            OSError: it cannot be started, or the service is closed.
        """
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        self._cache_folder.mkdir(parents=True, exist_ok=True)
        log = self._cache_folder / LOG
        full = log.is_file() and log.stat().st_size > _LOG_BYTES
        with self._changed, log.open("wb" if full else "ab") as errors:
            if self._closed:
                raise OSError("the service is closed")
            self._process = child.start(
                _WORKER,
                (str(self._cache_folder.absolute()),),
                self._cache_folder,
                threads=_threads(),
                errors=errors,
            )
            return self._process

    def _end(self) -> None:
        """End the process, if there is one."""
        with self._changed:
            process, self._process = self._process, None
        if process is not None:
            child.stop(process)
            child.close_pipes(process)

    def _keep(self, request: Request, answer: Answered, size: int) -> None:
        self._answers[request] = answer, size
        held = sum(size for _, size in self._answers.values())
        while held > ANSWER_BYTES and len(self._answers) > 1:
            _, (_, dropped) = self._answers.popitem(last=False)
            held -= dropped


def _threads() -> int:
    """A core is left to whoever trains."""
    return 2 if (psutil.cpu_count(logical=False) or 1) > 2 else 1


def _refused(request: Request, cause: str) -> Refused:
    return Refused(f"{TITLES[type(request)]} failed, as {cause}.")
