from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from adadfq_core.runs.recorder import SHEET_BYTES, SHEET_IMAGES, Recorder, sheet_samples
from adadfq_core.runs.records import RecordKind
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter
from adadfq_core.training.trainer import Trainer
from adadfq_core.zoo.formats import ImageFormat


def test_a_small_batch_is_kept_whole_and_sorted_by_class() -> None:
    labels = torch.tensor([2, 0, 1, 0])
    assert sheet_samples(labels, (1, 28, 28)).tolist() == [1, 3, 2, 0]


def test_of_a_large_batch_every_class_is_kept() -> None:
    labels = torch.arange(1000) % 10
    kept = sheet_samples(labels, (3, 32, 32))
    assert len(kept) == len(set(kept.tolist())) == SHEET_IMAGES
    assert set(labels[kept].tolist()) == set(range(10))
    assert labels[kept].tolist() == sorted(labels[kept].tolist())


def test_of_large_images_a_few_megabytes_are_kept() -> None:
    labels = torch.arange(64)
    kept = sheet_samples(labels, (3, 224, 224))
    assert 1 < len(kept) < 64 and len(kept) * 3 * 224 * 224 <= SHEET_BYTES
    assert len(sheet_samples(labels, (3, 4096, 4096))) == 1


@pytest.mark.parametrize(("already", "written"), [({}, [1, 2, 3]), ({RecordKind.VALUE: 2}, [3])])
def test_the_value_is_written_with_its_iteration_and_never_twice(
    store: RunStore,
    tiny_trainer: Callable[..., Trainer],
    monkeypatch: pytest.MonkeyPatch,
    already: dict[RecordKind, int],
    written: list[int],
) -> None:
    trainer = tiny_trainer()
    images = ImageFormat((1, 8, 8), ("a", "b", "c"), (0.5,), (0.25,))
    monkeypatch.setattr("adadfq_core.runs.recorder.DRAIN_SECONDS", 1000)
    with RunWriter(store.root, store.create_run(trainer.settings)) as writer:
        recorder = Recorder(writer, trainer, images, already, set(), 0.0)

        def told() -> list[tuple[int, dict[str, float]]]:
            writer.flush()
            records = store.read(writer.run_id, kinds=[RecordKind.VALUE]).records
            return [(record.iteration, record.data) for record in records]

        for iteration in (1, 2, 3):
            number = torch.tensor(iteration / 4)
            outcome = trainer.play()
            recorder.played(outcome, 1.0, {"before": number, "after_g": number / 2})
        recorder.played(trainer.play(), 1.0, {})
        assert all(iteration == 1 for iteration, _ in told()), "the rest waits on the device"
        recorder.drain()
        assert told() == [(i, {"before": i / 4, "after_g": i / 8}) for i in written]
