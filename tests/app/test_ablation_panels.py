"""The Ablation page's logic and its form, without a browser."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from adadfq_core.ablation import control
from adadfq_core.ablation.axes import parse_axis
from adadfq_core.ablation.designs import grid
from adadfq_core.ablation.names import MEASURES
from adadfq_core.ablation.plan import Plan
from adadfq_core.ablation.states import CellInfo, CellStatus, SweepInfo, SweepStatus
from adadfq_core.ablation.sweeps import SweepStore
from adadfq_core.ablation.tables import TOP1
from adadfq_core.errors import RunFailed
from adadfq_core.inspection.contact_sheet import contact_sheet
from adadfq_core.inspection.latest_sheet import LatestSheet
from adadfq_core.settings_file import from_yaml
from app import access
from app.panels.ablation import figures, opening
from app.panels.ablation.axes import VARIED, explained, suggested
from app.panels.ablation.choices import is_crossed, numeric_axes, usual_place, varied_axes
from app.panels.ablation.figures import groups_of, offered
from app.panels.ablation.new_sweep import as_lines, shown_reasons
from app.panels.ablation.opening import best_so_far
from app.panels.ablation.progress import doing, duration, refresh_seconds, seconds_left, strip_html
from app.panels.ablation.state import Sweep

MAIN = str(Path(__file__).resolve().parents[2] / "app" / "main.py")
MARGINS = Plan(
    preset="quick",
    axes=("lambda_l", "lambda_u"),
    points=grid([parse_axis("lambda_l=0,0.2"), parse_axis("lambda_u=0.8,1")]),
)
FAILED = "loss_g became nan at iteration 7."


def sweep_of(plan: Plan = MARGINS, **changes: Any) -> SweepInfo:
    given = {"workers": 2, "threads": 1, "ray_address": "", "status": SweepStatus.RUNNING}
    given |= {"reason": "", "name": ""} | changes
    return SweepInfo("s", 0.0, plan=plan, pid=None, process_started=None, updated=0.0, **given)


def cell(index: int, status: CellStatus, started: float | None = None, took: float = 0) -> CellInfo:
    ended = None if started is None or not took else started + took
    return CellInfo("s", index, {}, 0, status, "", None, 1, started, ended)


def table(axes: dict[str, list[Any]], **columns: list[Any]) -> pd.DataFrame:
    """A sweep's table: one finished cell for each value in the lists of `axes`."""
    count = len(next(iter(axes.values())))
    frame = pd.DataFrame(
        {
            "cell": range(count),
            "status": ["finished"] * count,
            "reason": [""] * count,
            "run_id": [f"run-{index}" for index in range(count)],
            "seed": [0] * count,
            **axes,
            **{name: [math.nan] * count for name in MEASURES},
        }
    )
    return frame.assign(**columns)


@pytest.mark.parametrize("name", VARIED)
def test_every_setting_that_is_offered_comes_with_values_that_are_allowed(name: str) -> None:
    axis = parse_axis(f"{name}={suggested(name)}")
    assert axis.name == name
    assert str(len(axis.values)) in explained(axis)


def test_an_axis_is_explained_by_symbol_words_and_values() -> None:
    assert explained(parse_axis("lambda_l=0:0.4:3")) == (
        r"$\lambda_l$ lower boundary, 3 values: `0`, `0.2`, `0.4`"
    )
    assert explained(parse_axis("batch=4:64")) == "batch, from 4 to 64"
    assert explained(parse_axis("epochs=1")).endswith("1 value: `1`")


def test_changes_are_written_as_they_are_read() -> None:
    changes = {
        "weight_bits": 3,
        "lr_q": 1e-5,
        "class_shift": True,
        "bit_overrides": "first=8,last=8",
        "image_mean": (0.5, 0.25),
        "network": "fashion-resnet20",
    }
    assert from_yaml(as_lines(changes)) == changes
    assert as_lines({}) == ""


