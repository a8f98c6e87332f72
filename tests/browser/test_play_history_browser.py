"""A run's history on the Play page, and the ways to take it elsewhere: file, address, animation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser_support import (
    BATCH,
    LONG,
    App,
    address_of,
    keep_picture,
    opened,
    text_of,
    wait_for_chart,
    wait_until,
)
from PIL import Image

from adadfq_core import runs
from adadfq_core.runs import RecordKind, history
from adadfq_core.settings_file import from_yaml
from app.charts.style import G_COLOUR
from app.export.animation import BORDER, CAPTION_HEIGHT, STRIP_HEIGHT

pytestmark = pytest.mark.browser

BAR = ".st-key-history"
STATE = re.compile(r"(Live|History|Replay): iteration (\d+)")


@pytest.fixture
def page(browser: Any, app: App, finished: str) -> Iterator[Any]:
    """The page of a run that has ended."""
    with opened(browser, app.at(finished)) as page:
        wait_for_chart(page, "margin_picture")
        yield page


@pytest.fixture
def moments(app: App, finished: str) -> list[int]:
    """The iterations of which images, an accuracy or a map was stored."""
    update = runs.read(app.root, finished)
    return list(history.extended(history.Moments(), update).iterations)


def state(page: Any) -> tuple[str, int]:
    """Whether the bar is live, in the history or replaying, and its iteration."""
    found = STATE.search(text_of(page, f"{BAR} .timeline > span"))
    return (found[1], int(found[2])) if found else ("", 0)


def wait_for_state(page: Any, *wanted: object) -> None:
    wait_until(lambda: state(page) == wanted, seconds=LONG)


def moment_line(figure: dict[str, Any]) -> list[float]:
    """Where a chart marks the moment that the page looks at."""
    return [shape["x0"] for shape in figure["shapes"] if shape["colour"] == G_COLOUR]


def sheet_before(app: App, run_id: str, iteration: int) -> int:
    sheet = runs.latest(app.root, run_id, RecordKind.IMAGES, iteration)
    assert sheet is not None
    return sheet.iteration


def images_of(page: Any) -> str:
    """The picture that holds all images of the moment."""
    grid = page.locator(".st-key-images .gallery")
    sprite: str = grid.evaluate("(grid) => grid.style.getPropertyValue('--sprite')")
    return sprite


def assert_shows(page: Any, app: App, run_id: str, iteration: int) -> None:
    """Every panel shows the moment `iteration`."""
    wait_for_state(page, "History", iteration)
    sheet = sheet_before(app, run_id, iteration)
    page.get_by_text(re.compile(rf"The margin: samples of iteration {sheet}\b")).wait_for()
    page.get_by_text(re.compile(rf"The batch of iteration {sheet}\b")).wait_for()
    for key in ("game_value", "accuracy", "bands"):
        wait_for_chart(page, key, lambda figure: moment_line(figure) == [iteration])


def test_slider_and_arrow_keys_go_through_the_moments(
    page: Any, app: App, finished: str, moments: list[int]
) -> None:
    last = moments[-1]
    wait_for_state(page, "Live", last)
    drawn = wait_for_chart(page, "margin_picture")
    images = images_of(page)

    slider = page.locator(f"{BAR} input[type=range]")
    slider.press("ArrowLeft")
    wait_until(lambda: state(page)[0] == "History", seconds=LONG)
    earlier = state(page)[1]
    assert earlier in moments[:-1]
    assert_shows(page, app, finished, earlier)
    then = wait_for_chart(page, "margin_picture")
    assert [each["x"] for each in then["traces"]] != [each["x"] for each in drawn["traces"]]
    wait_until(lambda: images_of(page) != images, seconds=LONG)
    assert page.locator(".st-key-images .tile").count() == BATCH

    # From here on the keys belong to the page.
    slider.evaluate("(input) => input.blur()")
    place = moments.index(earlier)
    page.keyboard.press("ArrowLeft")
    assert_shows(page, app, finished, moments[place - 1])
    keep_picture(page, "play-history")
    page.keyboard.press("ArrowRight")
    assert_shows(page, app, finished, moments[place])
    page.locator(BAR).get_by_role("button", name="Back").click()
    assert_shows(page, app, finished, moments[place - 1])
    page.locator(BAR).get_by_role("button", name="Next").click()
    assert_shows(page, app, finished, moments[place])

    page.locator(BAR).get_by_role("button", name="Live", exact=True).click()
    wait_for_state(page, "Live", last)
    live = wait_for_chart(page, "game_value", lambda figure: not moment_line(figure))
    assert live["traces"]


def test_a_drag_ends_at_the_moment_nearest_to_where_it_was_let_go(
    page: Any, moments: list[int]
) -> None:
    slider = page.locator(f"{BAR} input[type=range]")
    for position in (2, 19, 33):  # as a drag passes them
        slider.fill(str(position))
    nearest = min(moments, key=lambda moment: abs(moment - 33))
    wait_for_state(page, "History", nearest)
    wait_until(lambda: slider.input_value() == str(nearest), seconds=LONG)
    slider.fill("40")
    wait_for_state(page, "Live", 40)


def test_a_replay_goes_through_the_run_and_ends_live(page: Any, moments: list[int]) -> None:
    page.locator(BAR).get_by_role("button", name="Play").click()
    seen: list[tuple[str, int]] = []

    def ended() -> bool:
        now = state(page)
        if not seen or seen[-1] != now:
            seen.append(now)
        return len(seen) > 1 and now[0] == "Live"

    wait_until(ended, seconds=LONG)
    replayed = [iteration for name, iteration in seen if name == "Replay"]
    assert len(replayed) >= 3
    assert replayed == sorted(replayed)
    assert set(replayed) <= set(moments)


def test_the_run_leaves_as_an_animation(page: Any, tmp_path: Path) -> None:
    page.get_by_text("Export the run as an animation").click()
    page.get_by_role("button", name="Make it").click()
    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile(r"Download \d+\.\d MB")).click()
    assert download.value.suggested_filename.endswith(".gif")
    path = tmp_path / "run.gif"
    download.value.save_as(path)
    with Image.open(path) as animation:
        assert animation.format == "GIF"
        assert animation.n_frames > 5
        sheets = []
        for place in range(animation.n_frames):
            animation.seek(place)
            frame = np.asarray(animation.convert("RGB"))
            # Without the caption and the margin below, which would differ in any case.
            sheets.append(frame[BORDER + CAPTION_HEIGHT : -STRIP_HEIGHT])
    assert all((one != next_one).any() for one, next_one in pairwise(sheets))


def test_an_address_opened_elsewhere_shows_the_same(
    browser: Any, app: App, finished: str, page: Any, moments: list[int]
) -> None:
    place = len(moments) // 2
    slider = page.locator(f"{BAR} input[type=range]")
    slider.press("ArrowLeft")
    wait_until(lambda: state(page)[0] == "History", seconds=LONG)
    while state(page)[1] > moments[place]:
        before = state(page)
        page.locator(BAR).get_by_role("button", name="Back").click()
        wait_until(lambda before=before: state(page) != before, seconds=LONG)
    page.get_by_role("slider", name="lambda_l").press("ArrowRight")
    page.get_by_role("slider", name="temperature").press("ArrowRight")
    for part in (f"run={finished}", f"at={moments[place]}", "s.lambda_l=0.11", "s.temperature=10"):
        wait_until(lambda part=part: part in address_of(page), seconds=LONG)

    with opened(browser, address_of(page)) as other:
        assert_shows(other, app, finished, moments[place])
        for name in ("lambda_l", "temperature"):
            assert shown_value(other, name) == shown_value(page, name)


def shown_value(page: Any, setting: str) -> str:
    slider = page.locator(f".st-key-setting_{setting}")
    text: str = slider.get_by_test_id("stSliderThumbValue").inner_text()
    return text


def test_settings_leave_as_a_file_and_come_back(
    browser: Any, app: App, finished: str, page: Any, tmp_path: Path
) -> None:
    page.get_by_role("slider", name="lambda_u").press("ArrowLeft")
    page.get_by_role("slider", name="gamma").press("ArrowRight")
    wait_until(lambda: "s.lambda_u=0.79" in address_of(page), seconds=LONG)
    wait_until(lambda: "s.gamma=5.01" in address_of(page), seconds=LONG)
    page.get_by_text("Settings as a file").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    path = tmp_path / "mine.yaml"
    download.value.save_as(path)
    changes = from_yaml(path.read_bytes())
    assert (changes["lambda_u"], changes["gamma"]) == pytest.approx((0.79, 5.01))

    with opened(browser, app.at(finished)) as other:
        wait_for_chart(other, "margin_picture")
        assert shown_value(other, "lambda_u") == "0.80"
        other.get_by_text("Settings as a file").click()
        other.locator(".st-key-settings_file input[type=file]").set_input_files(path)
        wait_until(lambda: shown_value(other, "lambda_u") == "0.79", seconds=LONG)
        wait_until(lambda: shown_value(other, "gamma") == "5.01", seconds=LONG)
