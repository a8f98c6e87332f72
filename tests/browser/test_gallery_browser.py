"""The gallery in a real browser, drawn by a real server."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser_support import opened, serve
from PIL import Image

pytestmark = pytest.mark.browser

PAGE = Path(__file__).parent / "pages" / "gallery_page.py"
COUNT, SIDE = 500, 32
WAIT_MS = 30_000

# The gallery lives in a shadow root, which these look through.
ROOT = "document.querySelector('[data-testid=stBidiComponentIsolated]').shadowRoot"
TILE = f"{ROOT}.querySelectorAll('.tile')"
# Counts, from now on, how many tiles change in any way.
WATCH = f"""() => {{
  window.changed = new Set();
  new MutationObserver((changes) => {{
    for (const {{ target }} of changes) {{
      const element = target.nodeType === Node.ELEMENT_NODE ? target : target.parentElement;
      window.changed.add(element.closest(".tile") ?? element);
    }}
  }}).observe({ROOT}, {{
    attributes: true, childList: true, characterData: true, subtree: true,
  }});
}}"""
# Turns the page and measures from the arrival of its picture to the frame that shows all tiles.
MEASURE = f"""(name) => new Promise((resolve) => {{
  const isNew = (entry) => entry.initiatorType === "img" && entry.name.endsWith(".png");
  const before = performance.getEntriesByType("resource").filter(isNew).length;
  const look = () => {{
    const pictures = performance.getEntriesByType("resource").filter(isNew);
    const tiles = [...{TILE}];
    if (pictures.length > before && tiles.at(-1).ariaLabel.startsWith(name)) {{
      requestAnimationFrame(() => resolve(performance.now() - pictures.at(-1).startTime));
    }} else requestAnimationFrame(look);
  }};
  look();
}})"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serve(PAGE) as url:
        yield url


@pytest.fixture
def page(browser: Any, server: str) -> Iterator[Any]:
    with opened(browser, server, height=900) as page:
        page.set_default_timeout(WAIT_MS)
        tile(page, 0).wait_for()
        yield page


def tile(page: Any, tile_id: int) -> Any:
    return page.get_by_role("button", name=f"tile {tile_id},")


def picture(page: Any, tile_id: int) -> np.ndarray:
    """The pixels of a tile's image on the screen, `(H, W, 3)`."""
    part = tile(page, tile_id).locator(".picture")
    part.scroll_into_view_if_needed()
    # The page may begin between two pixels of the screen; the browser draws on whole ones.
    x, y, width, height = (
        round(part.bounding_box()[name]) for name in ("x", "y", "width", "height")
    )
    # Without the mark above the image.
    clip = {"x": x, "y": y + 4, "width": width, "height": height - 4}
    shot = page.screenshot(clip=clip)
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"))


def sidebar_says(page: Any, text: str) -> None:
    page.get_by_text(text, exact=True).wait_for()


def turn_to(page: Any, number: int) -> None:
    page.get_by_label("Page").fill(str(number))
    page.get_by_label("Page").press("Enter")


def test_each_tile_shows_its_own_image_without_smoothing(page: Any) -> None:
    shape = (COUNT, 3, SIDE, SIDE)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for index in (0, 22, 23, 499):
        enlarged = np.moveaxis(pixels[index], 0, 2).repeat(3, 0).repeat(3, 1)
        np.testing.assert_array_equal(picture(page, index), enlarged)


def test_tiles_say_what_they_are(page: Any) -> None:
    group = page.get_by_role("group", name="Generated images")
    assert group.get_by_role("button").count() == COUNT
    button = tile(page, 7)
    assert button.get_attribute("aria-label") == "tile 7, H' 0.01"
    assert button.get_attribute("title") == "image 7 of page 0"
    assert button.locator(".caption").inner_text() == "tile 7\nH' 0.01"
    mark = "(node) => getComputedStyle(node).borderTopColor"
    assert tile(page, 1).locator(".picture").evaluate(mark) == "rgb(13, 148, 136)"


def test_a_click_reports_the_id_and_marks_the_tile(page: Any) -> None:
    tile(page, 9).click()
    sidebar_says(page, "selected 9")
    page.wait_for_function(f"() => {TILE}[9].ariaPressed === 'true'")
    tile(page, 12).click()
    sidebar_says(page, "selected 12")
    page.wait_for_function(f"() => {TILE}[12].ariaPressed === 'true'")
    assert page.evaluate(f"() => [...{TILE}].filter((t) => t.ariaPressed === 'true').length") == 1
    sidebar_says(page, "clicks 2")