def test_the_time_left_follows_from_what_ended_cells_took() -> None:
    cells = [
        cell(0, CellStatus.FINISHED, started=0, took=90),
        cell(1, CellStatus.FINISHED, started=0, took=110),
        cell(2, CellStatus.RUNNING, started=100),
        cell(3, CellStatus.RUNNING, started=40),
        cell(4, CellStatus.WAITING),
        cell(5, CellStatus.FAILED, started=0, took=1),
        cell(6, CellStatus.REFUSED),
    ]
    # 100 s a run: at 150 s, 50 and 0 are left of those that run, and one waits: 150 over two.
    assert seconds_left(sweep_of(), cells, now=150) == 75
    # One place: the same work one after the other.
    assert seconds_left(sweep_of(workers=1), cells, now=150) == 150
    # A cluster: as many at once as run now.
    assert seconds_left(sweep_of(workers=9, ray_address="auto"), cells, now=150) == 75
    assert seconds_left(sweep_of(), cells[2:], now=150) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(8.4, "8 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")],
)
def test_a_time_is_written_in_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_strip_counts_refused_cells_apart_and_shows_no_markup() -> None:
    cells = [
        cell(0, CellStatus.FINISHED, started=0, took=10),
        cell(1, CellStatus.HALVED),
        cell(2, CellStatus.FAILED),
        cell(3, CellStatus.WAITING),
        cell(4, CellStatus.REFUSED),
    ]
    info = sweep_of(ray_address="<b>host:1</b>", threads=2)
    assert doing(info, cells, 65.0) == (
        "running · 2 of 4 runs done · about 1 min 05 s left · 2 on <b>host:1</b>, 2 threads each"
    )
    strip = strip_html(info, cells, 65.0)
    assert "<b>" not in strip
    assert 'aria-valuenow="75"' in strip
    assert '<dt class="">not allowed</dt><dd>1</dd>' in strip


def test_the_page_looks_less_often_where_the_runs_have_every_core() -> None:
    assert refresh_seconds(sweep_of(), eager=False, cores=2) == 4
    assert refresh_seconds(sweep_of(), eager=False, cores=3) == 1
    assert refresh_seconds(sweep_of(ray_address="auto"), eager=False, cores=2) == 1
    assert refresh_seconds(sweep_of(), eager=True, cores=2) < 1


def test_the_most_frequent_reasons_are_told() -> None:
    assert shown_reasons(["a", "b", "b", "c", "c", "c", "d"]) == [
        "c",
        "b",
        "and 2 more of the kind",
    ]
    assert shown_reasons([]) == []


def test_figures_are_offered_where_the_axes_fit() -> None:
    margins = table({"lambda_l": [0.0, 0.0, 0.2, 0.2], "lambda_u": [0.8, 1.0, 0.8, 1.0]})
    assert {"Heat map", "Surface", "H' over epochs", "Samples"} <= set(offered(margins))
    assert "Against bits" not in offered(margins)
    words = table({"what_if": ["AdaDFQ", "GDFQ"] * 2, "bits": [3, 3, 4, 4]})
    assert "Against bits" in offered(words)
    assert "Heat map" in offered(words) and "Surface" not in offered(words)
    scattered = table({"beta": [index / 7 for index in range(20)], "gamma": list(range(20))})
    assert not is_crossed(scattered)
    assert offered(scattered) == ["Parallel coordinates"]


def test_only_axes_that_vary_are_chosen_from() -> None:
    frame = table({"beta": [1.0, 1.0], "class_shift": [True, False], "method": ["adadfq", "gdfq"]})
    assert varied_axes(frame) == ["class_shift", "method"]
    assert numeric_axes(frame) == []
    assert usual_place("lambda_u", [0.6, 0.7, 0.8]) == 2
    assert usual_place("what_if", ["a", "b", "c"]) == 1


def test_the_best_place_is_that_of_the_highest_mean_not_of_the_highest_run() -> None:
    frame = table(
        {"beta": [0.1, 0.1, 0.2, 0.2, 0.3]},
        top1_q_last=[90.0, 96.0, 94.0, 95.0, 99.0],
        top1_p=[97.0] * 5,
        top1_q_calibrated=[50.0, 52.0, 51.0, 51.0, 51.0],
        status=["finished"] * 4 + ["failed"],
    )
    best = best_so_far(frame)
    assert best is not None
    assert best.point == {"beta": 0.2}
    assert (best.mean, best.p, best.calibrated) == (94.5, 97, 51)
    assert best.sd == pytest.approx(math.sqrt(0.5))
    assert best.run_ids == ["run-2", "run-3"]
    assert best_so_far(frame.assign(status="waiting")) is None


def test_groups_hold_the_ended_runs_of_one_value_each_with_their_margin() -> None:
    frame = table({"lambda_l": [0.0, 0.0, 0.2, 0.2], "lambda_u": [0.8, 1.0, 0.8, 1.0]})
    frame.loc[3, "status"] = "running"
    sweep = Sweep(sweep_of(), (), frame)
    groups = groups_of(sweep, "lambda_l", {"lambda_u": 0.8})
    assert [(group.lower, group.upper, group.run_ids) for group in groups] == [
        (0.0, 0.8, ("run-0",)),
        (0.2, 0.8, ("run-2",)),
    ]
    assert groups[1].name == "λ<sub>l</sub> = 0.2"
    assert len(groups_of(sweep, "lambda_l", {"lambda_u": 1.0})) == 1


def _page_of_samples(root: object, sweep: object) -> None:
    # Streamlit runs these lines alone, without the names of this file.
    from app.panels.ablation.figures import FIGURES

    FIGURES["Samples"].draw(root, sweep)


