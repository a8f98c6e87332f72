"""The Play page's states and looks in a real browser, with real runs of the bundled network."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from browser_support import (
    LONG,
    App,
    address_of,
    end_runs,
    keep_picture,
    opened,
    read_chart,
    served_app,
    start_run,
    text_of,
    wait_for_chart,
    wait_until,
)

from adadfq_core import runs
from adadfq_core.runs import RunStatus

pytestmark = pytest.mark.browser

WIDTHS = (820, 1280, 1920)
# Backgrounds of the two themes in `.streamlit/config.toml`.
BACKGROUNDS = {"light": "rgb(255, 255, 255)", "dark": "rgb(16, 23, 26)"}
# Every drawn chart fills its place again.
SETTLED = """() => [...document.querySelectorAll(".live-chart .main-svg")].every((svg) =>
  Math.abs(svg.getBoundingClientRect().width - svg.closest(".live-chart").clientWidth) < 2)"""
# How far the page and its scrolling part are wider than what is seen of them.
OVERFLOW = """() => {
  const main = document.querySelector("[data-testid=stMain]");
  return [
    document.scrollingElement.scrollWidth - innerWidth,
    main.scrollWidth - main.clientWidth,
  ];
}"""
# Texts and formulas of the players' strip that reach out of their card.
CUT_OFF = """() => {
  const cards = [...document.querySelectorAll(".st-key-players [data-testid=stColumn]")];
  const outside = (card) => {
    const frame = card.getBoundingClientRect();
    return [...card.querySelectorAll("p, .katex-html > .base")].filter((part) => {
      const box = part.getBoundingClientRect();
      return box.left < frame.left || box.right > frame.right || box.bottom > frame.bottom;
    });
  };
  return cards.flatMap(outside).map((part) => part.textContent);
}"""
# Controls that do not say what they do, by their text.
WITHOUT_HELP = """() => {
  const places = "[data-testid=stSidebar], .st-key-transport, .st-key-history, .st-key-panels";
  const kinds = "stSlider stSelectbox stButton stDownloadButton stPopover stTextInput "
    + "stFileUploader stButtonGroup";
  const selector = kinds.split(" ").map((kind) => `[data-testid=${kind}]`).join();
  const helps = "[data-testid=stTooltipIcon], [data-testid=stTooltipHoverTarget], [title]";
  return [...document.querySelectorAll(places)]
    .flatMap((place) => [...place.querySelectorAll(selector)])
    .filter((control) => !control.querySelector(helps))
    .map((control) => control.textContent);
}"""


def points(page: Any) -> int:
    """How many iterations the chart of the losses shows."""
    figure = read_chart(page, "losses")
    return len(figure["traces"][0]["x"]) if figure else 0


def test_start_watch_and_move_a_slider(browser: Any, tmp_path: Path) -> None:
    with served_app(tmp_path) as app, opened(browser, app.url) as page:
        start = page.get_by_role("button", name="Start", exact=True)
        start.wait_for()
        page.get_by_text("Press Start and watch them play").wait_for()
        assert page.locator(".welcome h2").count() == 3
        keep_picture(page, "play-empty")
        start.click()
        page.locator(".waiting").wait_for()
        keep_picture(page, "play-loading")

        # Two live updates: the chart grows, and grows again, without a reload.
        wait_until(lambda: points(page) > 0, seconds=LONG)
        first = points(page)
        wait_until(lambda: points(page) > first, seconds=LONG)
        second = points(page)
        wait_until(lambda: points(page) > second, seconds=LONG)

        (info,) = runs.list_runs(app.root)
        assert info.status == RunStatus.RUNNING
        slider = page.get_by_role("slider", name="lambda_l")
        slider.focus()
        slider.press("ArrowRight")
        changed = info.settings.lambda_l + 0.01
        wait_until(
            lambda: runs.current_settings(app.root, info.run_id).lambda_l == pytest.approx(changed),
            seconds=LONG,
        )

        # A reload attaches to the same run, with the slider where it was moved to.
        page.reload()
        wait_until(lambda: points(page) > second, seconds=LONG)
        shown = page.locator(".st-key-setting_lambda_l")
        value = shown.get_by_test_id("stSliderThumbValue").inner_text()
        assert float(value) == pytest.approx(changed)
        assert len(runs.list_runs(app.root)) == 1


def test_a_page_opened_on_a_run_that_goes_shows_it_live(browser: Any, app: App) -> None:
    """Also where the browser draws the time slider late, as a loaded machine does."""
    end_runs(app.root)
    run_id = start_run(app.root, data="none", epochs=500, slow_motion=200)
    wait_until(lambda: runs.info(app.root, run_id).iteration > 5, seconds=LONG)
    for _ in range(3):
        with opened(browser, app.url) as page:
            wait_for_chart(page, "margin_picture")
            before = text_of(page, ".run-status")
            wait_until(lambda before=before: text_of(page, ".run-status") != before, seconds=LONG)
            assert f"run={run_id}" in address_of(page)
            assert "at=" not in address_of(page)
            assert "Live: iteration" in text_of(page, ".st-key-history")
    end_runs(app.root)


def test_a_killed_run_tells_why_and_can_be_resumed(browser: Any, app: App) -> None:
    end_runs(app.root)
    run_id = start_run(app.root, data="none", epochs=500, slow_motion=200)
    wait_until(lambda: runs.info(app.root, run_id).iteration > 5, seconds=LONG)
    with opened(browser, app.at(run_id)) as page:
        wait_for_chart(page, "margin_picture")
        pid = runs.info(app.root, run_id).pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        alert = page.get_by_role("alert").filter(has_text="Resume goes on from the last checkpoint")
        alert.wait_for()
        assert "Its process" in alert.inner_text()
        assert page.locator(".run-status .bar.failed").count() == 1
        keep_picture(page, "play-failed")

        page.locator(".st-key-transport").get_by_role("button", name="Resume").click()
        wait_until(lambda: runs.info(app.root, run_id).status == RunStatus.RUNNING, seconds=LONG)
        alert.wait_for(state="detached")
        resumed = runs.info(app.root, run_id).iteration
        wait_until(lambda: runs.info(app.root, run_id).iteration > resumed, seconds=LONG)
        end_runs(app.root)
        page.get_by_text("stopped · iteration").wait_for()


@pytest.mark.slow
def test_new_seed_and_start_choose_the_seed(browser: Any, app: App) -> None:
    end_runs(app.root)
    first = start_run(app.root, data="none", seed=3, epochs=2)
    wait_until(lambda: not runs.info(app.root, first).active, seconds=LONG)
    known = {info.run_id for info in runs.list_runs(app.root)}

    def started() -> runs.RunInfo:
        def fresh() -> list[runs.RunInfo]:
            return [i for i in runs.list_runs(app.root) if i.run_id not in known]

        wait_until(lambda: bool(fresh()), seconds=LONG)
        (info,) = fresh()
        known.add(info.run_id)
        return info

    with opened(browser, app.at(first) + "&s.seed=3&s.data=none") as page:
        transport = page.locator(".st-key-transport")
        transport.get_by_role("button", name="New seed").click()
        info = started()
        assert info.settings.seed == 4
        wait_until(lambda: info.run_id in address_of(page), seconds=LONG)
        end_runs(app.root)
        transport.get_by_role("button", name="Start", exact=True).click()
        again = started()
        end_runs(app.root)
        assert again.settings.seed == 4


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off_at_any_width(
    browser: Any, app: App, finished: str, scheme: str
) -> None:
    with opened(browser, app.at(finished), scheme=scheme) as page:
        wait_for_chart(page, "margin_picture")
        background = page.get_by_test_id("stApp").evaluate(
            "(app) => getComputedStyle(app).backgroundColor"
        )
        assert background == BACKGROUNDS[scheme]
        page.get_by_text("finished · iteration 40 of 40").wait_for()
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 1000})
            wait_until(lambda: page.evaluate(SETTLED), seconds=LONG)
            assert max(page.evaluate(OVERFLOW)) <= 0, width
            assert page.evaluate(CUT_OFF) == [], width
            keep_picture(page, f"play-finished-{scheme}-{width}")


def test_every_control_says_what_it_does(browser: Any, app: App, finished: str) -> None:
    with opened(browser, app.at(finished)) as page:
        wait_for_chart(page, "margin_picture")
        for title in ("Own weights and data", "Settings as a file"):
            page.get_by_text(title).click()
        page.locator(".st-key-settings_file").wait_for()
        assert page.evaluate(WITHOUT_HELP) == []
        page.locator(".st-key-transport").get_by_role("button", name="New seed").hover()
        page.get_by_text("Start with the next seed.").wait_for()
