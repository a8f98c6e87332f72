"""The Ablation page in a real browser: a real sweep from its form on, stored ones in figures."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from browser_support import (
    LONG,
    App,
    address_of,
    keep_picture,
    opened,
    served_app,
    text_of,
    wait_for_chart,
    wait_until,
)

from adadfq_core.ablation import control, designs
from adadfq_core.ablation.axes import parse_axis
from adadfq_core.ablation.plan import Plan
from adadfq_core.ablation.results import results_frame
from adadfq_core.ablation.states import CellStatus, SweepStatus
from adadfq_core.ablation.sweeps import SweepStore
from adadfq_core.ablation.tables import pivot, to_csv, to_latex, to_markdown
from adadfq_core.game.step import SCALARS
from adadfq_core.runs.records import RecordKind, RunStatus
from adadfq_core.runs.writer import RunWriter
from adadfq_core.settings import RunSettings
from app.charts.ablation.heat_map import heat_map_frame

pytestmark = pytest.mark.browser

MAIN = "[data-testid=stMain]"
# Real runs of a few seconds each.
TINY = {
    **{"epochs": 3, "iterations_per_epoch": 5, "warmup_epochs": 1, "batch": 4},
    **{"generator_width": 4, "evaluation_images": 100, "checkpoint_every": 5},
    **{"evaluate_every": 5, "value_every": 1000},
}
# The middle of a place of a heat map in the window: its column and row from the lower left.
PLACE = """([key, column, row, columns, rows]) => {
  const node = document.querySelector(`.st-key-${key} .live-chart`);
  node.scrollIntoView({ block: "center" });
  const { left, top } = node.getBoundingClientRect();
  const { xaxis, yaxis } = node._fullLayout;
  return [left + xaxis._offset + xaxis._length * (column + 0.5) / columns,
          top + yaxis._offset + yaxis._length * (rows - row - 0.5) / rows];
}"""
FIGURES = {
    "Heat map": "heat-map",
    "Surface": "surface",
    "Parallel coordinates": "parallel",
    "Histogram of H'": "h-prime",
    "H' over epochs": "epochs",
    "Q's loss": "losses",
}
STEPS, WARMUP = 60, 20
# P takes three of four for the class that was asked.
IMAGES = {
    "pixels": np.arange(4 * 64, dtype=np.uint8).reshape(4, 1, 8, 8),
    "labels": np.array([0, 0, 1, 1]),
    "h_prime": np.full(4, 0.5, np.float32),
    "p_logits": np.array([[2, 1], [2, 1], [2, 1], [1, 2]], np.float32),
    "q_logits": np.array([[2, 1], [1, 2], [2, 1], [1, 2]], np.float32),
}
FAILURE = "loss_g became nan at iteration 17; start again with smaller learning rates."


@pytest.fixture(scope="module")
def lab(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app over a folder of its own, without a sweep."""
    with served_app(tmp_path_factory.mktemp("lab")) as app:
        yield app


def store_run(store: SweepStore, settings: RunSettings, preset: str, top1: float) -> str:
    """A run that has ended with `top1`, with what the figures need of its log."""
    random = np.random.default_rng(settings.seed)
    run_id = store.runs.create_run(settings, preset, max_active=10**6)
    with RunWriter(store.root, run_id) as writer:
        about = {"classes": ["bag", "boot"], "coverage": [], "data": {"images": 1000}}
        writer.append(RecordKind.NETWORK, 0, about)
        for iteration in range(1, STEPS + 1):
            seconds = iteration / 10
            h_prime = random.uniform(settings.lambda_l, settings.lambda_u, 4).round(4).tolist()
            step = {"ms": 100.0, "seconds": seconds, "lr_g": 1e-3, "lr_q": 1e-4}
            step |= dict.fromkeys(SCALARS, 1.0)
            writer.append(RecordKind.STEP, iteration, step | {"h_prime": h_prime})
            if iteration == WARMUP:
                for network, value in (("p", 94.5), ("q_calibrated", 60.0)):
                    data = {"network": network, "top1": value, "seconds": seconds}
                    writer.append(RecordKind.EVALUATION, iteration, data)
            if iteration == STEPS:
                # One seed's images stand for its setting; another seed has none to inspect.
                if settings.seed == 0:
                    writer.append(RecordKind.IMAGES, iteration, {}, IMAGES)
                data = {"network": "q", "top1": top1, "seconds": seconds, "loss_q": 1.5}
                writer.append(RecordKind.EVALUATION, iteration, data)
        writer.set_status(RunStatus.FINISHED)
    return run_id


