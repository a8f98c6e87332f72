"""The live chart in a real browser, drawn by a real server with a fragment that refreshes it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_support import serve

pytestmark = pytest.mark.browser

PAGE = Path(__file__).parent / "pages" / "live_chart_page.py"
# The state of the first chart. `same` tells whether its node is the one that was marked.
STATE = """() => {
  const node = document.querySelector(".live-chart");
  return {
    same: node === window.markedNode,
    range: node._fullLayout.xaxis.range,
    autorange: node._fullLayout.xaxis.autorange,
    visible: node._fullData.map((trace) => trace.visible),
    lengths: node._fullData.map((trace) => trace.y.length),
    first: node._fullData[0].x[0],
    gap: node._fullData[0].y[36],
    text: node._fullLayout.font.color,
    label: node.getAttribute("aria-label"),
  };
}"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serve(PAGE) as url:
        yield url


@pytest.fixture
def page(browser: Any, server: str) -> Iterator[Any]:
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, color_scheme="light", reduced_motion="reduce"
    )
    page = context.new_page()
    page.script_errors = []
    page.on("pageerror", lambda error: page.script_errors.append(str(error)))
    page.goto(server)
    wait_for_chart(page)
    yield page
    assert page.script_errors == []
    context.close()


def wait_for_chart(page: Any) -> None:
    page.wait_for_selector(".live-chart .nsewdrag", timeout=30_000)
    page.evaluate("() => { window.markedNode = document.querySelector('.live-chart'); }")


def read(page: Any) -> dict[str, Any]:
    return page.evaluate(STATE)


def wait_for_refreshes(page: Any, count: int) -> dict[str, Any]:
    """Each refresh of the test page appends at least one point to each trace."""
    aim = read(page)["lengths"][0] + count
    deadline = time.monotonic() + 15
    while (state := read(page))["lengths"][0] < aim:
        assert time.monotonic() < deadline, "the chart does not grow"
        page.wait_for_timeout(100)
    return state