def test_a_sheet_that_cannot_be_read_is_told_beside_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    png = contact_sheet(np.zeros((4, 1, 8, 8), np.uint8))

    def stored(_: Path, run_id: str) -> LatestSheet | None:
        if run_id == "run-0":
            raise RunFailed("images-20.npz is damaged.")
        return LatestSheet(png, 20, 4, 0.75) if run_id == "run-1" else None

    monkeypatch.setattr(figures, "latest_sheet", stored)
    frame = table({"lambda_l": [0.0, 0.1, 0.2]})
    page = AppTest.from_function(
        _page_of_samples, args=(tmp_path, Sweep(sweep_of(), (), frame))
    ).run()
    assert not page.exception
    assert "λ_l = 0: images-20.npz is damaged." in told(page)
    assert "λ_l = 0.2: no images are stored" in told(page)
    (image,) = page.get("image")
    assert "λ_l = 0.1: P takes 75%" in image.captions[0].replace("\\", "")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path))
    return tmp_path / "runs"


def open_page() -> AppTest:
    page = AppTest.from_file(MAIN, default_timeout=60).run()
    page.switch_page("views/ablation.py").run()
    assert not page.exception
    return page


def told(page: AppTest) -> str:
    elements = (*page.info, *page.warning, *page.error, *page.caption)
    return " | ".join(element.value for element in elements).replace("\\", "")


def runs_of(page: AppTest) -> str:
    return next(str(metric.value) for metric in page.metric if metric.label == "Runs")


def start_of(page: AppTest) -> Any:
    return next((button for button in page.button if button.label == "Start"), None)


def test_a_new_sweep_begins_with_the_papers_figure(root: Path) -> None:
    page = open_page()
    assert runs_of(page) == "25"
    assert "how long they take is not known yet" in told(page)
    assert page.number_input(key="sweep_workers").value == control.default_workers()[0]
    page.number_input(key="sweep_seeds").set_value(3).run()
    assert runs_of(page) == "75"


def test_cells_that_are_not_allowed_are_told_with_a_reason(root: Path) -> None:
    page = open_page()
    page.text_input(key="sweep_axis_0_values").set_value("0:0.6:5").run()
    assert runs_of(page) == "23"
    assert "lambda_l = 0.6 must be below lambda_u = 0.5" in told(page)


@pytest.mark.parametrize(
    ("key", "text", "sentence"),
    [
        ("sweep_axis_0_values", "0:2:3", "lambda_l"),
        ("sweep_axis_0_values", "", "has no values"),
        ("sweep_changes", "lamda_l: 0.1", "unknown setting 'lamda_l'"),
        ("sweep_changes", "batch: many", "batch"),
    ],
)
def test_what_is_written_wrong_is_told_in_a_sentence_and_nothing_can_start(
    root: Path, key: str, text: str, sentence: str
) -> None:
    page = open_page()
    element = page.text_area if key == "sweep_changes" else page.text_input
    element(key=key).set_value(text).run()
    assert not page.exception
    assert sentence in " ".join(error.value for error in page.error).replace("\\", "")
    assert start_of(page) is None


def test_axes_are_added_changed_and_removed(root: Path) -> None:
    page = open_page()
    next(button for button in page.button if button.label == "Add an axis").click().run()
    added = page.selectbox(key="sweep_axis_2_name")
    assert added.value not in ("lambda_l", "lambda_u")
    added.set_value("bits").run()
    assert page.text_input(key="sweep_axis_2_values").value == "3,4,5"
    assert runs_of(page) == "75"
    page.button(key="press_axis_0").click().run()
    assert runs_of(page) == "15"
    for row in (1, 2):
        page.button(key=f"press_axis_{row}").click().run()
    assert "There is no axis" in told(page)


@pytest.mark.parametrize("design", ["random", "latin"])
def test_points_are_drawn_within_the_axes(root: Path, design: str) -> None:
    page = open_page()
    page.button_group(key="sweep_design").set_value(design).run()
    page.number_input(key="sweep_points").set_value(7).run()
    assert not page.exception
    assert runs_of(page) == "7"


def test_points_are_written_as_a_table(root: Path) -> None:
    page = open_page()
    page.button_group(key="sweep_design").set_value("list").run()
    assert runs_of(page) == "2"
    page.text_area(key="sweep_list").set_value("beta,bits\n0.1,3\n0.2,4\n0.3,5").run()
    assert runs_of(page) == "3"
    page.text_area(key="sweep_list").set_value("beta,bits\n0.1").run()
    assert "Line 2 of the table of points has 1 values" in told(page)


