"""What the Take away page says, draws and offers, without a browser and without a process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stored_runs import held_run, stored_run
from streamlit.testing.v1 import AppTest

from adadfq_core import runs
from adadfq_core.errors import InputError
from adadfq_core.export.accuracy import Accuracy
from adadfq_core.export.description import Images
from adadfq_core.export.preparation import folder_of, read_preparation, write_preparation
from adadfq_core.runs.process import identity
from adadfq_core.runs.records import RecordKind, RunStatus
from adadfq_core.runs.store import RunStore
from adadfq_core.settings import RunSettings
from app.charts.take_away import latency_figure, size_figure
from app.export.run_report import report_bytes
from app.export.usage import eval_command, normalisation, program_code, torch_code
from app.export.words import integer_text, kind_of, missed, missed_text, points_text, size_text
from app.panels.take_away.progress import share_done, strip_html
from tests.app.preparations import COST, INTEGER, LATENCY, file_of, prepared, write_files

MAIN = str(Path(__file__).resolve().parents[2] / "app" / "main.py")


# --- words, code and figures --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("correct", "same", "said"),
    [
        (5000, 10_000, []),
        (5005, 9990, []),
        (4995, 9990, []),
        (5006, 10_000, ["its top-1 is 0.06 points above Q's, more than 0.05"]),
        (4994, 10_000, ["its top-1 is 0.06 points below Q's, more than 0.05"]),
        (5000, 9989, ["it predicts what Q predicts for 99.89 % of the images, below 99.9 %"]),
    ],
)
def test_targets_are_missed_just_beyond_them(correct: int, same: int, said: list[str]) -> None:
    file = file_of(correct=correct, same=same, images=10_000)
    assert missed(file, Accuracy(5000, 10_000)) == said
    assert bool(missed_text(file, Accuracy(5000, 10_000))) == bool(said)


def test_what_was_not_measured_misses_no_target() -> None:
    assert missed(file_of(correct=None), None) == []


def test_every_file_is_told_apart_in_words() -> None:
    words = [kind_of(file) for file in prepared(6).files]
    assert len(set(words)) == len(words) == 5
    assert words[:2] == ["ONNX, bit-true to training", "ONNX, friendly to runtimes"]


@pytest.mark.parametrize(
    ("difference", "text"), [(None, "–"), (0.0, "±0.00"), (-0.25, "−0.25"), (2.575, "+2.58")]
)
def test_differences_have_a_sign(difference: float | None, text: str) -> None:
    assert points_text(difference) == text


@pytest.mark.parametrize(("count", "text"), [(535, "0.5 kB"), (1_234_567, "1.23 MB")])
def test_sizes(count: int, text: str) -> None:
    assert size_text(count) == text


def test_a_dishonest_integer_check_is_told() -> None:
    assert "what was trained is what integer arithmetic computes" in integer_text(INTEGER)
    worse = type(INTEGER)(
        INTEGER.images, INTEGER.end_to_end, INTEGER.end_to_end, INTEGER.agreement, None, None
    )
    assert "a code is 2 away" in integer_text(worse)
    assert "does not compute what was trained" in integer_text(worse)


@pytest.mark.parametrize("library", ["np", "torch"])
def test_the_code_normalises_as_the_network_wants_it(library: str) -> None:
    images = Images(shape=(3, 2, 4), mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6), classes=("a", "b"))
    pixels = torch.randint(
        0, 256, (5, 3, 2, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    names: dict[str, Any] = {"np": np, "torch": torch, "pixels": pixels}
    if library == "np":
        names["pixels"] = pixels.numpy()
    exec(normalisation(images, library), names)
    assert str(names["images"].dtype).endswith("float32")
    expected = images.format().normalise(pixels)
    torch.testing.assert_close(torch.as_tensor(names["images"]), expected)


def test_code_names_its_file_and_a_network_of_ones_own() -> None:
    images = Images(shape=(1, 8, 8), mean=(0.0,), std=(1.0,), classes=("a",))
    code = torch_code("q.safetensors", images, "my.nets:small")
    assert "from my.nets import small\n" in code
    assert "load_quantized('q.safetensors', small())" in code
    assert "load_quantized('q.safetensors')" in torch_code("q.safetensors", images, "resnet")
    assert "torch.export.load('q.pt2')" in program_code("q.pt2", images)
    assert eval_command("a b.onnx", "x y").endswith("eval 'a b.onnx' --data 'x y'")
    assert eval_command("q.onnx", "").endswith("--data DATA")


def test_a_preparation_grows_from_nothing_to_all() -> None:
    whole = prepared(6)
    empty = {"state": "going", "p": None, "q": None, "cost": None, "integer": None, "latency": ()}
    shares = []
    for measured in (True, False):
        known: dict[str, Any] = {**empty, "files": ()}
        steps: list[dict[str, Any]] = [{}, {"cost": COST}]
        if measured:
            steps += [{"p": whole.p}, {"q": whole.q}]
        steps += [{"files": whole.files[: count + 1]} for count in range(5)]
        if measured:
            steps.append({"no_integer": "There is none."})
        grown = []
        for step in (*steps, {"state": "done"}):
            known |= step
            grown.append(share_done(prepared(6, **known), measured))
        assert grown[0] == 0 and grown[-1] == 1
        np.testing.assert_allclose(np.diff(grown), 1 / (len(grown) - 1))
        shares.append(len(grown))
    assert shares == [11, 8]


def test_the_strip_says_what_is_done_and_escapes_it() -> None:
    html = strip_html(prepared(6, state="going", doing="<b>writing</b>"), True)
    assert "&lt;b&gt;writing&lt;/b&gt; · 5 of 5 files" in html
    assert "90.00 %" in html and "88.00 %" in html and "8.2 times" in html
    assert 'class="bar failed"' in strip_html(prepared(6, state="failed"), True)


def test_bars_of_sizes_say_how_many_times_smaller() -> None:
    (bars,) = size_figure(COST).data
    assert list(bars.x) == [4400, 1160, 535]
    assert list(bars.text) == [
        "4.4 kB",
        "1.2 kB, 3.8 times smaller",
        "0.5 kB, 8.2 times smaller",
    ]


def test_latency_has_a_chart_for_each_batch_size() -> None:
    figure = latency_figure(LATENCY)
    assert [(trace.name, trace.xaxis) for trace in figure.data] == [
        (name, axis)
        for axis in ("x", "x2")
        for name in ("float network P", "bit-true file", "runtime file")
    ]
    assert all(list(trace.x) == ["1 thread", "2 threads"] for trace in figure.data)
    slow = figure.data[4]
    assert list(slow.y) == [128, 128]
    np.testing.assert_allclose(slow.error_y.array, 0.2 * 128)
    np.testing.assert_allclose(slow.error_y.arrayminus, 0.1 * 128)
    assert [trace.showlegend for trace in figure.data] == [True] * 3 + [False] * 3
    titles = [annotation.text for annotation in figure.layout.annotations]
    assert titles == ["one image", "64 images at once"]
    left, right = figure.layout.xaxis.domain, figure.layout.xaxis2.domain
    assert left[1] < right[0] and right[1] == pytest.approx(1)


# --- the page -----------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path))
    return tmp_path / "runs"


def open_page(run_id: str | None = None) -> AppTest:
    page = AppTest.from_file(MAIN, default_timeout=60).run()
    if run_id is not None:
        page.query_params["run"] = run_id
    page.switch_page("views/take_away.py").run()
    assert not page.exception
    return page


def told(page: AppTest) -> str:
    elements = (*page.info, *page.warning, *page.error, *page.caption, *page.markdown)
    return " | ".join(element.value for element in elements).replace("\\", "")


def buttons(page: AppTest) -> list[str]:
    return [button.label for button in page.button]


def downloads(page: AppTest) -> list[str]:
    return [each.proto.label for each in page.get("download_button")]


def run_with_checkpoints(root: Path, *iterations: int) -> str:
    """A run with real images that has changed a setting and ended; its id."""
    with held_run(root) as writer:
        data = {"images": 200, "spec": "my photos", "skipped": [], "skipped_count": 0}
        loaded = {"classes": ["shirt", "shoe", "bag"], "coverage": [], "data": data}
        writer.append(RecordKind.NETWORK, 0, loaded)
        writer.append(RecordKind.PARAMETERS, 2, {"changes": {"beta": 0.5}})
        for iteration in iterations:
            path = writer.checkpoints / f"{iteration:08d}.pt"
            path.write_bytes(b"networks")
            writer.append(RecordKind.CHECKPOINT, iteration, {"sha256": ""}, file=path)
        writer.set_status(RunStatus.STOPPED)
    return writer.run_id


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def store_preparation(root: Path, run_id: str, **changes: Any) -> Path:
    folder = folder_of(root / run_id, 6)
    found = prepared(6, **changes)
    write_files(folder, found, run_id)
    write_preparation(folder, found)
    return folder


def test_without_a_run_the_page_says_where_to_start_one(root: Path) -> None:
    assert "There is no run yet: start one on the Play page" in told(open_page())


def test_a_run_without_checkpoint_says_when_there_is_one(root: Path) -> None:
    with held_run(root, RunSettings(checkpoint_every=70)) as writer:
        writer.flush()
        page = open_page()
        assert "iteration 70 stores the first one" in told(page)
        writer.set_status(RunStatus.FAILED, "because")
    page.run()
    assert "This run is failed and has no checkpoint" in told(page)
    assert buttons(page) == [] and downloads(page) == []


def test_a_network_of_ones_own_is_left_to_the_shell(root: Path) -> None:
    run_id = stored_run(root, RunSettings(network="my.nets:small"))
    page = open_page()
    assert "which a page never runs" in told(page)
    command = f"export {run_id} --iteration 6 --format onnx --out {run_id}-6.onnx --own-code"
    assert page.code[0].value == f"python -m adadfq_core {command}"
    assert buttons(page) == []


def test_prepare_starts_a_process_whose_failure_is_told(root: Path) -> None:
    run_id = stored_run(root)
    page = open_page()
    assert buttons(page) == ["Prepare"]
    page.button[0].click().run()
    assert not page.exception
    folder = folder_of(root / run_id, 6)
    begun = read_preparation(folder)
    assert begun is not None and begun.iteration == 6
    # The stored checkpoint is no checkpoint, and its process says so.
    wait_until(lambda: read_preparation(folder).state == "failed")
    page.run()
    assert "Cannot read the checkpoint" in told(page)
    assert buttons(page) == ["Prepare again"]


def test_files_can_be_taken_while_the_rest_is_prepared(root: Path) -> None:
    run_id = stored_run(root)
    own = identity(os.getpid())
    assert own is not None
    store_preparation(
        root,
        run_id,
        state="going",
        files=prepared(6).files[:1],
        doing="writing",
        latency=(),
        integer=None,
        pid=own.pid,
        process_started=own.started,
    )
    page = open_page()
    assert buttons(page) == [] and downloads(page) == ["Download"]
    assert any("1 of 5 files" in html.value for html in page.get("html"))
    assert "The report can be downloaded once everything is prepared." in told(page)


def test_what_was_prepared_is_shown_with_its_code_and_report(root: Path) -> None:
    run_id = run_with_checkpoints(root, 6)
    folder = store_preparation(root, run_id)
    page = open_page()
    words = told(page)
    assert downloads(page) == ["Download"] * 5 + ["Download the report"]
    assert "ONNX, friendly to runtimes computes other numbers than Q" in words
    assert "bit-true to training is not" not in words
    assert words.count(":material/close: differs") == 1
    assert words.count(":material/check: yes") == 4
    assert "Top-1 **85.00 %**, −3.00 points against Q" in words
    assert "no kernel here computes below 8 bits" in words.replace("\\", "")
    codes = [code.value for code in page.code]
    assert "onnxruntime.InferenceSession('runtime-onnx.onnx')" in codes[0]
    assert "mean = np.array([[[0.25]]], np.float32)" in codes[0]
    assert codes[-1] == (
        "python -m adadfq_core eval bit-true-packed.safetensors --data 'my photos'"
    )
    found = read_preparation(folder)
    assert found is not None
    document = report_bytes(root, run_id, found, folder).decode()
    assert "Files and checks" in document and "beta = 0.5" in document

    (folder / "bit-true-packed.safetensors").unlink()
    with pytest.raises(InputError, match="There is no file"):
        report_bytes(root, run_id, found, folder)
    page.run()
    assert not page.exception
    assert [each.proto.disabled for each in page.get("download_button")].count(True) == 1


def test_without_real_images_one_sentence_stands_for_the_figures(root: Path) -> None:
    run_id = stored_run(root)
    store_preparation(root, run_id, measured=False)
    page = open_page()
    assert "The run has no real images" in told(page)
    assert "not measured" in told(page) and "points against Q" not in told(page)


def test_the_address_names_the_run_and_a_bad_one_is_told(root: Path) -> None:
    older, newest = stored_run(root), stored_run(root)
    page = open_page(older)
    assert page.selectbox(key="take_run").value == older
    page.selectbox(key="take_run").select(newest).run()
    assert page.query_params["run"] == newest
    page.query_params["run"] = older
    page.run()
    assert page.selectbox(key="take_run").value == older
    elsewhere = open_page("20200101-000000-3w3a-zz")
    assert "is not on this machine" in told(elsewhere)
    assert elsewhere.selectbox(key="take_run").value == newest
    evil = open_page("<b>x</b>")
    assert "is not the name of a run" in told(evil)


def test_the_newest_checkpoint_is_taken_unless_another_is_chosen(root: Path) -> None:
    run_id = run_with_checkpoints(root, 6, 9)
    store_preparation(root, run_id)
    page = open_page()
    box = page.selectbox(key=f"take_checkpoint_{run_id}")
    assert box.value == 9 and box.options == ["iteration 9", "iteration 6"]
    assert buttons(page) == ["Prepare"]
    box.select(6).run()
    assert "Download the report" in downloads(page)
    # The run goes on and drops it.
    store = RunStore(root)
    store.forget(run_id, runs.read(root, run_id, kinds=[RecordKind.CHECKPOINT]).records[:1])
    page.run()
    assert page.selectbox(key=f"take_checkpoint_{run_id}").value == 9