def drag_over(page: Any, start: float, end: float, *, pause_ms: int = 0) -> None:
    box = page.locator(".live-chart .nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] * start, box["y"] + box["height"] * 0.3)
    page.mouse.down()
    middle = (start + end) / 2
    page.mouse.move(box["x"] + box["width"] * middle, box["y"] + box["height"] * 0.5, steps=4)
    page.wait_for_timeout(pause_ms)
    page.mouse.move(box["x"] + box["width"] * end, box["y"] + box["height"] * 0.8, steps=4)
    page.mouse.up()
    page.wait_for_function(
        "() => document.querySelector('.live-chart')._fullLayout.xaxis.autorange === false",
        timeout=5000,
    )


def test_zoom_and_hidden_traces_survive_refreshes_until_the_revision_changes(page: Any) -> None:
    # The pause spans three refreshes, so the drag itself has to survive them as well.
    drag_over(page, 0.2, 0.6, pause_ms=1300)
    page.locator(".live-chart .legendtoggle").nth(1).click()
    page.wait_for_function(
        "() => document.querySelector('.live-chart')._fullData[1].visible === 'legendonly'"
    )
    before = read(page)
    after = wait_for_refreshes(page, 3)
    assert after["same"]
    assert after["range"] == before["range"]
    assert after["visible"] == [True, "legendonly", True]
    assert min(after["lengths"]) >= min(before["lengths"]) + 3

    page.get_by_role("button", name="Next run").click()
    page.wait_for_function(
        "() => document.querySelector('.live-chart')._fullLayout.xaxis.autorange === true",
        timeout=10_000,
    )
    fresh = read(page)
    assert fresh["same"]
    assert fresh["visible"] == [True, True, True]


def test_an_open_hover_survives_refreshes(page: Any) -> None:
    point = page.locator(".live-chart .scatterlayer .trace").nth(0).locator(".points path").nth(20)
    box = point.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    hover = page.locator(".live-chart .hoverlayer .hovertext").first
    hover.wait_for(timeout=5000)
    wait_for_refreshes(page, 3)
    page.wait_for_timeout(300)
    assert hover.is_visible()
    assert "Generator" in (hover.text_content() or "")


def test_a_reload_and_a_return_to_the_page_show_every_point(page: Any) -> None:
    before = wait_for_refreshes(page, 2)
    page.reload()
    wait_for_chart(page)
    reloaded = read(page)
    assert reloaded["first"] == 0
    assert min(reloaded["lengths"]) >= min(before["lengths"])
    assert reloaded["gap"] is None or reloaded["gap"] != reloaded["gap"]

    page.get_by_role("link", name="Elsewhere").click()
    page.wait_for_selector("text=Nothing here.")
    page.get_by_role("link", name="Charts").click()
    wait_for_chart(page)
    returned = wait_for_refreshes(page, 2)
    assert returned["first"] == 0
    assert min(returned["lengths"]) > min(reloaded["lengths"])


@pytest.mark.parametrize("harm", ["dropped", "foreign"])
def test_a_chart_that_cannot_follow_asks_for_everything(
    browser: Any, server: str, harm: str
) -> None:
    """Both ways of losing track heal.

    "dropped": Streamlit removes a chart whose update did not arrive, so it comes back empty.
    "foreign": the chart stays, but is handed updates of a figure that it does not hold.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    seen = {"harming": False, "harmed": 0, "full": 0}

    def pass_on(socket: Any, message: str | bytes) -> None:
        raw = message if isinstance(message, bytes) else message.encode()
        if seen["harming"] and b'"tails"' in raw and b'"losses"' in raw:
            seen["harmed"] += 1
            if harm == "dropped":
                return
            message = re.sub(rb'"base": "[0-9a-f]{8}"', b'"base": "!unknown"', raw)
        seen["full"] += b'"kind": "full"' in raw and b'"losses"' in raw
        socket.send(message)

    def route(socket: Any) -> None:
        upstream = socket.connect_to_server()
        upstream.on_message(lambda message: pass_on(socket, message))

    def wait_for(name: str, count: int) -> None:
        for _ in range(150):
            if seen[name] >= count:
                return
            page.wait_for_timeout(100)
        pytest.fail(f"waited in vain for {name}: {seen}")

    page.route_web_socket("**/_stcore/stream", route)
    page.goto(server)
    wait_for_chart(page)
    wait_for_refreshes(page, 2)
    seen["full"] = 0
    seen["harming"] = True
    if harm == "dropped":
        wait_for("harmed", 12)
        seen["harming"] = False
        wait_for("full", 1)
    else:
        # Any single update may be one of those that Streamlit does not hand to the script, so the
        # harm goes on until the chart has noticed.
        wait_for("full", 1)
        seen["harming"] = False
    page.wait_for_selector(".live-chart .nsewdrag")
    state = wait_for_refreshes(page, 2)
    assert state["same"] == (harm == "foreign")
    steps = page.evaluate("() => [...document.querySelector('.live-chart')._fullData[0].x]")
    assert steps == list(range(len(steps)))
    context.close()


def test_the_chart_has_a_description_and_follows_the_theme(page: Any) -> None:
    light = read(page)
    assert light["label"] == "Losses of three networks over the iterations"
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        "(old) => document.querySelector('.live-chart')._fullLayout.font.color !== old",
        arg=light["text"],
        timeout=10_000,
    )
    assert read(page)["same"]


def test_plotly_is_loaded_once_and_nothing_can_be_uploaded(page: Any, server: str) -> None:
    wait_for_refreshes(page, 3)
    names = page.evaluate(
        "() => performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    # One is the component's module, the other Plotly, although three charts are drawn.
    assert len([name for name in names if name.startswith(f"{server}/media/")]) == 2
    titles = page.evaluate(
        "() => [...document.querySelectorAll('.modebar-btn')].map((b) => b.dataset.title)"
    )
    assert "Save as PNG" in titles
    assert not [title for title in titles if "Share" in title]


def test_a_click_on_a_point_reports_its_record(page: Any) -> None:
    point = page.locator(".live-chart .scatterlayer .trace").nth(0).locator(".points path").nth(20)
    box = point.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector(".live-chart .hoverlayer .hovertext", timeout=5000)
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("text=/Generator-\\d+/", timeout=10_000)