def test_settings_are_taken_over_from_the_play_page_and_kept_over_pages(root: Path) -> None:
    page = AppTest.from_file(MAIN, default_timeout=60).run()
    page.slider(key="setting_beta").set_value(0.7).run()
    page.switch_page("views/ablation.py").run()
    next(button for button in page.button if button.label == "From Play").click().run()
    assert page.selectbox(key="sweep_preset").value == "interactive"
    assert from_yaml(page.text_area(key="sweep_changes").value) == {"beta": 0.7}
    page.switch_page("views/play.py").run()
    page.switch_page("views/ablation.py").run()
    assert from_yaml(page.text_area(key="sweep_changes").value) == {"beta": 0.7}


def test_a_start_that_fails_is_told_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: Any, **__: Any) -> str:
        raise RunFailed("The disk is full; free some space.")

    page = open_page()
    monkeypatch.setattr(control, "start", start)
    start_of(page).click().run()
    assert "The disk is full" in told(page)
    assert control.list_sweeps(root) == []
    page.run()
    assert "The disk is full" not in told(page)


def _page_of_chosen_runs(sweep: object, run_ids: list[str]) -> None:
    # Streamlit runs these lines alone, without the names of this file.
    from app.panels.ablation.opening import opening_panel
    from app.panels.ablation.state import choose_runs

    choose_runs(sweep.sweep_id, run_ids)
    opening_panel(sweep)


def test_the_run_opens_that_the_box_says_at_the_press(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(opening, "open_inspection", opened.append)
    cells = [
        replace(cell(0, CellStatus.FINISHED), seed=seed, index=seed, run_id=f"run-{seed}")
        for seed in (0, 1)
    ]
    frame = table({"lambda_l": [0.1, 0.1]}, **{TOP1: [90.0, 91.0]})
    asked = (Sweep(sweep_of(), tuple(cells), frame), ["run-0", "run-1"])
    page = AppTest.from_function(_page_of_chosen_runs, args=asked).run()
    assert not page.exception
    # Both in one message to the server, as a quick reader's are.
    page.selectbox[0].set_value(cells[1])
    next(button for button in page.button if button.label == "Open in Inspect").click().run()
    assert opened == ["run-1"]


def test_a_start_right_after_a_change_starts_what_was_changed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[Plan] = []

    def start_sweep(root: Path, plan: Plan, **machines: Any) -> str:
        plans.append(plan)
        return SweepStore(root).create(plan, [], name="", workers=1, threads=1, ray_address="")

    monkeypatch.setattr(access, "start_sweep", start_sweep)
    page = open_page()
    # Both in one message to the server, as a quick reader's are.
    page.number_input(key="sweep_seeds").set_value(3)
    start_of(page).click().run()
    assert not page.exception
    assert [plan.seeds for plan in plans] == [(0, 1, 2)]
    assert page.session_state["ablation_view"] == "Results"
    page.run()
    assert len(plans) == 1


def test_a_start_of_a_form_that_is_wrong_by_then_starts_nothing_later(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "start_sweep", lambda *_, **__: pytest.fail("it was started"))
    page = open_page()
    page.text_area(key="sweep_changes").set_value("lr_q: fast")
    start_of(page).click().run()
    page.text_area(key="sweep_changes").set_value("").run()
    assert start_of(page) is not None


def test_failed_cells_stand_in_a_table_with_their_reason(root: Path) -> None:
    store = SweepStore(root)
    sweep_id = store.create(MARGINS, [], name="Margins", workers=1, threads=1, ray_address="")
    store.cell_started(sweep_id, 2)
    store.cell_ended(sweep_id, 2, CellStatus.FAILED, FAILED, None)
    store.end(store.info(sweep_id), SweepStatus.STOPPED, "")
    page = open_page()
    (failed,) = [
        frame.value for frame in page.dataframe if "reason" in frame.value and len(frame.value) == 1
    ]
    assert failed["reason"].tolist() == [FAILED]
    assert failed["place"].tolist() == ["λ_l = 0.2, λ_u = 0.8"]
    resume = next(button for button in page.button if button.label == "Resume")
    assert not resume.disabled
    page.button_group(key=f"sweep_section_{sweep_id}").set_value("All runs").run()
    assert not page.exception
    assert any(len(frame.value) == 4 for frame in page.dataframe)


def test_the_sweep_stops_that_the_box_names_at_the_press(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[str] = []
    monkeypatch.setattr(access, "stop_sweep", lambda root, sweep_id: stopped.append(sweep_id))
    store = SweepStore(root)
    options: dict[str, Any] = {"workers": 1, "threads": 1, "ray_address": ""}
    ids = [store.create(MARGINS, [], name=name, **options) for name in ("First", "Second")]
    page = open_page()
    page.selectbox(key="sweep_id").set_value(ids[0]).run()
    # Both in one message to the server, as a quick reader's are.
    page.selectbox(key="sweep_id").set_value(ids[1])
    next(button for button in page.button if button.label == "Stop").click().run()
    assert stopped == [ids[1]]
