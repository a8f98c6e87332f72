"""The live chart in a real browser, drawn by a real server with a fragment that refreshes it."""

from __future__ import annotations

import io
import json
import re
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from browser_support import opened, serve
from PIL import Image

pytestmark = pytest.mark.browser

PAGE = Path(__file__).parent / "pages" / "live_chart_page.py"
SVG = "{http://www.w3.org/2000/svg}"
WAIT_MS = 30_000
# The state of the first chart. `same` tells whether its node is the one that was marked.
STATE = """() => {
  const node = document.querySelector(".live-chart");
  if (!node?._fullLayout?.xaxis) return null;
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


# Where a point of the first chart's data is in the window.
PLACE = """([x, y]) => {
  const node = document.querySelector(".live-chart");
  const { left, top } = node.getBoundingClientRect();
  const { xaxis, yaxis } = node._fullLayout;
  return [left + xaxis._offset + xaxis.d2p(x), top + yaxis._offset + yaxis.d2p(y)];
}"""
OUTLINES = "() => document.querySelectorAll('.live-chart .selectionlayer path').length"
CAMERA = "() => document.querySelectorAll('.live-chart')[1]._fullLayout.scene.camera.eye"
# How many points of the last trace of each chart have been drawn.
DRAWN = """() => [...document.querySelectorAll(".live-chart")].map(
  (node) => node._fullData?.at(-1).x.length ?? 0
)"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serve(PAGE) as url:
        yield url


@pytest.fixture
def page(browser: Any, server: str) -> Iterator[Any]:
    with opened(browser, server, height=900) as page:
        page.set_default_timeout(WAIT_MS)
        page.home = server
        wait_for_chart(page)
        yield page


def wait_for_chart(page: Any) -> None:
    page.wait_for_selector(".live-chart .nsewdrag", timeout=30_000)
    page.evaluate("() => { window.markedNode = document.querySelector('.live-chart'); }")


def read(page: Any) -> dict[str, Any]:
    # A chart that has just come back is empty for a moment.
    return page.wait_for_function(STATE).json_value()


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


def open_page(page: Any, path: str) -> None:
    page.goto(f"{page.home}/{path}")
    wait_for_chart(page)


def wait_for_growth(page: Any, chart: int, count: int) -> None:
    aim = page.evaluate(DRAWN)[chart] + count
    page.wait_for_function(f"() => ({DRAWN})()[{chart}] >= {aim}", timeout=30_000)


def reports(page: Any) -> dict[str, list[Any]]:
    """What the page has been told so far."""
    return json.loads(page.get_by_test_id("stCode").inner_text())


def wait_for_report(page: Any, name: str, count: int) -> Any:
    deadline = time.monotonic() + 20
    while len(told := reports(page)[name]) < count:
        assert time.monotonic() < deadline, f"only told {told}"
        page.wait_for_timeout(100)
    return told[-1]


def draw(page: Any, *corners: tuple[float, float]) -> None:
    """Drag the mouse through places of the first chart's data."""
    first, *others = (page.evaluate(PLACE, corner) for corner in corners)
    page.mouse.move(*first)
    page.mouse.down()
    for place in others:
        page.mouse.move(*place, steps=8)
    page.mouse.up()


ROUND_FOUR = ((-0.4, -0.4), (1.4, -0.4), (1.4, 1.4), (-0.4, 1.4), (-0.4, -0.3))
FOUR = {0, 1, 10, 11, "name 0", "name 1", "name 10", "name 11"}


