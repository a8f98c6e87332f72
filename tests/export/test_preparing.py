"""Preparing everything that is taken away, in this process and in one of its own."""

from __future__ import annotations

import time

import pytest
from played_runs import begin, finished_run, small, store_checkpoint, trainer_of

from adadfq_core.errors import InputError
from adadfq_core.export.formats import Format
from adadfq_core.export.jobs import preparation, start_preparing
from adadfq_core.export.preparation import (
    Preparation,
    folder_of,
    read_preparation,
    write_preparation,
)
from adadfq_core.export.preparing import FILES, FLOAT_NAME
from adadfq_core.runs.store import RunStore


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder of runs with a finished one of a few iterations at 5 bits, and its name."""
    root = tmp_path_factory.mktemp("runs")
    return root, *finished_run(root, weight_bits=5, activation_bits=5, evaluation_images=100)


def _until_done(root, run_id, iteration):
    end = time.monotonic() + 240
    seen = []
    while time.monotonic() < end:
        found = preparation(root, run_id, iteration)
        assert found is not None
        if not seen or seen[-1] != found.doing:
            seen.append(found.doing)
        if found.state != "going":
            return found, seen
        time.sleep(0.2)
    raise AssertionError(f"still {seen[-1]}")


@pytest.mark.slow
def test_a_process_prepares_every_file_and_measures_it(run):
    root, run_id, iteration = run
    assert preparation(root, run_id, iteration) is None
    assert start_preparing(root, run_id, iteration + 100) == iteration
    assert start_preparing(root, run_id, iteration) == iteration, "left alone while it is going"
    found, seen = _until_done(root, run_id, iteration)
    assert found.state == "done", found.reason
    assert len(seen) > 5, "its steps can be followed"
    assert found.p is not None and found.q is not None and found.p.images == 100
    assert [(file.format, file.variant) for file in found.files] == list(FILES)
    folder = folder_of(RunStore(root).folder(run_id), iteration)
    for file in found.files:
        assert (folder / file.name).stat().st_size == file.bytes
        assert file.agreement is not None and file.accuracy is not None
        if file.variant == "bit-true":
            assert file.agreement.percent >= 99
            assert file.accuracy.correct == pytest.approx(found.q.correct, abs=1)
    packed, plain = (found.file(format) for format in (Format.PACKED, Format.TORCH))
    assert packed is not None and plain is not None and packed.bytes < plain.bytes
    assert found.cost is not None and found.cost.packed_bytes < found.cost.float_bytes / 5
    assert found.integer is not None and found.integer.holds
    assert {row.name for row in found.latency} == {FLOAT_NAME, "bit-true file", "runtime file"}
    names = {path.name for path in folder.iterdir()}
    assert names == {file.name for file in found.files} | {"preparation.json", "worker.log"}


def test_what_cannot_be_prepared_is_refused(run, tmp_path):
    root, _, _ = run
    with pytest.raises(InputError, match="There is no run"):
        start_preparing(root, "none", 5)
    without = begin(tmp_path, small())
    with pytest.raises(InputError, match="has no checkpoint"):
        start_preparing(tmp_path, without.run_id, 5)


def test_a_damaged_checkpoint_fails_in_a_sentence(tmp_path):
    settings = small()
    trainer = trainer_of(settings)
    writer = begin(tmp_path, settings)
    trainer.play()
    store_checkpoint(writer, trainer)
    (checkpoint,) = writer.checkpoints.iterdir()
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    iteration = start_preparing(tmp_path, writer.run_id, 1)
    found, _ = _until_done(tmp_path, writer.run_id, iteration)
    assert found.state == "failed" and "checksum" in found.reason and "\n" not in found.reason


def test_a_preparation_whose_process_is_gone_has_failed(tmp_path):
    state = Preparation(iteration=3, pid=2**22 + 5, process_started=1.0, updated=time.time())
    write_preparation(tmp_path, state)
    found = read_preparation(tmp_path)
    assert found is not None and found.state == "failed" and found.reason
    # One that has not named its process yet is about to start.
    write_preparation(tmp_path, Preparation(iteration=3, updated=time.time()))
    found = read_preparation(tmp_path)
    assert found is not None and found.state == "going"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"iteration": "x"}'])
def test_an_unreadable_state_counts_as_none(tmp_path, text):
    (tmp_path / "preparation.json").write_text(text)
    assert read_preparation(tmp_path) is None
