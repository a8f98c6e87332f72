from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adadfq_core.errors import InputError
from adadfq_core.game.step import SCALARS
from adadfq_core.presets import preset_settings
from adadfq_core.runs.records import RecordKind
from adadfq_core.runs.retention import checkpoints_to_drop, prune
from adadfq_core.runs.store import DATABASE, RunStore
from adadfq_core.runs.writer import RunWriter
from adadfq_core.settings import RunSettings

INTERACTIVE = preset_settings("interactive")
ITERATIONS_PER_HOUR = 14 * 3600
# Measured on the interactive preset: G, both optimizers, Q and the average of its weights.
CHECKPOINT_BYTES = 8.0e6


def kept(iterations: Sequence[int], **how: int) -> list[int]:
    dropped = set(checkpoints_to_drop(iterations, **how))
    return [iteration for iteration in sorted(set(iterations)) if iteration not in dropped]


def grown(iterations: Sequence[int], **how: int) -> list[int]:
    """What is left when a run prunes after every one of its checkpoints."""
    present: list[int] = []
    for iteration in iterations:
        present = kept([*present, iteration], **how)
    return present


@pytest.mark.parametrize(
    ("iterations", "left"),
    [
        ([], []),
        ([5], [5]),
        ([100, 200, 300], [100, 200, 300]),
        (range(100, 1001, 100), [100, 300, 600, 800, 900, 1000]),
        (range(100, 1501, 100), [100, 300, 600, 800, 1100, 1300, 1400, 1500]),
        (range(100, 2001, 100), [100, 600, 1100, 1600, 1900, 2000]),
        ([300, 100, 200, 100], [100, 200, 300]),
    ],
)
def test_what_stays(iterations: Sequence[int], left: list[int]) -> None:
    assert kept(iterations) == left


def test_the_first_after_warm_up_stays_if_it_is_told() -> None:
    many = range(100, 50_001, 100)
    assert 300 not in kept(many)
    assert sorted({*kept(many), 300}) == kept(many, warmup=250)
    assert kept(many, warmup=99_999) == kept(many)


@pytest.mark.parametrize(("keep_last", "thinned"), [(0, 8), (2, 0)])
def test_the_newest_cannot_be_given_up(keep_last: int, thinned: int) -> None:
    with pytest.raises(InputError, match=f"keep_last = {keep_last} with thinned = {thinned} is"):
        checkpoints_to_drop([1, 2, 3], keep_last, thinned)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=120),
    st.integers(1, 4),
    st.integers(1, 12),
    st.integers(0, 5000),
)
def test_growing_keeps_the_newest_and_few_and_what_one_pruning_would(
    gaps: list[int], keep_last: int, thinned: int, warmup: int
) -> None:
    iterations = [int(i) for i in np.cumsum(gaps)]
    present: list[int] = []
    for count, iteration in enumerate(iterations, 1):
        present = kept([*present, iteration], keep_last=keep_last, thinned=thinned, warmup=warmup)
        assert present[-keep_last:] == iterations[max(0, count - keep_last) : count]
        assert len(present) <= keep_last + thinned + 1
    assert present == kept(iterations, keep_last=keep_last, thinned=thinned, warmup=warmup)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 1000), st.integers(20, 400), st.integers(4, 12))
def test_every_earlier_moment_has_a_checkpoint_near_before_it(
    every: int, count: int, thinned: int
) -> None:
    left = grown(range(every, every * count + 1, every), keep_last=1, thinned=thinned)
    gaps = np.diff(left[:-1])
    assert len(left) > thinned / 2
    assert left[0] == every
    # Whatever the run's length, a rung is half to twice the length that exact spacing would have.
    exact = every * count / thinned
    assert gaps.max() <= 2 * exact * thinned / (thinned - 1) + every
    assert gaps.max() <= 2 * gaps.min() + every
    assert left[-1] - left[-2] <= gaps.max() + every


@pytest.fixture
def writer(store: RunStore) -> Iterator[RunWriter]:
    run_id = store.create_run(RunSettings(epochs=100, iterations_per_epoch=50, warmup_epochs=6))
    with RunWriter(store.root, run_id) as writer:
        yield writer


def checkpoint(writer: RunWriter, iteration: int) -> Path:
    path = writer.checkpoints / f"{iteration:08d}.pt"
    path.write_bytes(b"state of %d" % iteration)
    writer.append(RecordKind.CHECKPOINT, iteration, {"sha256": ""}, file=path)
    writer.flush()
    return path


def offered(store: RunStore, run_id: str) -> list[int]:
    return [r.iteration for r in store.read(run_id, kinds=[RecordKind.CHECKPOINT]).records]


def files(writer: RunWriter) -> list[str]:
    return sorted(path.name for path in writer.checkpoints.iterdir())


def test_pruning_removes_rows_and_files_alike(store: RunStore, writer: RunWriter) -> None:
    run_id = writer.run_id
    assert prune(store, run_id) == []
    dropped = []
    for iteration in range(100, 5001, 100):
        newest = checkpoint(writer, iteration)
        dropped += prune(store, run_id)
        found = store.latest(run_id, RecordKind.CHECKPOINT)
        assert found is not None and store.path(found) == newest and newest.is_file()
    left = offered(store, run_id)
    assert left == kept(range(100, 5001, 100), warmup=300)
    assert 300 in left and left[-2:] == [4900, 5000]
    assert files(writer) == [f"{iteration:08d}.pt" for iteration in left]
    assert sorted([*dropped, *left]) == list(range(100, 5001, 100))
    assert prune(store, run_id) == []