def test_a_lasso_reports_the_ids_inside_once_and_outlives_refreshes(page: Any) -> None:
    open_page(page, "selection")
    draw(page, *ROUND_FOUR)
    selected = wait_for_report(page, "selected", 1)
    assert len(selected) == len(FOUR)
    assert set(selected) == FOUR
    wait_for_growth(page, 0, 5)
    assert page.evaluate(OUTLINES) > 0
    assert page.evaluate(
        "() => document.querySelector('.live-chart')._fullData[0].selectedpoints"
    ) == [0, 1, 5, 6]
    assert len(reports(page)["selected"]) == 1
    assert page.evaluate(
        """() => {
          const chart = document.querySelector(".live-chart");
          const outline = chart.querySelector(".selectionlayer path");
          chart.style.color = getComputedStyle(chart).getPropertyValue("--st-primary-color");
          return getComputedStyle(outline).stroke === getComputedStyle(chart).color;
        }"""
    )

    # A click on a point is a click alone, and the outline stays. Plotly reports what it has seen
    # the pointer over, so one that comes and presses at once may be too quick on a busy machine.
    deadline = time.monotonic() + 20
    while not reports(page)["clicked"] and time.monotonic() < deadline:
        page.mouse.move(*page.evaluate(PLACE, [3, 3]))
        page.wait_for_timeout(300)
        page.mouse.click(*page.evaluate(PLACE, [3, 3]))
        page.wait_for_timeout(700)
    assert wait_for_report(page, "clicked", 1) == 33
    wait_for_growth(page, 0, 3)
    assert len(reports(page)["selected"]) == 1
    assert page.evaluate(OUTLINES) > 0

    # On a busy machine the second click may come too late for a double one, which does nothing.
    deadline = time.monotonic() + 20
    while len(reports(page)["selected"]) < 2 and time.monotonic() < deadline:
        page.mouse.dblclick(*page.evaluate(PLACE, [2.6, 2.5]))
        page.wait_for_timeout(2000)
    assert reports(page)["selected"][1:] == [[]]
    wait_for_growth(page, 0, 3)
    assert page.evaluate(OUTLINES) == 0
    assert len(reports(page)["selected"]) == 2


def test_a_box_selects_too_and_a_new_revision_takes_it_away(page: Any) -> None:
    open_page(page, "selection")
    page.locator(".live-chart").first.hover()
    page.locator(".live-chart .modebar-btn[data-title='Box Select']").first.click()
    draw(page, (-0.3, 3.5), (1.1, 4.4))
    assert set(wait_for_report(page, "selected", 1)) == {4, 14, "name 4"}
    # The same points again are news: the page may have dropped the first report.
    draw(page, (-0.4, 3.4), (1.1, 4.4))
    assert set(wait_for_report(page, "selected", 2)) == {4, 14, "name 4"}
    page.get_by_role("button", name="Next run").click()
    page.wait_for_function(f"() => ({OUTLINES})() === 0", timeout=20_000)


def test_without_lasso_the_mode_bar_offers_none(page: Any) -> None:
    titles = "() => [...document.querySelectorAll('.modebar-btn')].map((b) => b.dataset.title)"
    assert not {"Box Select", "Lasso Select"} & set(page.evaluate(titles))
    open_page(page, "selection")
    assert {"Box Select", "Lasso Select"} <= set(page.evaluate(titles))


def test_the_heading_is_text_with_subscripts_within_the_height(page: Any) -> None:
    open_page(page, "selection")
    heading = page.get_by_role("heading", name="Cloud of x1 & <b>x</b>, run 1", level=2)
    assert heading.evaluate("(node) => [...node.children].map((c) => c.outerHTML)") == [
        "<sub>1</sub>"
    ]
    frames = page.locator(".live-chart-frame")
    chart = page.locator(".live-chart").first.bounding_box()
    outer, title = frames.first.bounding_box(), heading.bounding_box()
    assert outer["height"] == 400
    assert title["y"] == pytest.approx(outer["y"], abs=1)
    assert title["y"] + title["height"] <= chart["y"]
    assert chart["y"] + chart["height"] == pytest.approx(outer["y"] + outer["height"], abs=1)
    plot = page.locator(".live-chart .main-svg").first.bounding_box()
    assert plot["height"] == pytest.approx(chart["height"], abs=1)
    # The second chart has no title and leaves no room for one.
    assert frames.nth(1).locator("h2").is_hidden()
    assert page.locator(".live-chart").nth(1).bounding_box()["height"] == 400

    page.get_by_role("button", name="Next run").click()
    page.get_by_role("heading", name="Cloud of x1 & <b>x</b>, run 2").wait_for(timeout=20_000)