def store_sweep(
    root: Path, *axes: str, seeds: int = 1, name: str = "", fails: Mapping[int, str] | None = None
) -> str:
    """A sweep over a grid that has ended; cells that are in `fails` did so with that reason."""
    store = SweepStore(root)
    parsed = [parse_axis(axis) for axis in axes]
    plan = Plan(
        preset="quick",
        changes={"epochs": 6, "iterations_per_epoch": 10, "warmup_epochs": 2},
        axes=tuple(axis.name for axis in parsed),
        points=designs.grid(parsed),
        seeds=tuple(range(seeds)),
    )
    going, refused = designs.feasible(plan)
    sweep_id = store.create(plan, refused, name=name, workers=2, threads=1, ray_address="")
    for cell in going:
        store.cell_started(sweep_id, cell.index)
        if cell.index in (fails or {}):
            failed = CellStatus.FAILED
            store.cell_ended(sweep_id, cell.index, failed, (fails or {})[cell.index], None)
            continue
        settings = plan.settings(cell)
        distance = abs(settings.lambda_l - 0.25) + abs(settings.lambda_u - 0.75)
        top1 = 90 - 10 * distance + settings.weight_bits + cell.seed / 10
        run_id = store_run(store, settings, plan.preset, top1)
        store.cell_ended(sweep_id, cell.index, CellStatus.FINISHED, "", run_id)
    store.end(store.info(sweep_id), SweepStatus.FINISHED, "")
    return sweep_id


@pytest.fixture(scope="module")
def margins(lab: App) -> str:
    """Three by three margins, of which one is not allowed and one has failed, with two seeds."""
    return store_sweep(
        lab.root,
        "lambda_l=0:0.5:3",
        "lambda_u=0.5:1:3",
        seeds=2,
        fails={1: FAILURE, 10: FAILURE},
    )


def at(lab: App, sweep_id: str) -> str:
    return f"{lab.url}/ablation?sweep={sweep_id}"


def says(page: Any, words: str, seconds: float = LONG) -> None:
    """Wait until the page says `words`."""
    wait_until(lambda: words in text_of(page, MAIN), seconds=seconds)


def show(page: Any, section: str) -> None:
    page.get_by_role("radio", name=section, exact=True).click()


def click_place(page: Any, column: int, row: int, columns: int, rows: int) -> None:
    """Click on a place of the heat map."""
    wait_for_chart(page, "ablation_chart_heat-map")
    place = page.evaluate(PLACE, ["ablation_chart_heat-map", column, row, columns, rows])
    page.mouse.move(*place)
    page.locator(".st-key-ablation_chart_heat-map .hovertext").first.wait_for()
    page.mouse.click(*place)


def selected(page: Any, label: str) -> str:
    """What a list shows as chosen."""
    value: str = page.get_by_role("combobox", name=label, exact=True).input_value()
    return value


def fill(page: Any, label: str, text: str, place: int = 0) -> None:
    """Write `text` into a field and leave it."""
    field = page.get_by_label(label, exact=True).nth(place)
    field.fill(text)
    field.press("Tab")


def saved(page: Any, name: str) -> tuple[str, bytes]:
    """Name and content of the file that the button `name` gives."""
    with page.expect_download() as waited:
        page.get_by_role("button", name=name, exact=True).click()
    return waited.value.suggested_filename, waited.value.path().read_bytes()


