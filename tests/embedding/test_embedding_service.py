from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from embedding_samples import Collect, Start, clusters

from adadfq_core.embedding import (
    Dropped,
    EmbeddingService,
    Failed,
    Fitted,
    ProjectionSettings,
    Transformed,
    fit_projection,
)

_OTHERS: set[int] = set()
_QUICK = ProjectionSettings(method="pca")  # such a process does not import umap-learn


@pytest.fixture(autouse=True)
def others() -> set[int]:
    """Processes that earlier tests started and that may end, and be zombies, during this one."""
    _OTHERS.clear()
    _OTHERS.update(child.pid for child in psutil.Process().children())
    return _OTHERS


def _children() -> list[psutil.Process]:
    """Embedding processes that this test started, zombies included."""
    found = []
    for child in psutil.Process().children():
        if child.status() == psutil.STATUS_ZOMBIE:
            ours = child.pid not in _OTHERS
        else:
            ours = _is_embedding(child)
        if ours:
            found.append(child)
    return found


def _is_embedding(process: psutil.Process) -> bool:
    return "adadfq_core.embedding.worker" in process.cmdline()


def test_fits_transforms_and_restores(start: Start, collect: Collect) -> None:
    real, features = clusters(60), clusters(20, seed=1)
    expected = fit_projection(real, ProjectionSettings())
    for from_cache in (False, True):
        service = start()
        service.submit_fit(real)
        service.submit_transform(7, features)
        fitted, transformed = collect(service, 2)
        assert isinstance(fitted, Fitted) and isinstance(transformed, Transformed)
        assert fitted.from_cache == from_cache
        assert (fitted.method, fitted.notice) == ("umap", "")
        assert np.array_equal(fitted.positions, expected.positions)
        assert fitted.rows.tolist() == list(range(60))
        assert transformed.tag == 7
        assert np.array_equal(transformed.positions, expected.transform(features))
        assert fitted.seconds > 0 and transformed.seconds > 0
        assert service.poll() == []


def test_positions_are_finite_and_say_whose_they_are(start: Start, collect: Collect) -> None:
    real, features = clusters(60), clusters(20, seed=1)
    real[5], features[0] = np.nan, np.inf
    service = start(_QUICK)
    service.submit_fit(real)
    service.submit_transform(1, features)
    fitted, transformed = collect(service, 2)
    assert isinstance(fitted, Fitted) and isinstance(transformed, Transformed)
    for event, lost in ((fitted, 5), (transformed, 0)):
        assert np.isfinite(event.positions).all()
        assert len(event.positions) == len(event.rows)
        assert lost not in event.rows
        assert "not finite" in event.notice
    service.submit_transform(2, np.full((4, 16), np.nan))
    (nowhere,) = collect(service, 1)
    assert isinstance(nowhere, Transformed)
    assert nowhere.positions.shape == (0, 2)


def test_newest_request_wins_and_buffers_may_be_reused(start: Start, collect: Collect) -> None:
    service = start(_QUICK)
    buffer = clusters(20, seed=1)
    for tag in range(4):
        service.submit_transform(tag, buffer)
    buffer[:] = np.nan
    service.submit_fit(clusters(60))
    events = collect(service, 5)
    assert [event.tag for event in events if isinstance(event, Dropped)] == [0, 1, 2]
    newest = events[-1]
    assert isinstance(newest, Transformed)
    assert newest.tag == 3 and len(newest.rows) == 20


def test_an_unfitting_request_is_lost_alone(start: Start, collect: Collect) -> None:
    service = start(_QUICK)
    service.submit_fit(clusters(60))
    collect(service, 1)
    for tag, features in enumerate((np.zeros((3, 8)), np.zeros(3), "features")):
        service.submit_transform(tag, features)
        (failed,) = collect(service, 1)
        assert isinstance(failed, Failed)
        assert failed.tag == tag and not failed.final
    service.submit_transform(3, clusters(2))
    assert isinstance(collect(service, 1)[0], Transformed)