def test_a_chart_in_space_keeps_its_camera_and_reports_clicks(page: Any) -> None:
    if not page.evaluate("() => Boolean(document.createElement('canvas').getContext('webgl'))"):
        pytest.skip("this browser draws no WebGL")
    open_page(page, "selection")
    chart = page.locator(".live-chart").nth(1)
    chart.scroll_into_view_if_needed()
    wait_for_growth(page, 1, 1)
    assert chart.locator(".modebar-btn[data-title='Lasso Select']").count() == 0
    scene = page.evaluate(
        """() => {
          const node = document.querySelectorAll(".live-chart")[1];
          const { left, top } = node.getBoundingClientRect();
          const { l, t, w, h } = node._fullLayout._size;
          return [left + l + w / 2, top + t + h / 2];
        }"""
    )
    page.mouse.move(scene[0] + 3, scene[1] + 3, steps=4)
    label = chart.locator(".hovertext").first
    label.wait_for(timeout=20_000)
    name, box = label.evaluate(
        "(node) => ['.name', 'rect'].map((part) => getComputedStyle(node.querySelector(part)).fill)"
    )
    assert name != box, "the trace's name has the colour of its box"
    page.mouse.down()
    page.mouse.up()
    assert wait_for_report(page, "in_space", 1) == "middle"
    # Streamlit tells a click again where the next refresh cut its run short.
    wait_for_growth(page, 1, 2)
    told = reports(page)["in_space"]
    assert set(told) == {"middle"}

    before = page.evaluate(CAMERA)
    # A turn that begins on the point is no click.
    page.mouse.down()
    # The scene looks at the mouse once a frame.
    for step in range(1, 7):
        page.mouse.move(scene[0] + 20 * step, scene[1] + 5 * step)
        page.wait_for_timeout(100)
    page.mouse.up()
    page.wait_for_function(f"(before) => ({CAMERA})().x !== before", arg=before["x"])
    turned = page.evaluate(CAMERA)
    wait_for_growth(page, 1, 3)
    assert page.evaluate(CAMERA) == turned
    assert reports(page)["in_space"] == told


def test_a_chart_outside_the_window_waits_and_is_complete_when_it_is_seen(page: Any) -> None:
    def points() -> int:
        return int(page.get_by_test_id("stCode").inner_text())

    def look_at(chart: int) -> None:
        page.locator(".live-chart").nth(chart).scroll_into_view_if_needed()
        wanted = points()
        page.wait_for_function(f"() => ({DRAWN})()[{chart}] >= {wanted}", timeout=30_000)

    open_page(page, "far")
    wait_for_growth(page, 0, 3)
    assert page.evaluate(DRAWN)[1] == 0, "drawn although nobody has seen it"
    look_at(1)

    look_at(0)
    page.wait_for_timeout(500)
    drawn = page.evaluate(DRAWN)[1]
    wait_for_growth(page, 0, 4)
    assert page.evaluate(DRAWN)[1] == drawn
    look_at(1)
    steps = page.evaluate(
        "() => [...document.querySelectorAll('.live-chart')[1]._fullData.at(-1).x]"
    )
    assert len(steps) > drawn
    assert steps == list(range(len(steps)))


def test_a_chart_just_below_the_window_is_drawn_already(page: Any) -> None:
    open_page(page, "far")
    # 60 pixels below the lower edge of what scrolls.
    page.evaluate(
        """() => {
          const scroller = document.querySelector("[data-testid=stMain]");
          const chart = document.querySelectorAll(".live-chart")[1];
          const gap = chart.getBoundingClientRect().top - scroller.getBoundingClientRect().bottom;
          scroller.scrollBy(0, gap - 60);
        }"""
    )
    page.wait_for_function(f"() => ({DRAWN})()[1] > 0", timeout=20_000)
    top = page.locator(".live-chart").nth(1).bounding_box()["y"]
    assert top >= page.viewport_size["height"]


def chart_of(page: Any, key: str) -> Any:
    """The chart `key`, with its tool bar in sight."""
    chart = page.locator(f".st-key-{key} .live-chart")
    chart.scroll_into_view_if_needed()
    chart.locator(".nsewdrag").wait_for()
    chart.hover()
    return chart


def saved(page: Any, key: str, format: str) -> tuple[str, bytes]:
    """Name and content of the file that a button of the chart `key` gives."""
    button = chart_of(page, key).get_by_role("button", name=f"Save as {format}")
    with page.expect_download() as waited:
        button.click()
    return waited.value.suggested_filename, waited.value.path().read_bytes()


