"""Runs of a sweep on the machines of a Ray cluster.

Each run is an actor of Ray that reserves the CPUs of the run's threads and plays it by the
ordinary worker process, with a store of its own on its machine. The whole run comes back as one
archive and goes into the sweep's one store, so that nothing distinguishes it from a run of this
machine: equal seeds and threads give equal numbers on processors of the same kind.

The cluster's machines need Ray and Python in the same versions, the packages of requirements.txt,
and every file that settings name by a path (data, weights, code); without one, the run fails
there with its sentence. The program itself and its bundled files come from here.

Ray ends a program with an exit code, and no exception, a minute after its cluster went away
beneath a call. So every use is preceded by a look at whether the cluster's address still answers.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from adadfq_core.ablation.executors.base import Ended, Event, Job, Progress
from adadfq_core.ablation.executors.ray_connection import connected, import_ray
from adadfq_core.ablation.executors.ray_player import News, Outcome, Player
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.runs.archive import export_run, import_run
from adadfq_core.runs.deletion import delete_runs
from adadfq_core.runs.records import RunStatus
from adadfq_core.runs.store import RunStore

SILENCE_SECONDS = 15.0
"""How long a cluster may not answer before it counts as gone; its head may be restarting."""

_CALLS_AT_ONCE = 3
"""Of a player: `play`, and `news` and `stop` meanwhile."""
_LOST = "The Ray cluster lost the run ({})."


@dataclass
class _Remote:
    """A run on the cluster; `placed` once its player has answered, so that its CPUs are taken."""

    job: Job
    player: Any
    outcome: Any
    news: Any
    placed: bool = False


class RayExecutor:
    """Plays as many runs at once as the cluster has room for, each with `threads` CPUs.

    A machine that joins gives more room. The run of one that goes away ends as lost. Every run is
    told to have ended once: only an archive that has arrived as a whole is taken into the store,
    and a run that has been told is forgotten, whatever becomes of its machine.
    """

    def __init__(self, root: Path, address: str, threads: int, owner: str = "") -> None:
        """Connect to the cluster at `address`; results go to the store `root`.

        Args:
            address: auto, host:port or ray://host:port.

        Raises:
            InputError: Ray is not installed, `address` is none, or no machine has the CPUs.
            RunFailed: the cluster does not answer, or refuses.
        """
        self._store = RunStore(root)
        self._address = address
        self._threads = threads
        self._owner = owner
        self._ray = import_ray()
        self._door = connected(self._ray, address)
        self._answered = time.monotonic()
        self._running: dict[int, _Remote] = {}
        self._unplayed: list[Ended] = []
        self._player = self._ray.remote(Player).options(
            num_cpus=threads, max_concurrency=_CALLS_AT_ONCE
        )
        with self._asking():
            places = self._places()
        if places == 0:
            self.close()
            raise InputError(
                f"No machine of the Ray cluster at '{address}' has the {threads} CPUs that a run "
                "takes; lower the threads of each run, or let a larger machine join."
            )

    def room(self) -> int:
        if not self._answers():
            return 0
        with self._asking():
            free = int(self._ray.available_resources().get("CPU", 0)) // self._threads
            unplaced = sum(not remote.placed for remote in self._running.values())
            return min(free - unplaced, self._places() - len(self._running))

    def submit(self, job: Job) -> None:
        if not self._answers():
            raise self._gone()
        try:
            earlier = self._earlier(job)
        except (InputError, RunFailed) as error:
            self._unplayed.append(Ended(job.cell, None, RunStatus.FAILED, str(error)))
            return
        if isinstance(earlier, Ended):
            self._unplayed.append(earlier)
            return
        with self._asking():
            player = self._player.remote()
            outcome = player.play.remote(job, earlier)
            self._running[job.cell] = _Remote(job, player, outcome, player.news.remote())

    def poll(self) -> list[Event]:
        """See `Executor.poll`.

        Raises:
            RunFailed: the cluster has not answered for `SILENCE_SECONDS`, or has lost everything.
        """
        events: list[Event] = [*self._unplayed]
        self._unplayed.clear()
        try:
            self._collect(events)
        except RunFailed:
            if not events:
                raise
            # What came is told first: it is in the store. The next call fails again.
        return events

    def _collect(self, events: list[Event]) -> None:
        if self._answers():
            with self._asking():
                for cell in self._ready("outcome"):
                    events += self._ended(self._running.pop(cell))
                for cell in self._ready("news"):
                    events += self._progressed(self._running[cell])
        elif time.monotonic() - self._answered > SILENCE_SECONDS:
            raise self._gone()

    def stop(self, cell: int) -> None:
        remote = self._running.get(cell)  # none if it has just ended
        if remote is not None and self._answers():
            with self._asking():
                remote.player.stop.remote()

    def close(self) -> None:
        # Ray ends the players of a program that leaves, and with a player ends its run.
        if self._answers():
            self._ray.shutdown()
        self._running.clear()

    def _answers(self) -> bool:
        opens = self._door.opens()
        if opens:
            self._answered = time.monotonic()
        return opens

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except ConnectionError as error:
            raise self._gone() from error

    def _gone(self) -> RunFailed:
        return RunFailed(
            f"The Ray cluster at '{self._address}' does not answer any more; start it again and "
            "resume the sweep, which goes on with what is missing."
        )

    def _places(self) -> int:
        """Runs that the cluster could play at once, were nobody else there."""
        return sum(
            int(node["Resources"].get("CPU", 0)) // self._threads
            for node in self._ray.nodes()
            if node["Alive"]
        )

    def _earlier(self, job: Job) -> bytes | Ended:
        """The archive of a run that `job` can go on from, or its end if it has finished.

        Empty if there is none, or it was deleted, is going or has other settings.
        """
        known = {info.run_id: info for info in self._store.list_runs()}
        info = known.get(job.run_id or "")
        if info is None or info.active or info.settings != job.settings:
            return b""
        if info.status is RunStatus.FINISHED:
            return Ended(job.cell, info.run_id, info.status, info.reason)
        with _archive_file() as path:
            export_run(self._store.root, info.run_id, path)
            return path.read_bytes()

    def _ready(self, what: Literal["outcome", "news"]) -> list[int]:
        """The running cells whose `what` has come to this machine."""
        cells = {getattr(remote, what): cell for cell, remote in self._running.items()}
        if not cells:
            return []
        ready, _ = self._ray.wait(list(cells), num_returns=len(cells), timeout=0)
        return [cells[reference] for reference in ready]

    def _progressed(self, remote: _Remote) -> list[Event]:
        asked, remote.news = remote.news, remote.player.news.remote()
        try:
            news: News = self._ray.get(asked)
        except self._ray.exceptions.RayError:
            return []  # the outcome tells why
        remote.placed = True
        return [Progress(remote.job.cell, None, *news)]

    def _ended(self, remote: _Remote) -> list[Event]:
        cell = remote.job.cell
        errors = self._ray.exceptions
        try:
            outcome: Outcome = self._ray.get(remote.outcome)
        except errors.RayTaskError as error:
            reason = f"{type(error.cause).__name__}: {error.cause}"
            return [Ended(cell, None, RunStatus.FAILED, reason)]
        except errors.ActorUnavailableError:
            return [Ended(cell, None, RunStatus.LOST, _LOST.format("its machine does not answer"))]
        except errors.RayError as error:
            return [Ended(cell, None, RunStatus.LOST, _LOST.format(_cause(error)))]
        finally:
            # Also one that seems dead: it may only be out of reach, and play on.
            self._ray.kill(remote.player)
        if not outcome.archive:
            return [Ended(cell, None, outcome.status, outcome.reason)]
        try:
            run_id = self._taken_in(remote.job, outcome)
        except (InputError, RunFailed) as error:
            return [Ended(cell, None, RunStatus.FAILED, str(error))]
        return [
            Progress(cell, run_id, *outcome.news),
            Ended(cell, run_id, outcome.status, outcome.reason),
        ]

    def _taken_in(self, job: Job, outcome: Outcome) -> str:
        """Import a run that has ended; what it went on from is part of it, and goes."""
        root = self._store.root
        with _archive_file() as path:
            path.write_bytes(outcome.archive)
            run_id = import_run(root, path, owner=self._owner)
        if job.run_id is not None and outcome.run_id == job.run_id != run_id:
            delete_runs(root, [job.run_id])
        return run_id


@contextmanager
def _archive_file() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="adadfq-archive-") as folder:
        yield Path(folder) / "archive.zip"


def _cause(error: Exception) -> str:
    """Why Ray lost a run: what the last line of its message says first, before the details."""
    return str(error).strip().splitlines()[-1].split(". ")[0].rstrip(".")