def test_a_sweep_is_made_started_watched_and_one_of_its_runs_is_opened(
    browser: Any, lab: App
) -> None:
    with opened(browser, f"{lab.url}/ablation") as page:
        # Nothing to show yet: the form is there, with the paper's figure.
        says(page, "25 runs")
        values = page.get_by_label("Values", exact=True).nth(0)
        # A field is drawn a moment before its value stands in it.
        wait_until(lambda: values.input_value() == "0:0.4:5")
        show(page, "Results")
        says(page, "There is no sweep yet")

        show(page, "New sweep")
        # First, so that what the page says of the values was reckoned with the changes.
        fill(page, "Changes to the preset", "\n".join(f"{k}: {v}" for k, v in TINY.items()))
        fill(page, "Values", "0:0.6:2", 0)
        says(page, "2 of 10 cells cannot run")
        fill(page, "Values", "0.5:0.9:2", 1)
        says(page, "1 of 4 cells cannot run")
        says(page, "lambda_l = 0.6 must be below lambda_u = 0.5")
        keep_picture(page, "ablation-new")
        page.get_by_role("button", name="Start").click()
        says(page, "of 3 runs done")
        (info,) = control.list_sweeps(lab.root)
        assert info.plan.preset == "quick"
        assert {**info.plan.changes} == TINY
        wait_until(lambda: address_of(page).endswith(f"?sweep={info.sweep_id}"), seconds=LONG)

        # The page follows by itself.
        says(page, "finished · 3 of 3 runs done")
        assert control.info(lab.root, info.sweep_id).status == SweepStatus.FINISHED
        cells = control.cells(lab.root, info.sweep_id)
        assert [cell.status for cell in cells] == ["finished", "finished", "refused", "finished"]

        show(page, "Heat map")
        click_place(page, 0, 1, 2, 2)
        says(page, "λ_l = 0, λ_u = 0.9")
        page.get_by_role("button", name="Open in Play").click()
        wait_until(lambda: f"?run={cells[1].run_id}" in address_of(page), seconds=LONG)
        says(page, "iteration 15 of 15")


def press(page: Any, name: str, words: str) -> None:
    """Press a button until the page says `words`, as a reader does.

    Under heavy load a press that falls on a redrawing of the page sometimes never reaches the
    server; why is not known yet.
    """
    for _ in range(4):
        button = page.get_by_role("button", name=name)
        if button.count():
            button.click()
        with contextlib.suppress(AssertionError):
            says(page, words, LONG / 4)
            return
    says(page, words)


def test_a_sweep_is_stopped_and_goes_on(browser: Any, lab: App) -> None:
    plan = Plan(
        preset="quick",
        changes={**TINY, "epochs": 2000},
        axes=("beta",),
        points=({"beta": 0.1}, {"beta": 0.2}),
    )
    sweep_id = control.start(lab.root, plan, workers=1, threads=1)
    with opened(browser, at(lab, sweep_id)) as page:
        says(page, "seed 0: iteration")
        keep_picture(page, "ablation-running")
        press(page, "Stop", "stopped · 0 of 2 runs done")
        press(page, "Resume", "running · 0 of 2 runs done")
        press(page, "Stop", "stopped · 0 of 2 runs done")
    assert control.info(lab.root, sweep_id).status == SweepStatus.STOPPED


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1920, "dark")])
def test_every_figure_is_drawn_and_fits(
    browser: Any, lab: App, margins: str, width: int, scheme: str
) -> None:
    with opened(browser, at(lab, margins), width=width, scheme=scheme) as page:
        says(page, "finished · 14 of 16 runs done")
        for section, key in FIGURES.items():
            show(page, section)
            node = page.locator(f".st-key-ablation_chart_{key} .live-chart")
            node.locator(".main-svg, .parcoords, .gl-container").first.wait_for()
            page.wait_for_timeout(500)
            keep_picture(page, f"ablation-{key}-{width}-{scheme}")
            room = page.evaluate(
                "() => { const main = document.querySelector('[data-testid=stMain]');"
                " return main.clientWidth - main.scrollWidth; }"
            )
            assert room >= 0, f"{section} is wider than the page"
        show(page, "Samples")
        says(page, "λ_l = 0.25: P takes 75% of 4 for the class asked of G")
        # The third run is not allowed.
        assert page.get_by_role("img", name="G's images with λ_l").count() == 2
        keep_picture(page, f"ablation-samples-{width}-{scheme}")


