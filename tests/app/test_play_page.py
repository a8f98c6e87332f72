"""The Play page's logic, without a browser."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest
from safetensors.torch import save_file
from stored_runs import held_run, stored_run
from streamlit.testing.v1 import AppTest

from adadfq_core import runs
from adadfq_core.presets import preset_settings
from adadfq_core.runs.process import WORKER_MODULE
from adadfq_core.settings_file import to_yaml
from adadfq_core.zoo.registry import find
from app.markdown import plain

MAIN = str(Path(__file__).resolve().parents[2] / "app" / "main.py")


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path))
    return AppTest.from_file(MAIN, default_timeout=60).run()


def _error(page: AppTest) -> str:
    """What the page's first error says, without the escapes that keep it from being Markdown."""
    return page.error[0].value.replace("\\", "")


def _button(page: AppTest, label: str):
    return next(button for button in page.button if button.label == label)


def test_a_fresh_page_offers_to_start_and_nothing_else(page: AppTest) -> None:
    assert not page.exception
    enabled = [button.label for button in page.button if not button.disabled]
    assert enabled == ["Start", "New seed"]


def test_margin_that_is_upside_down_is_refused_in_one_sentence(
    page: AppTest, tmp_path: Path
) -> None:
    page.slider(key="setting_lambda_l").set_value(0.9)
    _button(page, "Start").click().run()
    assert not page.exception
    assert "lambda_l = 0.9 must be below lambda_u = 0.8" in _error(page)
    assert runs.list_runs(tmp_path / "runs") == []


def test_start_makes_a_run_with_the_chosen_settings_and_stop_ends_it(
    page: AppTest, tmp_path: Path
) -> None:
    page.slider(key="setting_weight_bits").set_value(5)
    _button(page, "Start").click().run()
    root = tmp_path / "runs"
    (info,) = runs.list_runs(root)
    try:
        assert not page.exception
        assert info.settings.weight_bits == 5
        assert info.settings.activation_bits == 3
        assert not _has_button(page, "Start") and _button(page, "New seed").disabled
    finally:
        _end(root, info.run_id)


def test_a_second_run_waits_in_the_queue_and_can_leave_it(page: AppTest, tmp_path: Path) -> None:
    page.text_input(key="setting_data").set_value("none").run()
    _button(page, "Start").click().run()
    root = tmp_path / "runs"
    (first,) = runs.list_runs(root)
    try:
        _button(page, "New run").click().run()
        assert not page.exception
        assert "One run goes or waits already" in _captions(page)
        assert not page.slider(key="setting_weight_bits").disabled
        page.slider(key="setting_weight_bits").set_value(5)
        _button(page, "Start").click().run()
        assert not page.exception
        second = next(i for i in runs.list_runs(root) if i.run_id != first.run_id)
        assert (second.status, second.place) == (runs.RunStatus.QUEUED, 1)
        assert second.settings.weight_bits == 5
        assert page.session_state["run_id"] == second.run_id
        assert "queued: 1st in the queue" in " ".join(html.value for html in page.get("html"))
        assert _button(page, "Pause").disabled

        page.slider(key="setting_beta").set_value(0.5).run()
        assert not page.exception and not page.error
        _button(page, "Leave queue").click().run()
        assert not page.exception
        assert runs.info(root, second.run_id).status == runs.RunStatus.STOPPED
        assert not _button(page, "Start").disabled
    finally:
        _end(root, first.run_id)


