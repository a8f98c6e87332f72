"""The Inspect page's logic, without a browser and without the process that looks at networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from silent_inspection import refuse
from streamlit.testing.v1 import AppTest

from adadfq_core.runs.records import RecordKind, RunStatus
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter
from adadfq_core.settings import RunSettings

MAIN = str(Path(__file__).resolve().parents[2] / "app" / "main.py")
CLASSES = ["bag", "boot", "coat"]


def sheet(n: int, first: int) -> dict[str, np.ndarray]:
    """Images `first`, `first + 1`, ... as grey levels; H' falls from 1 to 0 over the sheet."""
    p = np.tile(np.array([4.0, 0.0, -4.0], np.float32), (n, 1))
    q = p.copy()
    q[::2] = q[::2, ::-1]
    levels = (first + np.arange(n)).astype(np.uint8)
    return {
        "pixels": np.broadcast_to(levels[:, None, None, None], (n, 1, 4, 4)).copy(),
        "labels": np.arange(n) % 3,
        "h_prime": np.linspace(1, 0, n, dtype=np.float32),
        "p_logits": p,
        "q_logits": q,
    }


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path))
    refuse(monkeypatch, lambda request: f"No answer to {type(request).__name__} today.")
    return tmp_path / "runs"


def store_run(root: Path, sheets: dict[int, dict[str, np.ndarray]]) -> str:
    run_id = RunStore(root).create_run(RunSettings(), max_active=9)
    with RunWriter(root, run_id) as writer:
        writer.append(RecordKind.NETWORK, 0, {"classes": CLASSES, "coverage": [], "data": None})
        for iteration, arrays in sheets.items():
            writer.append(RecordKind.IMAGES, iteration, {}, arrays)
        writer.set_status(RunStatus.FINISHED)
    return run_id


def open_page() -> AppTest:
    page = AppTest.from_file(MAIN, default_timeout=60).run()
    page.switch_page("views/inspect.py").run()
    assert not page.exception
    return page


def told(page: AppTest) -> str:
    elements = (*page.info, *page.warning, *page.error, *page.caption, *page.markdown)
    return " | ".join(element.value for element in elements).replace("\\", "")


def test_without_a_run_the_page_says_where_to_start_one(root: Path) -> None:
    assert "start one on the Play page" in told(open_page())


def test_a_run_without_images_says_what_is_missing(root: Path) -> None:
    store_run(root, {})
    assert "has stored no images yet" in told(open_page())


def test_filters_choose_what_the_gallery_shows(root: Path) -> None:
    store_run(root, {10: sheet(6, 0), 20: sheet(6, 100)})
    page = open_page()
    assert page.number_input(key="gallery_page").help == "12 samples in all."
    page.multiselect(key="filter_classes").select(1).run()
    assert page.number_input(key="gallery_page").help == "4 samples in all."
    page.slider(key="filter_h_prime").set_range(0.0, 0.5).run()
    assert page.number_input(key="gallery_page").help == "2 samples in all."
    page.slider(key="filter_adaptability").set_range(0.0, 0.3).run()
    assert not page.exception
    assert "No sample passes all filters" in told(page)


@pytest.mark.parametrize("section", ["Map", "Latent walk", "Numbers"])
def test_what_the_networks_cannot_answer_is_told_and_the_rest_stays(
    root: Path, section: str
) -> None:
    store_run(root, {10: sheet(6, 0)})
    page = open_page()
    page.session_state["inspect_section"] = section
    page.run()
    assert not page.exception
    assert "No answer to" in told(page)


def test_a_sample_up_close_has_its_numbers_though_no_network_answers(root: Path) -> None:
    run_id = store_run(root, {10: sheet(6, 0)})
    page = open_page()
    assert "Click an image or a point" in told(page)
    page.session_state["inspected_sample"] = (run_id, (10, 2))
    page.run()
    assert not page.exception
    assert "coat, iteration 10, image 3" in told(page)
    assert "No answer to CloseUpRequest today." in told(page)
    numbers = page.dataframe[0].value.set_index("of this sample")["value"]
    assert numbers["H'"] == "0.6000" and numbers["region"] == "inside"

    # A sample of another run is not looked at.
    page.session_state["inspected_sample"] = ("20260101-000000-3w3a-aa", (10, 2))
    page.run()
    assert "Click an image or a point" in told(page)


def test_a_selection_on_the_map_limits_the_gallery_until_it_is_dropped(root: Path) -> None:
    store_run(root, {10: sheet(6, 0)})
    page = open_page()
    page.session_state["inspected"].lasso = frozenset({(10, 1), (10, 4)})
    page.run()
    assert page.number_input(key="gallery_page").help == "2 samples in all."
    assert "Only the 2 samples" in told(page)
    next(button for button in page.button if button.label == "Show all").click().run()
    assert page.number_input(key="gallery_page").help == "6 samples in all."


def test_classes_over_time_show_every_class_and_gaps(root: Path) -> None:
    store_run(root, {10: sheet(2, 0), 20: sheet(6, 100)})
    page = open_page()
    page.session_state["inspect_section"] = "Classes"
    page.run()
    assert not page.exception
    (grid,) = [html.value for html in page.get("html") if '<div class="class-grid"' in html.value]
    assert all(f"<th>{name}</th>" in grid for name in CLASSES)
    assert grid.count("<img") == 5 and grid.count("none was stored by then") == 1


def test_what_was_set_on_a_page_is_still_set_after_a_look_at_the_other(root: Path) -> None:
    store_run(root, {10: sheet(6, 0)})
    page = AppTest.from_file(MAIN, default_timeout=60).run()
    page.slider(key="setting_lambda_u").set_value(0.6)
    page.slider(key="setting_gamma").set_value(7.0)
    page.selectbox(key="preset").select("paper-cifar").run()
    page.slider(key="setting_lambda_u").set_value(0.55).run()
    page.switch_page("views/inspect.py").run()
    page.slider(key="filter_h_prime").set_range(0.2, 0.7).run()
    page.switch_page("views/play.py").run()
    assert not page.exception
    assert page.selectbox(key="preset").value == "paper-cifar"
    assert page.slider(key="setting_lambda_u").value == 0.55
    page.run()
    page.switch_page("views/inspect.py").run()
    assert page.slider(key="filter_h_prime").value == (0.2, 0.7)
    assert not page.exception