def test_a_crash_while_deleting_leaves_no_row_without_its_file(
    store: RunStore, writer: RunWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for iteration in range(100, 3001, 100):
        checkpoint(writer, iteration)

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "unlink", crash)
        prune(store, writer.run_id)

    names = {f"{iteration:08d}.pt" for iteration in offered(store, writer.run_id)}
    assert names < set(files(writer))
    prune(store, writer.run_id)
    assert set(files(writer)) == names


def test_what_a_dead_process_left_goes_and_what_is_being_written_stays(
    store: RunStore, writer: RunWriter
) -> None:
    for iteration in (100, 300):
        checkpoint(writer, iteration)
    for name in ("00000200.pt", ".00000150.pt.77.tmp", "00000400.pt", ".00000500.pt.78.tmp"):
        (writer.checkpoints / name).write_bytes(b"not logged")
    (writer.checkpoints / "notes.txt").write_text("mine")
    prune(store, writer.run_id)
    assert files(writer) == [
        ".00000500.pt.78.tmp",
        "00000100.pt",
        "00000300.pt",
        "00000400.pt",
        "notes.txt",
    ]


def test_a_file_that_is_held_open_elsewhere_goes_the_next_time(
    store: RunStore, writer: RunWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for iteration in range(100, 2001, 100):
        checkpoint(writer, iteration)

    def held(*_: object, **__: object) -> None:
        raise PermissionError("in use")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", held)
        assert prune(store, writer.run_id)
    prune(store, writer.run_id)
    assert len(files(writer)) == len(offered(store, writer.run_id))


def test_two_rows_of_one_file_keep_it(store: RunStore, writer: RunWriter) -> None:
    """A run that is stopped right after a checkpoint writes the same one again."""
    for iteration in range(100, 2001, 100):
        checkpoint(writer, iteration)
        path = checkpoint(writer, iteration)
        prune(store, writer.run_id)
        assert path.is_file()
    assert sorted(2 * [int(name[:8]) for name in files(writer)]) == offered(store, writer.run_id)


def play_interactive(writer: RunWriter, iterations: int) -> None:
    """Write what the interactive preset stores, checkpoints left out."""
    random = np.random.default_rng(0)
    batch, classes = INTERACTIVE.batch, 10
    for iteration in range(1, iterations + 1):
        if iteration % INTERACTIVE.snapshot_every == 0:
            sheet = {
                "pixels": random.integers(0, 256, (batch, 1, 28, 28), np.uint8),
                "labels": random.integers(0, classes, batch),
                "h_prime": random.random(batch, np.float32),
                "p_logits": random.standard_normal((batch, classes), np.float32),
                "q_logits": random.standard_normal((batch, classes), np.float32),
            }
            writer.append(RecordKind.IMAGES, iteration, {}, sheet)
        data = dict(zip(SCALARS, (random.random(len(SCALARS)) * 10).tolist(), strict=True))
        data |= {"ms": float(random.random() * 100), "seconds": iteration / 14}
        data |= {"lr_g": random.random() / 1e3, "lr_q": random.random() / 1e4}
        data |= {"h_prime": [round(h, 4) for h in random.random(batch).tolist()]}
        writer.append(RecordKind.STEP, iteration, data)
        if iteration % INTERACTIVE.embed_every == 0:
            placed = {
                "positions": random.random((256, 2), np.float32),
                "labels": random.integers(0, classes, 256),
                "adaptability": random.random(256, np.float32),
            }
            writer.append(RecordKind.EMBEDDING, iteration, {"source": "synthetic"}, placed)
        if iteration % INTERACTIVE.evaluate_every == 0:
            measured = {"network": "q", "top1": 91.23, "seconds": iteration / 14}
            writer.append(RecordKind.EVALUATION, iteration, measured)


def bytes_on_disk(files: Iterator[Path]) -> int:
    """Of blocks of 4 KiB, as most file systems give them out."""
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in files)


def bytes_per_hour(root: Path, iterations: int) -> dict[str, float]:
    """What an hour of the interactive preset stores beside checkpoints, from some `iterations`."""
    store = RunStore(root)
    empty = (root / DATABASE).stat().st_size
    run_id = store.create_run(INTERACTIVE)
    with RunWriter(root, run_id) as writer:
        play_interactive(writer, iterations)
    scale = ITERATIONS_PER_HOUR / iterations
    return {
        "database": ((root / DATABASE).stat().st_size - empty) * scale,
        "arrays": bytes_on_disk(store.folder(run_id).glob("arrays/*")) * scale,
    }


def test_an_hour_of_the_interactive_preset_stays_within_its_budget(root: Path) -> None:
    records = sum(bytes_per_hour(root, 500).values())
    peak, checkpoints = 0.0, []
    every = INTERACTIVE.checkpoint_every
    for iteration in range(every, ITERATIONS_PER_HOUR + 1, every):
        checkpoints = kept([*checkpoints, iteration], warmup=INTERACTIVE.warmup_iterations)
        stored = records * iteration / ITERATIONS_PER_HOUR + len(checkpoints) * CHECKPOINT_BYTES
        peak = max(peak, stored)
    assert 100e6 < records < peak < 200e6