def test_texts_of_an_imported_run_are_shown_as_they_are(page: AppTest, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    hostile = "![x](http://evil.example/x.png) <b>bold</b>"
    with held_run(root) as writer:
        writer.append(runs.RecordKind.NOTICE, 0, {"text": hostile})
        writer.set_status(runs.RunStatus.FAILED, hostile)
    page.run()
    assert not page.exception
    for element in (page.error[0], page.info[0]):
        assert element.value.startswith(plain(hostile))


def _has_button(page: AppTest, label: str) -> bool:
    return any(button.label == label for button in page.button)


def _end(root: Path, run_id: str) -> None:
    runs.stop(root, run_id)
    _end_all(root)


def _captions(page: AppTest) -> str:
    return " | ".join(caption.value for caption in page.caption)


def test_the_chosen_network_tells_what_it_is_and_where_its_weights_are(page: AppTest) -> None:
    assert "Fashion-MNIST · 1×28×28 · 10 classes · top-1 94.78 % · MIT" in _captions(page)
    page.selectbox(key="setting_network").select("torchvision/resnet18").run()
    assert not page.exception
    assert "ImageNet-1k · 3×224×224 · 1000 classes · top-1 69.76 %" in _captions(page)
    assert "not on this machine yet" in _captions(page)
    assert not _button(page, "Download weights").disabled


def test_what_is_chosen_for_the_network_goes_into_the_run_and_stays_with_the_preset(
    page: AppTest, tmp_path: Path
) -> None:
    page.text_input(key="setting_data").set_value("none")
    page.text_input(key="setting_bit_overrides").set_value("first=8,last=8").run()
    page.selectbox(key="preset").select("paper-cifar").run()
    _button(page, "Start").click().run()
    root = tmp_path / "runs"
    (info,) = runs.list_runs(root)
    try:
        assert not page.exception
        assert (info.settings.data, info.settings.bit_overrides) == ("none", "first=8,last=8")
        assert info.settings.weight_bits == 4
        assert page.selectbox(key="setting_network").disabled
    finally:
        _end(root, info.run_id)


def test_a_bad_override_is_refused_before_anything_starts(page: AppTest, tmp_path: Path) -> None:
    page.text_input(key="setting_bit_overrides").set_value("first").run()
    _button(page, "Start").click().run()
    assert "bit_overrides = 'first' is not allowed" in _error(page)
    assert runs.list_runs(tmp_path / "runs") == []


def _weights_uploader(page: AppTest):
    return next(u for u in page.file_uploader if u.label == "Weights of your own")


def test_a_fitting_upload_becomes_the_weights_and_can_be_given_up(
    page: AppTest, tmp_path: Path
) -> None:
    other = tmp_path / "grey.safetensors"
    save_file(find("fashion-resnet20").build().state_dict(), other)
    _weights_uploader(page).upload(other.name, other.read_bytes()).run()
    assert not page.exception
    assert r"Weights: grey\.safetensors" in _captions(page)  # a name is no Markdown
    stored = Path(page.session_state["setting_weights"])
    assert stored.read_bytes() == other.read_bytes()
    _button(page, "Use the zoo's weights").click().run()
    assert page.session_state["setting_weights"] == ""


def test_an_upload_for_another_architecture_is_refused(page: AppTest, tmp_path: Path) -> None:
    other = tmp_path / "colour.safetensors"
    save_file(find("cifar10-resnet20").build().state_dict(), other)
    _weights_uploader(page).upload(other.name, other.read_bytes()).run()
    assert "colour.safetensors does not hold this network's weights" in _error(page)
    assert page.session_state["setting_weights"] == ""


def _until(page: AppTest, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.1)
    page.run()


def _has_halves(root: Path, run_id: str, count: int) -> bool:
    return len(runs.read(root, run_id, kinds=[runs.RecordKind.HALF]).records) == count


def test_a_paused_run_shows_one_players_move_after_the_other(page: AppTest, tmp_path: Path) -> None:
    page.text_input(key="setting_data").set_value("none").run()
    _button(page, "Start").click().run()
    root = tmp_path / "runs"
    (info,) = runs.list_runs(root)
    try:
        _until(page, lambda: runs.info(root, info.run_id).iteration > 1)
        _button(page, "Pause").click().run()
        _until(page, lambda: runs.info(root, info.run_id).status == runs.RunStatus.PAUSED)
        for count, player in ((1, "G"), (2, "Q")):
            _button(page, "Next move").click().run()
            _until(page, partial(_has_halves, root, info.run_id, count))
            assert not page.exception
            headings = " ".join(markdown.value for markdown in page.markdown)
            assert f"{player}'s move in iteration" in headings
        assert page.selectbox(key="half_move_sample").options
    finally:
        _end(root, info.run_id)


def test_a_what_if_runs_beside_with_the_same_seed(page: AppTest, tmp_path: Path) -> None:
    page.text_input(key="setting_data").set_value("none").run()
    _button(page, "New seed").click().run()
    root = tmp_path / "runs"
    (first,) = runs.list_runs(root)
    assert first.settings.seed == 1
    try:
        page.selectbox(key="what_if").select("GDFQ").run()
        _button(page, "Start beside").click().run()
        assert not page.exception
        second, _ = runs.list_runs(root)
        assert second.settings == first.settings.model_copy(update={"method": "gdfq"})
        assert page.session_state["run_id"] == first.run_id
        assert page.session_state["beside"] == second.run_id
        _button(page, "Show this run alone").click().run()
        assert "beside" not in page.session_state
    finally:
        for info in runs.list_runs(root):
            runs.stop(root, info.run_id)
        _end_all(root)


def _end_all(root: Path) -> None:
    # Reading a run reaps its process, so that none is left to other tests.
    deadline = time.monotonic() + 60
    while any(_plays(process, root) for process in psutil.Process().children()):
        assert time.monotonic() < deadline, "a run that was stopped goes on"
        runs.refresh(root)
        time.sleep(0.1)


def _plays(process: psutil.Process, root: Path) -> bool:
    """Whether a child of this process plays a run of `root`; those of other tests live on."""
    try:
        return {WORKER_MODULE, str(root)} <= set(process.cmdline())
    except psutil.Error:
        return False


def test_an_address_restores_settings_and_names_what_it_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path))
    page = AppTest.from_file(MAIN, default_timeout=60)
    for name, value in {
        "preset": "interactive",
        "s.lambda_l": "0.3",
        "s.seed": "7",
        "s.lr_q": "0.00025",
        "s.network": "os:getcwd",
        "run": "20260101-000000-3w3a-aa",
    }.items():
        page.query_params[name] = value
    page.run()
    assert not page.exception
    assert page.slider(key="setting_lambda_l").value == 0.3
    told = " | ".join(warning.value for warning in page.warning).replace("\\", "")
    assert "never runs" in told and "There is no run '20260101-000000-3w3a-aa'" in told

    page.text_input(key="setting_data").set_value("none").run()
    _button(page, "Start").click().run()
    root = tmp_path / "runs"
    (info,) = runs.list_runs(root)
    try:
        assert not page.exception
        # The rate lies between two of the slider's, the seed has no widget at all.
        assert (info.settings.lambda_l, info.settings.seed) == (0.3, 7)
        assert info.settings.lr_q == 0.00025
        assert info.settings.network == "fashion-resnet20"
        assert page.query_params["run"] == info.run_id
        assert page.query_params["s.seed"] == "7"

        elsewhere = AppTest.from_file(MAIN, default_timeout=60)
        elsewhere.query_params["run"] = info.run_id
        elsewhere.run()
        assert elsewhere.session_state["run_id"] == info.run_id
        assert elsewhere.slider(key="setting_lambda_l").value == 0.3
    finally:
        _end(root, info.run_id)