def test_the_keyboard_does_all_that_the_mouse_does(page: Any) -> None:
    focused = f"() => {ROOT}.activeElement?.ariaLabel ?? ''"
    tile(page, 0).focus()
    across = page.evaluate(
        f"() => [...{TILE}].findIndex((t, i) => i && t.offsetLeft === {TILE}[0].offsetLeft)"
    )
    assert across > 4
    for key, expected in (
        ("ArrowRight", 1),
        ("ArrowDown", 1 + across),
        ("ArrowLeft", across),
        ("ArrowUp", 0),
        ("ArrowLeft", 0),
        ("End", 499),
        ("ArrowRight", 499),
        ("Home", 0),
    ):
        page.keyboard.press(key)
        assert page.evaluate(focused).startswith(f"tile {expected},")
    page.keyboard.press("ArrowRight")
    assert tile(page, 1).evaluate("(node) => getComputedStyle(node).outlineWidth") == "2px"
    page.keyboard.press("Enter")
    sidebar_says(page, "selected 1")
    # Still there after the run; Tab leaves in one step, and coming back lands on the same tile.
    page.wait_for_function(f"() => {TILE}[1].ariaPressed === 'true'")
    assert page.evaluate(focused).startswith("tile 1,")
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == ""
    page.keyboard.press("Shift+Tab")
    assert page.evaluate(focused).startswith("tile 1,")


def test_a_run_touches_only_the_tiles_that_it_changes(page: Any) -> None:
    pictures = "() => performance.getEntriesByType('resource').filter((e) => /png$/.test(e.name))"
    fetched = page.evaluate(f"({pictures})().length")
    page.evaluate(WATCH)
    page.get_by_role("button", name="Run again").click()
    sidebar_says(page, "run 2")
    page.get_by_role("button", name="Run again").click()
    sidebar_says(page, "run 3")
    assert page.evaluate("() => window.changed.size") == 0

    page.get_by_text("Rename tile 3").click()
    page.get_by_role("button", name="another name").wait_for()
    assert page.evaluate(f"() => window.changed.size === 1 && window.changed.has({TILE}[3])")
    assert page.evaluate(f"({pictures})().length") == fetched


def test_another_page_appears_within_a_second(page: Any) -> None:
    page.evaluate(f"(measure) => {{ window.took = ({MEASURE})('tile 2499,'); }}")
    turn_to(page, 2)
    milliseconds = page.evaluate("() => window.took")
    assert milliseconds < 1000, f"500 tiles took {milliseconds:.0f} ms"
    shape = (COUNT, 3, SIDE, SIDE)
    pixels = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    enlarged = np.moveaxis(pixels[1], 0, 2).repeat(3, 0).repeat(3, 1)
    np.testing.assert_array_equal(picture(page, 2001), enlarged)


def test_tiles_take_the_width_that_is_asked_for(page: Any) -> None:
    assert tile(page, 0).bounding_box()["width"] == 96
    slider = page.get_by_role("slider", name="Tile width")
    slider.focus()
    slider.press("ArrowRight")
    page.wait_for_function(f"() => {TILE}[0].offsetWidth === 128")
    box = tile(page, 0).locator(".picture").bounding_box()
    assert (box["width"], box["height"]) == (128, 128 + 4)


def test_images_of_a_row_stand_on_one_line_whatever_their_captions(page: Any) -> None:
    page.get_by_text("Rename tile 3").click()
    page.get_by_role("button", name="another name").wait_for()
    tops = f"() => [...{TILE}].slice(0, 5).map((t) => t.firstChild.getBoundingClientRect().top)"
    assert len(set(page.evaluate(tops))) == 1


def test_the_captions_follow_the_theme(page: Any) -> None:
    colour = f"() => getComputedStyle({TILE}[0]).color"
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"(light) => ({colour})() !== light", arg=light)


def test_images_that_do_not_arrive_are_told_of(browser: Any, server: str) -> None:
    page = browser.new_page()
    page.route("**/*.png", lambda route: route.abort())
    page.goto(server)
    page.get_by_text("The images could not be loaded.").wait_for(timeout=WAIT_MS)
    page.unroute("**/*.png")
    # The next update tries again.
    turn_to(page, 1)
    tile(page, 1000).wait_for(timeout=WAIT_MS)
    assert page.get_by_text("The images could not be loaded.").is_hidden()
    page.close()
