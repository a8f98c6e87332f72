"""The Inspect page in a real browser, over a real run and the process that opens its networks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from browser_support import (
    BATCH,
    LONG,
    App,
    finish_run,
    keep_picture,
    opened,
    served_app,
    text_of,
    trace,
    wait_for_chart,
    wait_until,
)

pytestmark = pytest.mark.browser

SHEETS = 9
"""Of the finished run: iteration 1 and every fifth of 40."""

MAIN = "[data-testid=stMain]"
PLACES = """(key) => {
  const node = document.querySelector(`.st-key-${key} .live-chart`);
  const { left, top } = node.getBoundingClientRect();
  const { xaxis, yaxis } = node._fullLayout;
  return { left: left + xaxis._offset, top: top + yaxis._offset,
           width: xaxis._length, height: yaxis._length };
}"""
IMAGES = "() => [...document.querySelectorAll('.samples img')].map((image) => image.src)"


# A server and a run of its own: behind many other tests on one server, pages of these tests waited
# in vain for an answer, while the process that gives it had nothing to do.
@pytest.fixture(scope="module")
def app(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with served_app(tmp_path_factory.mktemp("inspected")) as served:
        yield served


@pytest.fixture(scope="module")
def finished(app: App) -> str:
    return finish_run(app.root)


def open_inspection(page: Any, section: str = "Gallery") -> None:
    """Wait for the page, and go to one of its sections."""
    page.get_by_role("button", name="Contact sheet").wait_for()
    if section != "Gallery":
        page.get_by_role("radio", name=section).click()


def answered(page: Any, words: str) -> None:
    """Wait until the page says `words`, which only an answer of the process contains."""
    wait_until(lambda: words in text_of(page, MAIN), seconds=LONG)


def test_a_click_in_the_gallery_shows_the_sample_up_close(
    browser: Any, app: App, finished: str
) -> None:
    with opened(browser, f"{app.url}/inspect?run={finished}") as page:
        open_inspection(page)
        tiles = page.locator(".tile")
        wait_until(lambda: tiles.count() == SHEETS * BATCH, seconds=LONG)
        name = tiles.nth(3).get_attribute("aria-label").split(",")[0]
        tiles.nth(3).click()
        answered(page, f"{name}, iteration 40, image 4")
        wait_until(lambda: tiles.nth(3).get_attribute("aria-pressed") == "true", seconds=LONG)
        likeliest = wait_for_chart(page, "close_up_top")
        assert [each["name"] for each in likeliest["traces"]] == ["P", "Q"]
        shares = wait_for_chart(page, "close_up_distributions")
        for each in shares["traces"]:
            assert sum(each["y"]) == pytest.approx(100, abs=0.1)
        answered(page, "Nearest real images")
        neighbours = page.locator(".samples figcaption")
        distances = [float(text.split()[-1]) for text in neighbours.all_inner_texts()]
        assert len(distances) == 8 and distances == sorted(distances) and distances[0] > 0
        answered(page, "What Q clips of it, Q of iteration 40")
        keep_picture(page, "inspect-gallery")


def test_a_sample_of_the_margin_picture_opens_on_this_page(
    browser: Any, app: App, finished: str
) -> None:
    with opened(browser, app.at(finished)) as page:
        picture = wait_for_chart(page, "margin_picture", lambda figure: len(figure["traces"]) > 2)
        points = next(each for each in picture["traces"] if len(each["customdata"]) > 0)
        place = page.evaluate(PLACES, "margin_picture")
        low, high = picture["range"]
        across = (points["x"][0] - low) / (high - low)
        node = page.locator(".st-key-margin_picture .scatterlayer .points path")
        aim = place["left"] + across * place["width"]
        boxes = [box for box in (node.nth(i).bounding_box() for i in range(node.count())) if box]
        nearest = min(boxes, key=lambda box: abs(box["x"] + box["width"] / 2 - aim))
        x, y = nearest["x"] + nearest["width"] / 2, nearest["y"] + nearest["height"] / 2
        page.mouse.move(x, y)
        page.locator(".st-key-margin_picture .hovertext").first.wait_for()
        page.mouse.click(x, y)
        answered(page, "iteration 40, image")
        assert page.url.split("?")[0].endswith("/inspect")


def test_a_lasso_on_the_map_limits_the_gallery(browser: Any, app: App, finished: str) -> None:
    with opened(browser, f"{app.url}/inspect?run={finished}") as page:
        open_inspection(page, "Map")
        page.get_by_role("radio", name="PCA (at once)").click()
        samples = SHEETS * BATCH
        figure = wait_for_chart(
            page, "sample_map", lambda drawn: len(drawn["traces"][-1]["x"]) == samples
        )
        keep_picture(page, "inspect-map")
        place = page.evaluate(PLACES, "sample_map")
        low, high = figure["range"]
        xs = sorted(trace(figure, "synthetic")["x"])
        # Through the widest gap, so that no sample lies under the edge of the lasso.
        before, behind = max(pairwise(xs), key=lambda pair: pair[1] - pair[0])
        edge = place["left"] + place["width"] * ((before + behind) / 2 - low) / (high - low)
        inside = xs.index(behind)
        assert 0 < inside < samples
        top, bottom = place["top"] + 3, place["top"] + place["height"] - 3
        corners = [(edge, top), (edge, bottom), (place["left"] + 3, bottom)]
        page.mouse.move(place["left"] + 3, top)
        page.mouse.down()
        for corner in (*corners, (place["left"] + 3, top + 2)):
            page.mouse.move(*corner, steps=8)
        page.mouse.up()
        answered(page, f"Only the {inside} samples")
        wait_until(lambda: page.locator(".tile").count() == inside, seconds=LONG)

        page.get_by_role("button", name="Show all").click()
        page.get_by_role("radio", name="Gallery").click()
        wait_until(lambda: page.locator(".tile").count() == samples, seconds=LONG)


def test_the_latent_walk_follows_both_ends_and_the_slider(
    browser: Any, app: App, finished: str
) -> None:
    with opened(browser, f"{app.url}/inspect?run={finished}") as page:
        open_inspection(page, "Latent walk")
        answered(page, "The generator of iteration 40")
        way = page.evaluate(IMAGES)
        assert len(way) == 16 and len(set(way)) > 8
        enlarged = page.locator(".enlarged img")
        assert enlarged.get_attribute("src") == way[0]
        slider = page.get_by_role("slider", name="On the way")
        slider.focus()
        slider.press("End")
        wait_until(lambda: enlarged.get_attribute("src") == way[-1], seconds=LONG)

        # Another class to walk to: the beginning stays, the end does not.
        page.get_by_role("combobox", name="Class to").click()
        page.get_by_role("option", name="Bag").click()
        wait_until(lambda: page.evaluate(IMAGES)[-1:] not in ([], way[-1:]), seconds=LONG)
        assert page.evaluate(IMAGES)[0] == way[0]
        keep_picture(page, "inspect-walk")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1920, "dark")])
def test_every_section_fits_and_says_what_it_shows(
    browser: Any, app: App, finished: str, width: int, scheme: str
) -> None:
    with opened(browser, f"{app.url}/inspect?run={finished}", width=width, scheme=scheme) as page:
        open_inspection(page, "Classes")
        answered(page, "a chance draw, not the best one")
        assert page.locator(".class-grid img").count() > 10
        keep_picture(page, f"inspect-classes-{width}")
        page.get_by_role("radio", name="Numbers").click()
        answered(page, f"{SHEETS * BATCH} samples against 100 real images")
        ranges = wait_for_chart(page, "ranges")
        assert len(ranges["traces"]) >= 3
        wait_for_chart(page, "mismatch")
        keep_picture(page, f"inspect-numbers-{width}")
        overflow = "() => document.scrollingElement.scrollWidth - innerWidth"
        assert page.evaluate(overflow) <= 0