@pytest.mark.parametrize("real", [np.full((4, 3), np.nan), np.zeros(3), np.zeros((0, 3))])
def test_an_impossible_fit_is_one_final_failure(
    start: Start, collect: Collect, real: np.ndarray
) -> None:
    service = start(_QUICK)
    service.submit_transform(0, clusters(3))
    service.submit_fit(real)
    (failed,) = collect(service, 1)
    assert isinstance(failed, Failed)
    assert failed.final and failed.tag is None and "Error" not in failed.reason
    service.submit_transform(1, clusters(3))
    time.sleep(0.3)
    assert service.poll() == []


def test_a_second_fit_is_refused(start: Start) -> None:
    service = start()
    service.submit_fit(clusters(20))
    with pytest.raises(RuntimeError, match="fitted once"):
        service.submit_fit(clusters(20))


@pytest.mark.parametrize("busy", [False, True])
def test_a_killed_process_is_one_final_failure(start: Start, collect: Collect, busy: bool) -> None:
    service = start()
    if busy:
        service.submit_fit(clusters(2000))
        time.sleep(0.2)
    (child,) = _children()
    child.kill()
    (failed,) = collect(service, 1)
    assert isinstance(failed, Failed)
    assert failed.final and "signal 9" in failed.reason
    assert _children() == []
    service.submit_transform(1, clusters(3))
    time.sleep(0.6)
    assert service.poll() == []
    service.close()


def test_calls_return_at_once_even_if_the_process_hangs(start: Start) -> None:
    service = start()
    (child,) = _children()
    child.suspend()
    began = time.perf_counter()
    service.submit_fit(clusters(2000, columns=64))
    for tag in range(20):
        service.submit_transform(tag, clusters(256, columns=64))
    assert [event for event in service.poll() if not isinstance(event, Dropped)] == []
    assert time.perf_counter() - began < 0.5
    began = time.perf_counter()
    service.close()
    assert time.perf_counter() - began < 3
    assert _children() == []


def test_close_is_quick_at_any_time_and_leaves_no_process(start: Start) -> None:
    for wait in (0.0, 1.0):
        service = start()
        service.submit_fit(clusters(2000))
        time.sleep(wait)
        began = time.perf_counter()
        service.close()
        service.close()
        assert time.perf_counter() - began < 3
        assert _children() == []
        assert not [event for event in service.poll() if isinstance(event, Failed)]


def test_the_process_is_one_of_low_priority_without_torch(start: Start, collect: Collect) -> None:
    service = start()
    service.submit_fit(clusters(60))
    collect(service, 1)
    (child,) = _children()
    assert child.nice() == psutil.Process().nice() + 10
    assert child.children() == []
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        assert child.environ()[name] == "1"
    # Libraries start threads that sleep; only the main one may work.
    others = [thread for thread in child.threads() if thread.id != child.pid]
    assert sum(thread.user_time for thread in others) < 0.2
    assert not [item.path for item in child.memory_maps() if "/torch/" in item.path]


_PARENT = """
import sys, time
from pathlib import Path
import torch
from adadfq_core.embedding import EmbeddingService, Fitted

if __name__ != "__main__":
    raise SystemExit("imported anew by a child")
service = EmbeddingService(Path(sys.argv[1]))
service.submit_fit(torch.randn(int(sys.argv[2]), 64))
while sys.argv[3] == "wait" and not any(isinstance(e, Fitted) for e in service.poll()):
    time.sleep(0.01)
print(service._process.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(("rows", "mode"), [(60, "wait"), (4000, "busy")])
def test_the_process_ends_soon_after_a_killed_parent(
    tmp_path: Path, rows: int, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parent is a module run by `-m`, as the worker of a run is."""
    (tmp_path / "stub_parent.py").write_text(_PARENT)
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{root}")
    parent = subprocess.Popen(
        [sys.executable, "-m", "stub_parent", str(tmp_path / "cache"), str(rows), mode],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    with parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        time.sleep(2.5 if mode == "busy" else 0)  # into the fit
        assert child.is_running() and _is_embedding(child)
        parent.kill()
        began = time.monotonic()
        while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() - began < 2.5
            time.sleep(0.02)


def test_a_service_that_was_never_used_closes(tmp_path: Path) -> None:
    EmbeddingService(tmp_path).close()
    assert _children() == []