def test_settings_go_through_a_file_and_back(page: AppTest, tmp_path: Path) -> None:
    wanted = preset_settings("paper-cifar", {"seed": 11, "gamma": 2.0, "epochs": 50})
    loader = next(u for u in page.file_uploader if u.label == "Load")
    loader.upload("mine.yaml", to_yaml(wanted, "paper-cifar").encode()).run()
    assert not page.exception
    assert page.slider(key="setting_gamma").value == 2.0
    page.text_input(key="setting_data").set_value("none").run()
    _button(page, "Start").click().run()
    root = tmp_path / "runs"
    (info,) = runs.list_runs(root)
    try:
        assert info.settings == wanted.model_copy(update={"data": "none"})
    finally:
        _end(root, info.run_id)


def test_a_settings_file_never_runs_code(page: AppTest) -> None:
    loader = next(u for u in page.file_uploader if u.label == "Load")
    loader.upload("theirs.yaml", b"network: os:getcwd\n").run()
    assert "would run code" in _error(page)
    assert page.session_state["setting_network"] == "fashion-resnet20"


def test_a_run_whose_log_lacks_its_network_is_told_of(page: AppTest, tmp_path: Path) -> None:
    page.query_params["run"] = stored_run(tmp_path / "runs")
    page.run()
    assert not page.exception
    assert "does not say which network" in _error(page)
