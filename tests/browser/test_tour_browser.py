"""The tour of the Play page in a real browser: shown once, by the keyboard, without the server."""

from __future__ import annotations

from typing import Any

import pytest
from browser_support import LONG, App, end_runs, keep_picture, opened, wait_until

from app.lessons.texts import all_texts
from app.panels.tour import PLACES

pytestmark = pytest.mark.browser

STEPS = all_texts()["tour"]["steps"]
# What has the focus, also inside of a component.
FOCUSED = """() => {
  let node = document.activeElement;
  while (node.shadowRoot) node = node.shadowRoot.activeElement;
  return node.textContent;
}"""
# Whether the frame is round one of the places, which may still be moving.
FRAMED = """(places) => {
  const root = document.querySelector(".st-key-tour");
  const inner = [...root.querySelectorAll("*")].find((node) => node.shadowRoot).shadowRoot;
  const frame = inner.querySelector(".frame").getBoundingClientRect();
  return places.some((place) => {
    const box = document.querySelector(place)?.getBoundingClientRect();
    return box && Math.abs(box.left - frame.left) < 10 && Math.abs(box.top - frame.top) < 10;
  });
}"""


def card(page: Any) -> Any:
    return page.get_by_role("dialog")


def inside(page: Any) -> bool:
    """Whether the card lies wholly inside of the window."""
    box = page.locator(".card").bounding_box()
    size = page.viewport_size
    return bool(
        box["x"] >= 0
        and box["y"] >= 0
        and box["x"] + box["width"] <= size["width"]
        and box["y"] + box["height"] <= size["height"]
    )


def walk(page: Any, name: str) -> None:
    """Go through all steps by the keyboard, from the first to the end."""
    for step, words in STEPS.items():
        page.get_by_role("dialog", name=words["title"]).wait_for()
        wait_until(lambda step=step: page.evaluate(FRAMED, list(PLACES[step])), seconds=LONG)
        assert inside(page), step
        keep_picture(page, f"tour-{name}-{step}")
        page.keyboard.press("Enter")
    card(page).wait_for(state="detached" if not card(page).count() else "hidden")


def test_a_newcomer_is_led_round_once(browser: Any, app: App, finished: str) -> None:
    end_runs(app.root)  # a run that goes on would talk to the server too
    with opened(browser, app.url, height=900, first_visit=True) as page:
        sent: list[object] = []
        page.on(
            "websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame))
        )
        # A page that is opened anew has a socket that is listened to. The first one is shown the
        # tour, and remembers it, when it is drawn: only after that can it be made to forget.
        card(page).wait_for()
        page.evaluate("localStorage.clear()")
        page.goto(app.url)
        card(page).wait_for()
        page.locator(".st-key-live .live-chart-frame").first.wait_for()
        page.wait_for_function(
            "document.querySelector('[data-testid=stApp]').dataset.testScriptState == 'notRunning'"
        )
        assert card(page).get_attribute("aria-describedby") == "tour-text"
        for _ in range(5):
            page.keyboard.press("Tab")
            assert page.evaluate(FOCUSED) in {
                all_texts()["tour"][name] for name in ("skip", "next")
            }
        page.locator(".next").focus()

        def quiet() -> bool:
            # Charts tell the server late what they have drawn where the machine is busy.
            told = len(sent)
            page.wait_for_timeout(1000)
            return len(sent) == told

        wait_until(quiet, seconds=LONG)
        before = len(sent)
        walk(page, "light")
        assert len(sent) == before
        page.goto(app.url)
        page.locator(".st-key-transport").wait_for()
        button = page.get_by_role("button", name=all_texts()["tour"]["button"], exact=True)
        button.press("Enter")
        card(page).wait_for()
        page.keyboard.press("Enter")
        page.get_by_role("button", name=all_texts()["tour"]["back"], exact=True).press("Enter")
        page.get_by_role("dialog", name=STEPS["players"]["title"]).wait_for()
        page.keyboard.press("Escape")
        wait_until(lambda: not card(page).is_visible(), seconds=LONG)
        assert page.evaluate(FOCUSED) == all_texts()["tour"]["button"]


def test_a_link_and_other_pages_are_not_covered(browser: Any, app: App, finished: str) -> None:
    for address in (app.at(finished), f"{app.url}/learn?lesson=3"):
        with opened(browser, address, first_visit=True) as page:
            page.get_by_test_id("stMain").get_by_test_id("stMarkdown").first.wait_for()
            page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
            page.locator(".live-chart .main-svg").first.wait_for()
            assert not card(page).is_visible()
            assert page.evaluate("localStorage.getItem('adadfq-tour')") is None


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (1920, 1080)])
def test_it_fits_each_window_and_colour(
    browser: Any, app: App, finished: str, scheme: str, width: int, height: int
) -> None:
    with opened(
        browser, app.url, width=width, height=height, scheme=scheme, first_visit=True
    ) as page:
        card(page).wait_for()
        page.locator(".st-key-live .live-chart-frame").first.wait_for()
        walk(page, f"{scheme}-{width}")
