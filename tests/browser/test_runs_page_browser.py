"""The Runs page in a real browser, over runs that have ended."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_support import (
    LONG,
    App,
    address_of,
    keep_picture,
    opened,
    served_app,
    text_of,
    wait_until,
)
from stored_runs import files_of, held_run, stored_run

from adadfq_core import runs
from adadfq_core.ablation.plan import Plan
from adadfq_core.ablation.states import SweepStatus
from adadfq_core.ablation.sweeps import SweepStore
from adadfq_core.runs.records import RunStatus
from adadfq_core.runs.store import RunStore
from adadfq_core.settings import RunSettings

pytestmark = pytest.mark.browser

MAIN = "[data-testid=stMain]"
ROW_PIXELS = 35
# What the grids on their canvases tell screen readers, a list of cells for each row.
TABLES = """() => [...document.querySelectorAll("[data-testid=stDataFrame] [role=grid]")].map(
  (grid) => [...grid.querySelectorAll("tbody tr")].map(
    (row) => [...row.querySelectorAll("[role=gridcell]")].map((cell) => cell.textContent)))"""
TAG = "<b>x</b> [l](http://e.example)"


@pytest.fixture(scope="module")
def store_app(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app over a store of its own; `browser` is asked for so that without one it skips."""
    with served_app(tmp_path_factory.mktemp("runs-page")) as app:
        yield App(f"{app.url}/runs", app.root)


@pytest.fixture
def stored(store_app: App) -> list[str]:
    """Three runs in an otherwise empty store, the newest first; that one has no log."""
    root = store_app.root
    runs.delete_runs(root, [info.run_id for info in runs.list_runs(root)])
    ids = [stored_run(root, RunSettings(lambda_l=0.1, seed=seed)) for seed in (1, 2)]
    with held_run(root, RunSettings(lambda_l=0.3, weight_bits=3)) as writer:
        writer.set_status(RunStatus.STOPPED)
    return [writer.run_id, *reversed(ids)]


def first_cells(page: Any, table: int = 0) -> list[str]:
    """The first column of a table, `[]` while it is not drawn."""
    tables = page.evaluate(TABLES)
    return [row[0] for row in tables[table]] if len(tables) > table else []


def wait_for_rows(page: Any, *wanted: str, table: int = 0) -> None:
    wait_until(lambda: first_cells(page, table) == list(wanted), seconds=LONG)


def choose(page: Any, *places: int) -> None:
    """Tick the rows at `places` of the first table."""
    box = page.get_by_test_id("stDataFrame").first.bounding_box()
    for place in places:
        y = box["y"] + ROW_PIXELS * (place + 1.5)
        page.mouse.click(box["x"] + 20, y)


def wait_for_text(page: Any, words: str) -> None:
    wait_until(lambda: words in text_of(page, MAIN), seconds=LONG)


def test_labels_are_written_found_and_shown_as_they_are(
    browser: Any, store_app: App, stored: list[str]
) -> None:
    with opened(browser, store_app.url, height=1300) as page:
        wait_for_rows(page, *stored)
        choose(page, 1)
        page.get_by_role("textbox", name="Note").wait_for()
        tags = page.get_by_role("combobox", name="Tags").last
        tags.fill(TAG)
        tags.press("Enter")
        tags.press("Tab")  # closes the list, which hides what is below it
        page.get_by_role("textbox", name="Note").fill(f"see {TAG}\nand more")
        page.get_by_role("button", name="Save tags and note").click()
        wait_for_text(page, f"Tags and note of {stored[1]} are saved.")
        info = runs.info(store_app.root, stored[1])
        assert (info.tags, info.note) == ((TAG,), f"see {TAG}\nand more")
        # Still chosen, though its row has changed.
        assert page.get_by_role("button", name="Open in Play").is_enabled()

        search = page.get_by_role("textbox", name="Search")
        search.fill("and more")
        search.press("Enter")
        wait_for_rows(page, stored[1])
        wait_for_text(page, "1 of 3 runs")
        assert page.locator(f"{MAIN} a[href]").count() == 0
        assert page.locator(f"{MAIN} b").count() == 0
        search.fill("of nobody")
        search.press("Enter")
        wait_for_text(page, "None of the 3 runs passes all filters")


def test_settings_are_compared_side_by_side(
    browser: Any, store_app: App, stored: list[str]
) -> None:
    with opened(browser, store_app.url) as page:
        wait_for_rows(page, *stored)
        choose(page, 0, 2)
        wait_for_rows(page, "seed", "weight_bits", "lambda_l", "beta", table=1)
        assert page.evaluate(TABLES)[1][:3] == [
            ["seed", "0", "1"],
            ["weight_bits", "3", "4"],
            ["lambda_l", "0.3", "0.1"],
        ]
        assert page.get_by_role("button", name="Open in Play").is_disabled()
        keep_picture(page, "runs-compare")


