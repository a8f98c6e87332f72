"""Event files, read back with TensorBoard's own reader."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from logged_runs import PIXELS, info, log_accuracy, log_sheet, log_step, new_run
from PIL import Image

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.runs.records import RecordKind, RunStatus
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter
from adadfq_core.sinks import follow, tensorboard_sink

pytest.importorskip("tensorboard", reason="needs the extra package tensorboard")

from tensorboard import data_compat
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS
from tensorboard.util import tensor_util

from adadfq_core.sinks.event_file import STATE_NAME, EventFile
from adadfq_core.sinks.summaries import histogram_summary
from adadfq_core.sinks.tensorboard import TensorBoardSink, binned


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "tensorboard"


def sink_of(root: Path, writer: RunWriter, out: Path) -> TensorBoardSink:
    return tensorboard_sink(root, info(writer), out)


def write(root: Path, writer: RunWriter, out: Path) -> EventAccumulator:
    """Give what is new in the run to a new sink; all that the folder then holds."""
    sink = sink_of(root, writer, out)
    follow(root, {writer.run_id: sink}, until_end=False)
    return read_back(sink.folder)


def read_back(folder: Path) -> EventAccumulator:
    everything = dict.fromkeys(("scalars", "images", "histograms", "tensors"), 0)
    return EventAccumulator(str(folder), size_guidance=everything).Reload()


def told(events: EventAccumulator, tag: str) -> list[str]:
    return [event.tensor_proto.string_val[0].decode() for event in events.Tensors(tag)]


def steps(events: EventAccumulator, tag: str = "loss/L_G") -> list[int]:
    return [event.step for event in events.Scalars(tag)]


def test_numbers_stand_at_their_iteration_and_time(
    root: Path, writer: RunWriter, out: Path
) -> None:
    log_step(writer, 1, loss_g=2.5)
    log_step(writer, 2, loss_g=1.25, h_prime_mean=0.75)
    log_accuracy(writer, 2, "p", 93.5)
    writer.append(RecordKind.VALUE, 2, {"before": 0.5})
    events = write(root, writer, out)
    created = info(writer).created
    assert [(e.step, e.value, e.wall_time) for e in events.Scalars("loss/L_G")] == [
        (1, 2.5, created + 1),
        (2, 1.25, created + 2),
    ]
    assert [(e.step, e.value) for e in events.Scalars("h_prime/mean")] == [(1, 0.5), (2, 0.75)]
    for tag in ("accuracy/top1_p", "game_value/before"):
        assert [e.wall_time for e in events.Scalars(tag)] == [created + 2.5], tag


def test_a_loss_that_diverged_is_shown(root: Path, writer: RunWriter, out: Path) -> None:
    log_step(writer, 1, loss_g=float("nan"), loss_q=float("-inf"), h_prime=[float("nan"), 0.5])
    log_step(writer, 2)
    events = write(root, writer, out)
    assert np.isnan(events.Scalars("loss/L_G")[0].value)
    assert events.Scalars("loss/L_Q")[0].value == float("-inf")
    assert events.Histograms("h_prime")[0].histogram_value.num == 5, "of one sample H' is unknown"


@pytest.mark.parametrize(("h_prime", "bin"), [(0.0, 0), (0.0499, 0), (0.05, 1), (1.0, 19)])
def test_bins_cover_the_unit_interval(h_prime: float, bin: int) -> None:
    counts = binned([h_prime], [0] * 20)
    assert (counts[bin], sum(counts)) == (1, 1)


def test_a_histogram_holds_all_samples_since_the_last(
    root: Path, writer: RunWriter, out: Path
) -> None:
    """Also of those that an earlier process took. One is due at every second iteration."""
    log_step(writer, 1, h_prime=[0.0, 0.26])
    write(root, writer, out)
    log_step(writer, 2, h_prime=[0.27, 1.0])
    log_step(writer, 3, h_prime=[0.5, 0.5])
    write(root, writer, out)
    log_step(writer, 4, h_prime=[0.51, 0.9])
    events = write(root, writer, out)
    first, second = events.Histograms("h_prime")
    counted = {
        event.step: dict(
            zip(event.histogram_value.bucket_limit, event.histogram_value.bucket, strict=True)
        )
        for event in (first, second)
    }
    filled = {
        step: {round(limit, 2): n for limit, n in bins.items() if n}
        for step, bins in counted.items()
    }
    assert filled == {2: {0.05: 1, 0.3: 2, 1.0: 1}, 4: {0.55: 3, 0.95: 1}}
    assert first.histogram_value.num == 4
    # The middles of the bins stand for the samples.
    assert first.histogram_value.sum == pytest.approx(0.025 + 2 * 0.275 + 0.975)


@pytest.mark.parametrize(
    ("filled", "drawn"),
    [
        ({10: 3, 12: 1}, [(0.5, 0.55, 3), (0.55, 0.6, 0), (0.6, 0.65, 1)]),
        ({0: 2}, [(0.0, 0.05, 2)]),
        ({19: 2}, [(0.95, 1.0, 2)]),
        ({}, []),
    ],
)
def test_bins_are_drawn_where_they_are(
    filled: dict[int, int], drawn: list[tuple[float, float, int]]
) -> None:
    """TensorBoard converts what it reads before it draws it."""
    counts = [filled.get(bin, 0) for bin in range(20)]
    (value,) = histogram_summary(counts).value
    bars = tensor_util.make_ndarray(data_compat.migrate_value(value).tensor)
    assert bars.tolist() == [pytest.approx(bar) for bar in drawn]


def test_a_sheet_is_one_picture_of_its_images(root: Path, writer: RunWriter, out: Path) -> None:
    log_sheet(writer, 4)
    (event,) = write(root, writer, out).Images("images/sheet")
    assert event.step == 4
    picture = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))
    assert picture.shape == (event.height, event.width)
    assert (picture[:64:16, :64:16] == PIXELS[0, 0]).all(), "each pixel is a square of 16"


def test_a_sheet_whose_file_is_gone_is_told(root: Path, writer: RunWriter, out: Path) -> None:
    log_sheet(writer, 1)
    log_step(writer, 2)
    writer.flush()
    sheet = RunStore(root).latest(writer.run_id, RecordKind.IMAGES)
    assert sheet is not None
    RunStore(root).path(sheet).unlink()
    events = write(root, writer, out)
    assert steps(events) == [2]
    assert events.Tags()["images"] == []
    assert "The sheet of images is left out" in told(events, "notices")[0]


def test_sentences_and_settings_are_texts(root: Path, writer: RunWriter, out: Path) -> None:
    writer.append(RecordKind.NOTICE, 0, {"text": "No real images were given."})
    writer.append(RecordKind.PARAMETERS, 3, {"changes": {"lambda_l": 0.25}})
    writer.set_status(RunStatus.FAILED, "It diverged.")
    events = write(root, writer, out)
    assert told(events, "notices") == ["No real images were given."]
    assert told(events, "changes") == ["lambda_l = 0.25"]
    assert told(events, "status") == ["starting", "failed: It diverged."]
    (settings,) = told(events, "settings")
    assert "    lambda_u: 0.8\n" in settings
    (about,) = told(events, "about")
    assert "near 1 P and Q agree" in about and "near 0 they disagree" in about
    assert [(e.step, e.value) for e in events.Scalars("setting/lambda_l")] == [(3, 0.25)]


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (RunStatus.FINISHED, STATUS_SUCCESS),
        (RunStatus.FAILED, STATUS_FAILURE),
        (RunStatus.STOPPED, None),
        (RunStatus.PAUSED, None),
    ],
)
def test_a_run_is_a_session_of_the_hparams_plugin(
    root: Path, out: Path, status: RunStatus, shown: int | None
) -> None:
    with new_run(root, lambda_l=0.3, seed=5) as writer:
        log_step(writer, 1)
        writer.set_status(status)
        write(root, writer, out)
        events = write(root, writer, out)
        run_id, created = writer.run_id, RunStore(root).info(writer.run_id).created

    def content(tag: str) -> Any:
        return events.SummaryMetadata(tag).plugin_data.content

    start = hparams.parse_session_start_info_plugin_data(content(hparams.SESSION_START_INFO_TAG))
    assert (start.group_name, start.start_time_secs) == (run_id, created)
    assert start.hparams["lambda_l"].number_value == 0.3
    assert start.hparams["seed"].number_value == 5
    assert start.hparams["method"].string_value == "adadfq"
    assert start.hparams["class_shift"].WhichOneof("kind") == "bool_value"
    tags = events.Tags()["tensors"]
    assert (hparams.SESSION_END_INFO_TAG in tags) == (shown is not None)
    if shown is not None:
        end = hparams.parse_session_end_info_plugin_data(content(hparams.SESSION_END_INFO_TAG))
        assert end.status == shown
        assert len(events.Tensors(hparams.SESSION_END_INFO_TAG)) == 1


def test_what_was_written_is_not_written_again(root: Path, writer: RunWriter, out: Path) -> None:
    sink = sink_of(root, writer, out)
    for iteration in (1, 2, 3):
        log_step(writer, iteration)
        writer.flush()
        follow(root, {writer.run_id: sink}, until_end=False)
    assert steps(read_back(sink.folder)) == [1, 2, 3]
    log_step(writer, 4)
    for _ in range(2):
        assert steps(write(root, writer, out)) == [1, 2, 3, 4], "also by a new process"
    assert len(list(sink.folder.glob("*tfevents*"))) == 1


@pytest.mark.parametrize("died", ["within an event", "before the state was kept"])
def test_what_a_killed_process_left_is_cut_off(
    root: Path, writer: RunWriter, out: Path, died: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_step(writer, 1)
    write(root, writer, out)
    log_step(writer, 2)
    sink = sink_of(root, writer, out)
    if died == "within an event":
        (path,) = sink.folder.glob("*tfevents*")
        with path.open("ab") as handle:
            handle.write(b"half an event")
    else:
        with monkeypatch.context() as patched:
            patched.setattr(EventFile, "commit", lambda *_: (_ for _ in ()).throw(SystemExit))
            with pytest.raises(SystemExit):
                follow(root, {writer.run_id: sink}, until_end=False)
    assert steps(write(root, writer, out)) == [1, 2]


@pytest.mark.parametrize("failing", ["os.fsync", "pathlib.Path.replace"])
def test_a_failed_write_leaves_nothing_of_itself(
    root: Path, writer: RunWriter, out: Path, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_step(writer, 1)
    sink = sink_of(root, writer, out)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(failing, fail)
        with pytest.raises(RunFailed, match="No space left on device"):
            follow(root, {writer.run_id: sink}, until_end=False)
    follow(root, {writer.run_id: sink}, until_end=False)
    assert steps(read_back(sink.folder)) == [1]


def test_two_processes_do_not_mix(root: Path, writer: RunWriter, out: Path) -> None:
    sinks = [sink_of(root, writer, out) for _ in range(2)]
    log_step(writer, 1)
    writer.flush()
    follow(root, {writer.run_id: sinks[0]}, until_end=False)
    log_step(writer, 2)
    writer.flush()
    follow(root, {writer.run_id: sinks[1]}, until_end=False)
    with pytest.raises(RunFailed, match="Another process writes"):
        follow(root, {writer.run_id: sinks[0]}, until_end=False)
    assert steps(read_back(sinks[0].folder)) == [1, 2]


@pytest.mark.parametrize("state", ["{", "[]", "{}", '{"size": 999999, "state": {}}'])
def test_a_damaged_folder_is_told(root: Path, writer: RunWriter, out: Path, state: str) -> None:
    log_step(writer, 1)
    write(root, writer, out)
    (out / writer.run_id / STATE_NAME).write_text(state)
    with pytest.raises(InputError, match="damaged or not complete; delete that folder"):
        sink_of(root, writer, out)


def test_an_event_file_that_was_deleted_is_told(root: Path, writer: RunWriter, out: Path) -> None:
    log_step(writer, 1)
    write(root, writer, out)
    (path,) = (out / writer.run_id).glob("*tfevents*")
    path.unlink()
    with pytest.raises(InputError, match="damaged or not complete"):
        sink_of(root, writer, out)


def test_a_file_in_place_of_the_folder_is_told(root: Path, writer: RunWriter, out: Path) -> None:
    out.write_text("")
    with pytest.raises(InputError, match="choose one that you may write to"):
        sink_of(root, writer, out)


def test_runs_have_folders_of_their_own(root: Path, writer: RunWriter, out: Path) -> None:
    with new_run(root) as other:
        sinks = {w.run_id: sink_of(root, w, out) for w in (writer, other)}
        log_step(writer, 1)
        log_step(other, 2)
        for each in (writer, other):
            each.flush()
        follow(root, sinks, until_end=False)
        assert steps(read_back(out / writer.run_id)) == [1]
        assert steps(read_back(out / other.run_id)) == [2]
