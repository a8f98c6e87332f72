"""Sweeps on a real Ray cluster of this machine: a head without CPUs, and nodes with one each."""

from __future__ import annotations

import builtins
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tiny_cells import TINY, evaluations, played, steps, tiny_cell

from adadfq_core import runs
from adadfq_core.ablation.driver import drive
from adadfq_core.ablation.executors.base import Ended, Event, Job, Progress
from adadfq_core.ablation.executors.ray_cluster import RayExecutor
from adadfq_core.ablation.executors.ray_player import FOLDER_PREFIX
from adadfq_core.ablation.plan import Plan
from adadfq_core.ablation.states import CellStatus, SweepStatus
from adadfq_core.ablation.sweeps import SweepStore
from adadfq_core.errors import InputError
from adadfq_core.runs import RunStatus

pytest.importorskip("ray", reason="Ray is not installed (requirements-ray.txt)")
pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="Ray has several nodes on one machine on Linux alone"
)

TIMEOUT_SECONDS = 240
NODE = {"object_store_memory": 80_000_000, "include_dashboard": False}
HEALTH = {
    **{"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000},
    **{"health_check_failure_threshold": 5},
}
PROJECT = Path(__file__).parents[2]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module", autouse=True)
def _prints_as_before() -> Iterator[None]:
    """Ray puts a function of its own in the place of `print`, which then cannot be pickled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builtins, "print", builtins.print)
        yield


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the nodes keep what is temporary; Ray's own lies elsewhere, as its sockets need a
    short path."""
    folder = tmp_path_factory.mktemp("machines")
    of_ray = tempfile.mkdtemp(prefix="ray-")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setenv("RAY_TMPDIR", of_ray)
        patch.setenv("ADADFQ_HOME", str(folder / "home"))
        patch.delenv("RAY_ADDRESS", raising=False)
        yield folder
    # Ray's helpers end some seconds after their node, and write until then.
    for _ in range(20):
        shutil.rmtree(of_ray, ignore_errors=True)
        time.sleep(1)
        if not os.path.exists(of_ray):
            break


@contextlib.contextmanager
def _cluster(**head: Any) -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    made = Cluster()
    try:
        made.add_node(**NODE, num_cpus=0, _system_config=HEALTH, **head)
        made.add_node(**NODE, num_cpus=1)
        yield made
    finally:
        made.shutdown()


@pytest.fixture(scope="module")
def cluster(temporary: Path) -> Iterator[Any]:
    """A head without CPUs, which also serves clients, and one node with a CPU."""
    port = _free_port()
    with _cluster(ray_client_server_port=port) as made:
        made.client_address = f"ray://127.0.0.1:{port}"
        yield made


def _die(cluster: Any, node: Any) -> None:
    """End a node as a machine that loses its power: with every process of Ray, at once."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    workers = raylet.children()
    cluster.remove_node(node, allow_graceful=False)
    for worker in workers:
        with contextlib.suppress(psutil.Error):
            worker.kill()


def _wait(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not what():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.1)


def _players(temporary: Path) -> list[str]:
    """What is left of runs on the nodes: their folders, and the processes that work in them."""
    left = [path.name for path in temporary.glob(f"{FOLDER_PREFIX}*")]
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or ()
        left += [word for word in words if word.startswith(str(temporary / FOLDER_PREFIX))]
    return left


class DyingMachine(RayExecutor):
    """A cluster of which a machine dies as soon as two runs have begun; keeps all ends."""

    def __init__(self, root: Path, address: str, threads: int, die: Callable[[], None]) -> None:
        super().__init__(root, address, threads)
        self._die: Callable[[], None] | None = die
        self._begun: set[int] = set()
        self._deadline = time.monotonic() + TIMEOUT_SECONDS
        self.ends: list[Ended] = []

    def poll(self) -> list[Event]:
        assert time.monotonic() < self._deadline, "timed out"
        events = super().poll()
        for event in events:
            if isinstance(event, Ended):
                self.ends.append(event)
                self._begun.discard(event.cell)
            elif event.iteration > 0:
                self._begun.add(event.cell)
        if self._die is not None and len(self._begun) == 2:
            self._die()
            self._die = None
        return events


@pytest.mark.slow
def test_a_machine_that_dies_loses_no_result_and_gives_none_twice(
    cluster: Any, temporary: Path, tmp_path: Path
) -> None:
    plan = Plan(
        preset="quick",
        changes={**TINY, "slow_motion": 200},
        axes=("lambda_l",),
        points=({"lambda_l": 0.0}, {"lambda_l": 0.3}),
        seeds=(0, 1),
    )
    store = SweepStore(tmp_path)
    sweep_id = store.create(
        plan, [], name="", workers=1, threads=1, ray_address=cluster.gcs_address
    )
    second = cluster.add_node(**NODE, num_cpus=1)
    executor = DyingMachine(tmp_path, cluster.gcs_address, 1, lambda: _die(cluster, second))
    _wait(lambda: executor.room() == 2)

    assert drive(store, sweep_id, executor) == (SweepStatus.FINISHED, "")
    cells = store.cells(sweep_id)
    assert [cell.status for cell in cells] == [CellStatus.FINISHED] * 4
    assert sorted(cell.attempts for cell in cells) == [1, 1, 1, 2]
    (lost,) = [cell for cell in cells if cell.attempts == 2]
    assert sorted(end.status for end in executor.ends) == ["finished"] * 4 + ["lost"]
    told = [end for end in executor.ends if end.status is RunStatus.LOST]
    assert [(end.cell, end.run_id) for end in told] == [(lost.index, None)]
    assert told[0].reason.startswith("The Ray cluster lost the run (")
    known = [info.run_id for info in runs.list_runs(tmp_path)]
    assert sorted(known) == sorted(cell.run_id for cell in cells)

    settings = plan.settings(plan.cells[lost.index])
    alone = played(tmp_path / "alone", settings.model_copy(update={"slow_motion": 0}))
    assert runs.info(tmp_path, lost.run_id).settings == settings
    assert steps(tmp_path, lost.run_id) == steps(tmp_path / "alone", alone)
    assert evaluations(tmp_path, lost.run_id) == evaluations(tmp_path / "alone", alone)
    assert len(steps(tmp_path, lost.run_id)) == settings.iterations
    _wait(lambda: _players(temporary) == [])


def _until_ended(executor: RayExecutor, then: Callable[[Progress], None]) -> Ended:
    """Poll until a run has ended, passing its progress to `then`."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        for event in executor.poll():
            if isinstance(event, Ended):
                return event
            then(event)
        time.sleep(0.1)
    raise AssertionError("timed out")


@pytest.mark.slow
def test_a_stopped_run_goes_on_from_its_checkpoint_over_the_client_port(
    cluster: Any, tmp_path: Path
) -> None:
    executor = RayExecutor(tmp_path, cluster.client_address, 1)
    try:
        settings = tiny_cell(slow_motion=200)
        executor.submit(Job(3, settings, "quick"))
        assert executor.room() <= 0

        def stop(progress: Progress) -> None:
            if progress.iteration > 10:
                executor.stop(3)

        stopped = _until_ended(executor, stop)
        assert (stopped.cell, stopped.status, stopped.reason) == (3, RunStatus.STOPPED, "")
        (info,) = runs.list_runs(tmp_path)
        assert info.run_id == stopped.run_id and 10 < info.iteration < 15
        executor.stop(3)  # too late is no error

        job = Job(3, settings, "quick", stopped.run_id)
        executor.submit(job)
        first: list[Progress] = []
        finished = _until_ended(executor, first.append)
        assert finished.status is RunStatus.FINISHED
        assert all(progress.iteration >= info.iteration for progress in first if progress.iteration)
        (info,) = runs.list_runs(tmp_path)
        assert info.run_id == finished.run_id
        assert [iteration for iteration, _ in steps(tmp_path, info.run_id)] == list(range(1, 16))
        # What has finished is not played again.
        executor.submit(Job(3, settings, "quick", finished.run_id))
        assert executor.poll() == [finished]
        assert executor.poll() == []
    finally:
        executor.close()


@pytest.mark.slow
def test_closing_ends_what_runs_and_leaves_nothing(
    cluster: Any, temporary: Path, tmp_path: Path
) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    executor = RayExecutor(tmp_path, "auto", 1)
    try:
        assert signal.getsignal(signal.SIGTERM) is handler
        executor.submit(Job(0, tiny_cell(slow_motion=5000), "quick"))
        _wait(lambda: any(isinstance(e, Progress) and e.iteration for e in executor.poll()))
        assert _players(temporary)
    finally:
        executor.close()
    _wait(lambda: _players(temporary) == [])
    assert runs.list_runs(tmp_path) == []


def test_more_threads_than_any_machine_has_are_refused(cluster: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No machine of the Ray cluster at .* has the 3 CPUs"):
        RayExecutor(tmp_path, cluster.gcs_address, 3)


LEFT_ALONE = """
import sys, time
from pathlib import Path
from adadfq_core.ablation.executors import ray_cluster
from adadfq_core.errors import RunFailed

ray_cluster.SILENCE_SECONDS = 2
executor = ray_cluster.RayExecutor(Path(sys.argv[1]), sys.argv[2], 1)
print("connected", flush=True)
try:
    while True:
        executor.poll()
        assert executor.room() <= 1
        time.sleep(0.2)
except RunFailed as error:
    print(error, flush=True)
executor.close()
"""


@pytest.mark.slow
def test_a_cluster_that_goes_away_is_told(temporary: Path, tmp_path: Path) -> None:
    with _cluster() as made:
        address = made.gcs_address
        # In a process of its own: Ray ends one whose cluster has gone.
        driver = subprocess.Popen(
            [sys.executable, "-c", LEFT_ALONE, str(tmp_path), address],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
        )
        assert driver.stdout is not None
        assert driver.stdout.readline() == "connected\n"
        made.remove_node(made.head_node, allow_graceful=False)
        told, _ = driver.communicate(timeout=TIMEOUT_SECONDS)
    assert f"The Ray cluster at '{address}' does not answer any more; start it again" in told
    assert driver.returncode == 0