def test_a_run_leaves_as_a_file_is_deleted_and_comes_back(
    browser: Any, store_app: App, stored: list[str], tmp_path: Path
) -> None:
    root, run_id = store_app.root, stored[2]
    before = (runs.info(root, run_id), files_of(root / run_id))
    with opened(browser, store_app.url) as page:
        wait_for_rows(page, *stored)
        choose(page, 2)
        with page.expect_download() as download:
            page.get_by_role("button", name="Export").click()
        assert download.value.suggested_filename == f"{run_id}.adadfq.zip"
        path = tmp_path / "run.adadfq.zip"
        download.value.save_as(path)

        page.get_by_role("button", name="Delete …").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_text(f"{run_id}  0.0 MB").wait_for()
        keep_picture(page, "runs-delete")
        dialog.get_by_role("button", name="Keep").click()
        dialog.wait_for(state="detached")
        assert (root / run_id).is_dir()
        page.get_by_role("button", name="Delete …").click()
        dialog.get_by_role("button", name="Delete", exact=True).click()
        wait_for_text(page, "One run is deleted, 0.0 MB freed.")
        wait_for_rows(page, *stored[:2])
        assert not (root / run_id).exists()

        for sentence in (f"The run was imported as {run_id}.", "That run is here already, as"):
            page.get_by_role("button", name=re.compile("Import")).click()
            page.locator("input[type=file]").set_input_files(path)
            wait_for_text(page, sentence)
            wait_for_rows(page, *stored)
            page.keyboard.press("Escape")
        after = (runs.info(root, run_id), files_of(root / run_id))
        assert after[1] == before[1] and after[0].settings == before[0].settings

        path.write_bytes(b"PK no archive")
        page.get_by_role("button", name=re.compile("Import")).click()
        page.locator("input[type=file]").set_input_files(path)
        wait_for_text(page, "'run.adadfq.zip' is no archive of a run")


def test_an_active_run_can_neither_go_nor_leave(
    browser: Any, store_app: App, stored: list[str]
) -> None:
    with (
        held_run(store_app.root) as writer,
        opened(browser, store_app.url) as page,
    ):
        wait_for_rows(page, writer.run_id, *stored)
        choose(page, 0)
        page.get_by_role("button", name="Delete …").wait_for()
        for name in ("Delete …", "Export"):
            assert page.get_by_role("button", name=name).is_disabled()
        writer.set_status(RunStatus.STOPPED)


@pytest.mark.parametrize(("button", "place"), [("Open in Play", "/?run="), ("Inspect", "/inspect")])
def test_a_run_opens_on_the_other_pages(
    browser: Any, store_app: App, stored: list[str], button: str, place: str
) -> None:
    with opened(browser, store_app.url) as page:
        wait_for_rows(page, *stored)
        choose(page, 0)
        page.get_by_role("button", name=button).click()
        wait_until(lambda: place in address_of(page), seconds=LONG)
        if button == "Open in Play":
            wait_until(lambda: stored[0] in address_of(page), seconds=LONG)
            wait_for_text(page, "stopped")
        else:
            wait_for_text(page, "This run has stored no images yet")
            page.get_by_role("combobox", name="Run").wait_for()
            assert stored[0] in page.get_by_role("combobox", name="Run").input_value()


def test_a_sweep_is_listed_and_its_runs_name_it(
    browser: Any, store_app: App, stored: list[str]
) -> None:
    plan = Plan(axes=("lambda_l",), points=({"lambda_l": 0.1}, {"lambda_l": 0.2}))
    sweeps = SweepStore(store_app.root)
    sweep_id = sweeps.create(plan, [], name="margins", workers=1, threads=1, ray_address="")
    sweeps.cell_has_run(sweep_id, 0, stored[1])
    with opened(browser, store_app.url, width=1920) as page:
        wait_for_rows(page, *stored)
        assert "margins" in page.evaluate(TABLES)[0][1]
        page.get_by_role("tab", name="Sweeps").click()
        wait_for_rows(page, "margins")
        page.mouse.move(0, 0)
        keep_picture(page, "runs-sweeps")
        choose(page, 0)
        page.get_by_role("button", name="Open in Ablation").click()
        wait_until(lambda: f"/ablation?sweep={sweep_id}" in address_of(page), seconds=LONG)
        # Running, it cannot be deleted; stopped, it goes and its run stays.
        page.get_by_role("link", name="Runs").click()
        wait_for_rows(page, *stored)
        page.get_by_role("tab", name="Sweeps").click()
        wait_for_rows(page, "margins")
        choose(page, 0)
        wait_until(lambda: page.get_by_role("button", name="Open in Ablation").is_enabled())
        assert page.get_by_role("button", name="Delete …").is_disabled()
        sweeps.end(sweeps.info(sweep_id), SweepStatus.STOPPED, "")
    # In a session of its own: a table that is still redrawn would close the dialog.
    with opened(browser, store_app.url, width=1920) as page:
        wait_for_rows(page, *stored)
        page.get_by_role("tab", name="Sweeps").click()
        wait_for_rows(page, "margins")
        choose(page, 0)
        page.get_by_role("button", name="Delete …").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
        wait_for_text(page, "There is no sweep yet")
    assert sweeps.list_sweeps() == []
    assert {info.run_id for info in RunStore(store_app.root).list_runs()} >= {stored[1]}


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1920, "dark")])
def test_the_page_fits_its_window(
    browser: Any, store_app: App, stored: list[str], width: int, scheme: str
) -> None:
    runs.set_labels(store_app.root, stored[0], ["paper", "figure 2"], "A note of some length.")
    with opened(browser, store_app.url, width=width, scheme=scheme) as page:
        wait_for_rows(page, *stored)
        choose(page, 0)
        page.get_by_role("button", name="Save tags and note").wait_for()
        page.mouse.move(0, 0)
        keep_picture(page, f"runs-{width}")
        assert page.evaluate("() => document.scrollingElement.scrollWidth - innerWidth") <= 0


def test_an_empty_store_says_what_to_do(browser: Any, store_app: App) -> None:
    root = store_app.root
    runs.delete_runs(root, [info.run_id for info in RunStore(root).list_runs()])
    with opened(browser, store_app.url) as page:
        wait_for_text(page, "There is no run yet: start one on the Play page, or import one")
        page.get_by_role("button", name=re.compile("Import")).wait_for()