def test_a_place_of_the_heat_map_opens_one_of_its_seeds_in_inspect(
    browser: Any, lab: App, margins: str
) -> None:
    cells = control.cells(lab.root, margins)
    with opened(browser, at(lab, margins)) as page:
        says(page, "Best top-1 of Q so far")
        # lambda_l = 0.25, lambda_u = 0.75 with seeds 0 and 1: 93 and 93.1 percent.
        says(page, "93.05 ± 0.07 %")
        says(page, "2 failed, with reasons")
        click_place(page, 1, 1, 3, 3)
        says(page, "Open in Inspect")
        assert selected(page, "Run") == "seed 0: finished, 93.00 %"
        page.get_by_role("combobox", name="Run").click()
        page.get_by_role("option", name="seed 1: finished, 93.10 %").click()
        page.get_by_role("button", name="Open in Inspect").click()
        wait_until(lambda: "/inspect" in address_of(page), seconds=LONG)
        says(page, "This run has stored no images yet")
        assert selected(page, "Run").startswith(str(cells[13].run_id))

        # Back on the page it is as it was left.
        page.get_by_role("link", name="Ablation").click()
        says(page, "λ_l = 0.25, λ_u = 0.75")
        says(page, "Open in Inspect")
        assert address_of(page).endswith(f"?sweep={margins}")


def test_files_hold_what_the_page_shows(browser: Any, lab: App, margins: str) -> None:
    frame = results_frame(lab.root, margins)
    with opened(browser, at(lab, margins)) as page:
        wait_for_chart(page, "ablation_chart_heat-map")
        page.locator(".st-key-ablation_chart_heat-map .live-chart").hover()
        name, content = saved(page, "Save as CSV")
        assert name == f"{margins}-heat-map.csv"
        expected = heat_map_frame(frame, "lambda_l", "lambda_u")
        pd.testing.assert_frame_equal(
            pd.read_csv(io.BytesIO(content)), expected.astype({"state": str}), check_dtype=False
        )

        show(page, "Table")
        shown = pivot(frame, "lambda_l", "lambda_u")
        for button, written in (
            ("CSV", to_csv(shown)),
            ("Markdown", to_markdown(shown).encode()),
            ("LaTeX", to_latex(shown).encode()),
        ):
            assert saved(page, button)[1] == written
        assert page.locator(".st-key-sweep-table strong").all_inner_texts() == ["93.05 ± 0.07"]
        name, content = saved(page, "All results as CSV")
        assert name == f"{margins}.csv"
        assert len(pd.read_csv(io.BytesIO(content))) == len(frame)


def test_a_sweep_over_bits_draws_accuracy_against_bits(browser: Any, lab: App) -> None:
    sweep_id = store_sweep(lab.root, "bits=3,4", "what_if=AdaDFQ,GDFQ", name="Two methods")
    with opened(browser, at(lab, sweep_id)) as page:
        says(page, "finished · 4 of 4 runs done")
        assert selected(page, "Sweep").startswith("Two methods · grid, 4 runs · finished")
        show(page, "Against bits")
        figure = wait_for_chart(page, "ablation_chart_bits")
        assert {"AdaDFQ", "GDFQ"} <= {each["name"] for each in figure["traces"]}
        show(page, "All runs")
        page.get_by_test_id("stDataFrame").wait_for()
        keep_picture(page, "ablation-all-runs")


@pytest.mark.parametrize(
    ("sweep", "told"),
    [
        ("20200101-000000-sweep-0000", "is not on this machine"),
        ("../etc", "is not the name of a sweep"),
    ],
)
def test_a_link_to_what_is_not_there_shows_another_sweep(
    browser: Any, lab: App, margins: str, sweep: str, told: str
) -> None:
    with opened(browser, at(lab, sweep)) as page:
        says(page, told)
        says(page, "Best top-1 of Q so far")
