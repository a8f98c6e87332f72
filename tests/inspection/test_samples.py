from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stored_sheets import CLASSES, change, new_run, sheet, store_sheet

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.inspection.samples import SheetPixels, read_samples
from adadfq_core.runs.history import at
from adadfq_core.runs.recorder import Recorder
from adadfq_core.runs.records import Record, RecordKind
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter
from adadfq_core.settings import RunSettings
from adadfq_core.training.trainer import Trainer
from adadfq_core.zoo.formats import ImageFormat


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def writer(root: Path) -> Iterator[RunWriter]:
    with new_run(root, RunSettings(lambda_l=0.1, lambda_u=0.8)) as writer:
        yield writer


@pytest.fixture
def read_files(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The iterations whose sheets are read from disk, in order."""
    read: list[int] = []
    arrays = RunStore.arrays

    def noting(store: RunStore, record: Record) -> dict[str, np.ndarray]:
        read.append(record.iteration)
        return arrays(store, record)

    monkeypatch.setattr(RunStore, "arrays", noting)
    return read


def file_of(root: Path, run_id: str, iteration: int) -> Path:
    store = RunStore(root)
    record = store.nearest(run_id, RecordKind.IMAGES, iteration)
    assert record is not None and record.iteration == iteration
    return store.path(record)


def test_a_run_without_images_has_an_empty_table(root: Path, writer: RunWriter) -> None:
    samples = read_samples(root, writer.run_id)
    assert len(samples.table) == 0 and samples.notice == ""
    assert len(SheetPixels(root).of(samples, [])) == 0


def test_an_unknown_run_is_named(root: Path) -> None:
    with pytest.raises(InputError, match="There is no run 'nope'"):
        read_samples(root, "nope")


def test_a_growing_run_is_read_once(root: Path, writer: RunWriter, read_files: list[int]) -> None:
    for iteration in (10, 20):
        store_sheet(writer, iteration)
    first = read_samples(root, writer.run_id)
    assert read_files == [10, 20]
    again = read_samples(root, writer.run_id, first)
    assert read_files == [10, 20]
    pd.testing.assert_frame_equal(again.table, first.table)
    store_sheet(writer, 30, sheet(30, n=7))
    grown = read_samples(root, writer.run_id, again)
    assert read_files == [10, 20, 30]
    assert grown.table["iteration"].value_counts(sort=False).to_dict() == {10: 4, 20: 4, 30: 7}
    pd.testing.assert_frame_equal(grown.table, read_samples(root, writer.run_id).table)
    assert len(first.table) == 8


def test_the_table_holds_what_the_sheet_holds(root: Path, writer: RunWriter) -> None:
    store_sheet(writer, 10)
    table, arrays = read_samples(root, writer.run_id).table, sheet(10)
    assert table["class_index"].tolist() == arrays["labels"].tolist()
    assert table["h_prime"].tolist() == arrays["h_prime"].tolist()
    assert table["p_class"].tolist() == arrays["p_logits"].argmax(1).tolist()
    assert table["q_class"].tolist() == arrays["q_logits"].argmax(1).tolist()


def test_regions_follow_the_margin_that_was_in_force(root: Path, writer: RunWriter) -> None:
    h_prime = np.array([0.15, 0.5, 0.75, 0.9], np.float32)
    for iteration in (10, 11, 20, 21):
        store_sheet(writer, iteration, sheet(iteration, h_prime=h_prime))
        if iteration == 10:
            change(writer, 10, lambda_l=0.2)
        elif iteration == 20:
            change(writer, 20, lambda_u=0.7)
    samples = read_samples(root, writer.run_id)
    regions = {
        i: "".join(r[0] for r in part["region"]) for i, part in samples.table.groupby("iteration")
    }
    assert regions == {10: "iiio", 11: "uiio", 20: "uiio", 21: "uioo"}
    for iteration, part in samples.table.groupby("iteration"):
        then = at(root, writer.run_id, int(iteration)).settings
        under, over = h_prime < then.lambda_l, h_prime > then.lambda_u
        assert (part["region"] == "under").tolist() == under.tolist()
        assert (part["region"] == "over").tolist() == over.tolist()


def test_q_loss_follows_the_temperature_that_was_in_force(root: Path, writer: RunWriter) -> None:
    store_sheet(writer, 10, sheet(0))
    change(writer, 10, temperature=5.0)
    store_sheet(writer, 20, sheet(0))
    table = read_samples(root, writer.run_id).table
    before, after = (table[table["iteration"] == i]["loss_q"].to_numpy() for i in (10, 20))
    # Never below -T^2 log C, and near it for a large T.
    assert (before >= -400 * np.log(3) - 1e-3).all() and (before < -380).all()
    assert (after >= -25 * np.log(3) - 1e-3).all() and (after < -10).all()


def test_a_change_after_a_resume_leaves_the_sheets_stored_before_it(
    root: Path, writer: RunWriter
) -> None:
    h_prime = np.full(4, 0.15, np.float32)
    for iteration in (10, 20, 30):
        store_sheet(writer, iteration, sheet(iteration, h_prime=h_prime))
    before = read_samples(root, writer.run_id)
    # Resumed from iteration 10: what is stored up to 30 is not stored again.
    change(writer, 15, lambda_l=0.2)
    store_sheet(writer, 40, sheet(40, h_prime=h_prime))
    grown = read_samples(root, writer.run_id, before)
    assert grown.table["region"].tolist() == ["inside"] * 12 + ["under"] * 4
    pd.testing.assert_frame_equal(grown.table, read_samples(root, writer.run_id).table)


def test_a_change_made_before_the_resume_holds_again_where_it_did(
    root: Path, writer: RunWriter
) -> None:
    h_prime = np.full(4, 0.15, np.float32)
    change(writer, 30, lambda_l=0.05)
    change(writer, 20, lambda_l=0.2)
    for iteration in (25, 35):
        store_sheet(writer, iteration, sheet(iteration, h_prime=h_prime))
    table = read_samples(root, writer.run_id).table
    assert table["region"].tolist() == ["under"] * 4 + ["inside"] * 4


@pytest.mark.parametrize("at_once", [True, False])
def test_a_sheet_stored_again_takes_the_place_of_the_first(
    root: Path, writer: RunWriter, at_once: bool
) -> None:
    """As if a resumed run had stored iterations 20 and 25 anew, the second time with fewer."""
    for iteration in (10, 20, 30):
        store_sheet(writer, iteration)
    known = None if at_once else read_samples(root, writer.run_id)
    pixels = SheetPixels(root)
    if known is not None:
        assert pixels.of(known, [(20, 1)]).max() == 21
    store_sheet(writer, 20, sheet(100, n=2))
    store_sheet(writer, 25)
    samples = read_samples(root, writer.run_id, known)
    table = samples.table
    assert table["iteration"].tolist() == [10] * 4 + [20] * 2 + [25] * 4 + [30] * 4
    assert table.index.tolist() == list(range(14))
    again = table[table["iteration"] == 20]
    assert again["h_prime"].tolist() == sheet(100, n=2)["h_prime"].tolist()
    assert pixels.of(samples, [(20, 1)]).max() == 101
    with pytest.raises(InputError, match="iteration 20 has no place 2; its places are 0 to 1"):
        pixels.of(samples, [(20, 2)])


def test_sheets_that_cannot_be_read_are_left_out_and_named(
    root: Path, writer: RunWriter, read_files: list[int]
) -> None:
    broken = {
        20: sheet(20, classes=5),
        40: sheet(40, labels=np.array([0, 1, 2, 3])),
        50: sheet(50, h_prime=np.zeros(3, np.float32)),
        60: {"pixels": np.zeros((4, 1, 4, 4), np.uint8)},
        70: sheet(70, pixels=np.zeros((3, 1, 4, 4), np.uint8)),
    }
    for iteration in range(10, 90, 10):
        store_sheet(writer, iteration, broken.get(iteration))
    gone, cut = file_of(root, writer.run_id, 10), file_of(root, writer.run_id, 30)
    gone.unlink()
    cut.write_bytes(cut.read_bytes()[:100])
    samples = read_samples(root, writer.run_id)
    assert samples.table["iteration"].unique().tolist() == [80]
    assert samples.notice == (
        "7 of 8 sheets of images could not be read and are left out (of iteration 10, 20, 30, 40, "
        f"50 and 2 more): '{gone}' is missing; it was removed after the run wrote it."
    )
    assert "is damaged" in samples.left_out[30]
    assert all("the logits of 3 classes" in samples.left_out[i] for i in broken)
    with pytest.raises(InputError, match="No images of iteration 20 are stored"):
        SheetPixels(root).of(samples, [(80, 0), (20, 0)])
    read_files.clear()
    store_sheet(writer, 90)
    grown = read_samples(root, writer.run_id, samples)
    assert read_files == [90]
    assert grown.notice.startswith("7 of 9 sheets")


def test_one_sheet_alone_is_named_without_more(root: Path, writer: RunWriter) -> None:
    for iteration in (10, 20):
        store_sheet(writer, iteration)
    file_of(root, writer.run_id, 20).unlink()
    notice = read_samples(root, writer.run_id).notice
    assert notice.startswith("1 of 2 sheets of images could not be read and are left out (of ")
    assert "(of iteration 20): '" in notice


def test_a_damaged_sheet_that_is_stored_again_is_read(root: Path, writer: RunWriter) -> None:
    store_sheet(writer, 10)
    file_of(root, writer.run_id, 10).unlink()
    samples = read_samples(root, writer.run_id)
    assert samples.notice.startswith("1 of 1 sheets")
    store_sheet(writer, 10)
    grown = read_samples(root, writer.run_id, samples)
    assert grown.notice == "" and len(grown.table) == 4


def test_a_sheet_that_is_stored_again_damaged_leaves_its_iteration_out(
    root: Path, writer: RunWriter
) -> None:
    for iteration in (10, 20):
        store_sheet(writer, iteration)
    samples = read_samples(root, writer.run_id)
    store_sheet(writer, 10, sheet(10, classes=2))
    grown = read_samples(root, writer.run_id, samples)
    assert list(grown.sheets) == [20] and list(grown.left_out) == [10]
    assert grown.table.index.tolist() == [0, 1, 2, 3]
    pd.testing.assert_frame_equal(grown.table, read_samples(root, writer.run_id).table)


def test_what_a_training_records_is_read(
    root: Path, writer: RunWriter, tiny_trainer: Callable[..., Trainer]
) -> None:
    """A sheet of a small batch holds all of it, so its means are those of the recorded step."""
    trainer = tiny_trainer(snapshot_every=2)
    images = ImageFormat((1, 8, 8), CLASSES, (0.5,), (0.25,))
    recorder = Recorder(writer, trainer, images, {}, set(), 0.0)
    for _ in range(6):
        recorder.played(trainer.play(), 1.0, {})
    recorder.drain()
    writer.flush()
    samples = read_samples(root, writer.run_id)
    means = samples.table.groupby("iteration")[["h_prime", "loss_ds", "loss_as", "loss_q"]].mean()
    assert means.index.tolist() == [1, 2, 4, 6]
    steps = {
        r.iteration: r.data
        for r in RunStore(root).read(writer.run_id).records
        if "loss_q" in r.data
    }
    for iteration, row in means.iterrows():
        step = steps[iteration]
        expected = [step[name] for name in ("h_prime_mean", "loss_ds", "loss_as", "loss_q")]
        assert row.tolist() == pytest.approx(expected, rel=1e-5, abs=1e-5)
    assert SheetPixels(root).of(samples, [(6, 3)]).shape == (1, 1, 8, 8)


def test_other_runs_do_not_show_through(root: Path, writer: RunWriter) -> None:
    store_sheet(writer, 10)
    with new_run(root) as other:
        store_sheet(other, 15)
        assert read_samples(root, other.run_id).table["iteration"].unique().tolist() == [15]
    assert read_samples(root, writer.run_id).table["iteration"].unique().tolist() == [10]


def test_pixels_come_in_the_order_asked_for(root: Path, writer: RunWriter) -> None:
    for iteration in (10, 20, 30):
        store_sheet(writer, iteration)
    samples = read_samples(root, writer.run_id)
    wanted = [(30, 3), (10, 0), (30, 0), (20, 2), (10, 0)]
    pixels = SheetPixels(root).of(samples, wanted)
    assert pixels.shape == (5, 1, 4, 4) and pixels.dtype == np.uint8
    assert pixels[:, 0, 0, 0].tolist() == [iteration + place for iteration, place in wanted]


def test_pixels_belong_to_who_asked(root: Path, writer: RunWriter) -> None:
    store_sheet(writer, 10)
    samples, pixels = read_samples(root, writer.run_id), SheetPixels(root)
    pixels.of(samples, [(10, 0)])[:] = 255
    assert pixels.of(samples, [(10, 0)]).max() == 10


def test_only_the_sheets_used_last_are_kept(
    root: Path, writer: RunWriter, read_files: list[int]
) -> None:
    for iteration in (10, 20, 30):
        store_sheet(writer, iteration)
    samples, pixels = read_samples(root, writer.run_id), SheetPixels(root, kept=2)
    read_files.clear()
    pixels.of(samples, [(10, 0), (20, 0), (10, 1)])
    assert read_files == [10, 20]
    # 10 is used last, so 30 takes the place of 20.
    for iteration in (10, 30, 10, 20):
        pixels.of(samples, [(iteration, 0)])
    assert read_files == [10, 20, 30, 20]


def test_a_sheet_that_went_after_it_was_read_is_told(root: Path, writer: RunWriter) -> None:
    store_sheet(writer, 10)
    samples = read_samples(root, writer.run_id)
    file_of(root, writer.run_id, 10).unlink()
    with pytest.raises(RunFailed, match="is missing; it was removed after the run wrote it"):
        SheetPixels(root).of(samples, [(10, 0)])