def expected_frame(points: int) -> pd.DataFrame:
    steps = range(points)
    return pd.DataFrame(
        {
            "step": steps,
            "top-1": [90 + step / 7 for step in steps],
            "name": [f'"run", part {step}\nλ' for step in steps],
        }
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_picture_is_saved_with_heading_axes_and_the_themes_ground(
    browser: Any, server: str, scheme: str
) -> None:
    with opened(browser, f"{server}/files", scheme=scheme) as page:
        box = chart_of(page, "asked").bounding_box()
        ground = page.evaluate(
            "() => getComputedStyle(document.querySelector('.stApp')).backgroundColor"
        )
        red, green, blue = map(int, re.findall(r"\d+", ground)[:3])
        assert (red > 200) == (scheme == "light")

        name, content = saved(page, "asked", "PNG")
        picture = Image.open(io.BytesIO(content))
        assert name == "sweep-1.png"
        assert picture.width == 2 * round(box["width"])
        assert picture.height > 2 * box["height"], "no room for the heading"
        corners = {
            picture.convert("RGBA").getpixel((x, y))
            for x in (0, picture.width - 1)
            for y in (0, picture.height - 1)
        }
        assert corners == {(red, green, blue, 255)}

        name, content = saved(page, "asked", "SVG")
        drawing = ElementTree.fromstring(content)
        assert name == "sweep-1.svg"
        assert drawing.tag == f"{SVG}svg"
        texts = {"".join(text.itertext()) for text in drawing.iter(f"{SVG}text")}
        assert {"Iteration", "Top-1, %", "squares"} <= texts
        # Plotly writes a character of no width after a subscript.
        assert "A < B & λl" in {text.replace("\u200b", "") for text in texts}
        title = drawing.find(f".//{SVG}g[@class='g-gtitle']/{SVG}text")
        legend = drawing.find(f".//{SVG}g[@class='legend']")
        assert float(title.get("y")) < float(re.findall(r"[\d.]+", legend.get("transform"))[1])


def test_a_csv_file_is_written_when_it_is_asked_for_and_then_alone(
    browser: Any, server: str
) -> None:
    with opened(browser, f"{server}/elsewhere") as page:
        sent: list[bytes] = []

        def listen(socket: Any) -> None:
            socket.on(
                "framereceived",
                lambda frame: sent.append(frame if isinstance(frame, bytes) else frame.encode()),
            )

        page.on("websocket", listen)
        page.goto(f"{server}/files")

        def counts() -> tuple[int, int]:
            refreshes, written = page.get_by_test_id("stCode").inner_text().split()
            return int(refreshes), int(written)

        def wait_for_refreshes(count: int) -> None:
            aim = counts()[0] + count
            deadline = time.monotonic() + 60
            while counts()[0] < aim:
                assert time.monotonic() < deadline, "the page does not refresh"
                page.wait_for_timeout(100)

        chart_of(page, "asked")
        wait_for_refreshes(2)
        assert counts()[1] == 0
        assert not [frame for frame in sent if b"part 4" in frame]

        name, content = saved(page, "asked", "CSV")
        assert name == "sweep-1.csv"
        pd.testing.assert_frame_equal(pd.read_csv(io.BytesIO(content)), expected_frame(300))

        def with_file() -> int:
            return sum(b"part 299" in frame for frame in sent)

        # The browser asks again after seconds without an answer, and an answer may be overtaken
        # by the next refresh before it is sent.
        wait_for_refreshes(3)
        answers, written = with_file(), counts()[1]
        assert 1 <= answers <= written
        wait_for_refreshes(3)
        assert (with_file(), counts()[1]) == (answers, written)

        # The same file once more, by the keyboard.
        button = chart_of(page, "asked").get_by_role("button", name="Save as CSV")
        button.focus()
        with page.expect_download() as waited:
            page.keyboard.press("Enter")
        assert waited.value.path().read_bytes() == content

        name, content = saved(page, "ready", "CSV")
        assert name == "sweep-2.csv"
        pd.testing.assert_frame_equal(pd.read_csv(io.BytesIO(content)), expected_frame(5))


def test_a_chart_without_numbers_to_take_away_offers_pictures(browser: Any, server: str) -> None:
    with opened(browser, f"{server}/files") as page:
        chart = chart_of(page, "pictures")
        assert chart.get_by_role("button", name="Save as CSV").count() == 0
        assert saved(page, "pictures", "PNG")[0] == "pictures.png"
