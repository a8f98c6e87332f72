"""Hostile words on every page and in the report, in a real browser: read, and nothing more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from browser_support import LONG, App, opened, served_app, text_of, wait_for_chart, wait_until
from hostile_texts import ALARM, ALL, HOSTILE, SHORT, hostile_run, hostile_sweep

from app.export.report import report_html
from app.markdown import JOINER

pytestmark = pytest.mark.browser

MAIN = "[data-testid=stMain]"
# Of a row of the table of runs.
ROW_PIXELS = 35
NAMES = tuple(text for text in HOSTILE.values() if text.isprintable() and len(text) < 200)
CLASSES = NAMES[:9]
# What the words would have become, in the page and in the shadows of its components.
MADE = f"""() => {{
  const every = (root) => [...root.querySelectorAll("*")].flatMap(
    (node) => [node, ...(node.shadowRoot ? every(node.shadowRoot) : [])]);
  const isMade = (node) =>
    [...node.attributes].some(({{ name, value }}) =>
      (/^on/.test(name) && value.includes("{ALARM}")) ||
      (/^(src|href|xlink:href|action)$/.test(name) && /hostile|^x$|^javascript:/.test(value))) ||
    (node.localName === "script" && !node.src && node.textContent.startsWith("window.{ALARM}"));
  return every(document).filter(isMade).map((node) => node.outerHTML.slice(0, 200));
}}"""


@pytest.fixture(scope="module")
def lab(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[App, str, str]]:
    """The app over a run, another to lay beside it and a sweep, all with hostile words."""
    home = tmp_path_factory.mktemp("hostile")
    root = home / "runs"
    beside = hostile_run(root, CLASSES).view.run_id
    run_id = hostile_run(root, CLASSES).view.run_id
    sweep_id = hostile_sweep(root, beside)
    with served_app(home) as app:
        yield app, f"?run={run_id}&beside={beside}", f"?sweep={sweep_id}"


def read(text: str) -> str:
    """What a reader sees of `text`: white space and signs without width do not count."""
    for sign in (JOINER, "\u2068", "\u2069"):
        text = text.replace(sign, "")
    return " ".join(text.split())


@contextmanager
def watched(browser: Any, url: str) -> Iterator[Any]:
    """A page that asks no stranger for anything, and in which nothing has become of the words."""
    asked: list[str] = []
    dialogs: list[str] = []
    with opened(browser, url) as page:
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        page.reload()
        yield page
        assert page.evaluate(MADE) == []
        assert page.evaluate(f"() => window.{ALARM}") is None
    assert dialogs == []
    own = urlsplit(url)
    there = {urlsplit(each)[:2] for each in asked if not each.startswith(("data:", "blob:"))}
    assert there <= {(own.scheme, own.netloc), ("ws", own.netloc)}


def said(page: Any) -> str:
    """What the page says, as its reader sees it."""
    return read(text_of(page, MAIN))


def read_words(page: Any, times: int = 1) -> None:
    """Wait until the page says the whole hostile text so many times, letter by letter."""
    wait_until(lambda: said(page).count(read(ALL)) >= times, seconds=LONG)


def test_the_play_page(browser: Any, lab: tuple[App, str, str]) -> None:
    app, run, _ = lab
    with watched(browser, f"{app.url}/{run}") as page:
        read_words(page, times=2)
        figure = wait_for_chart(page, "margin_picture")
        assert figure is not None
        ticks = page.locator(".st-key-margin_picture .ytick").all_text_contents()
        assert list(map(read, ticks)) == list(map(read, CLASSES))
        wait_for_chart(page, "accuracy")
        legend = page.locator(".st-key-accuracy .legendtext").all_text_contents()
        assert read(HOSTILE["handler"]) in map(read, legend)


def test_the_ablation_page(browser: Any, lab: tuple[App, str, str]) -> None:
    app, _, sweep = lab
    with watched(browser, f"{app.url}/ablation{sweep}") as page:
        read_words(page)
        page.get_by_text("failed, with reasons").click()
        page.get_by_role("radio", name="Table", exact=True).click()
        page.locator(".st-key-sweep-table table").wait_for()
        cells = page.locator(".st-key-sweep-table tbody tr td:first-child").all_text_contents()
        assert set(map(read, NAMES)) <= set(map(read, cells))


def test_the_runs_page(browser: Any, lab: tuple[App, str, str]) -> None:
    app, _, _ = lab
    with watched(browser, f"{app.url}/runs") as page:
        table = page.get_by_test_id("stDataFrame").first
        table.wait_for()
        box = table.bounding_box()
        wait_until(lambda: table.locator("tbody tr").count() == 2, seconds=LONG)
        page.mouse.click(box["x"] + 20, box["y"] + 1.5 * ROW_PIXELS)
        page.get_by_label("Note").wait_for()
        assert read(page.get_by_label("Note").input_value()) == read(ALL)
        read_words(page)
        tags = page.locator("[data-testid=stMultiSelect]").last
        for tag in SHORT:
            assert read(tag) in read(tags.inner_text())
        page.get_by_role("tab", name="Sweeps").click()
        page.get_by_role("button", name="Open in Ablation").wait_for()


@pytest.mark.slow
def test_the_inspect_page(browser: Any, lab: tuple[App, str, str]) -> None:
    app, _, _ = lab
    with watched(browser, f"{app.url}/inspect") as page:
        page.get_by_role("button", name="Contact sheet").wait_for()
        tiles = page.locator(".tile")
        wait_until(lambda: tiles.count() == 2 * len(CLASSES), seconds=LONG)
        names = {
            read(text.rpartition("\n")[0]) for text in page.locator(".caption").all_inner_texts()
        }
        assert names == set(map(read, CLASSES))
        for place in range(len(CLASSES)):
            tiles.nth(place).click()
            name = tiles.nth(place).get_attribute("aria-label").rpartition(", ")[0]
            wait_until(lambda name=name: f"{read(name)}, iteration" in said(page), seconds=LONG)
            wait_for_chart(page, "close_up_distributions")
        page.get_by_role("radio", name="Classes").click()
        page.locator(".class-grid th").first.wait_for()
        assert set(map(read, CLASSES)) <= set(
            map(read, page.locator(".class-grid th").all_text_contents())
        )
        page.get_by_role("radio", name="Latent walk").click()
        page.get_by_role("combobox", name="Class from").wait_for()
        assert read(page.get_by_role("combobox", name="Class from").input_value()) == CLASSES[0]


@pytest.mark.slow
def test_pages_that_tell_little_of_a_run(browser: Any, lab: tuple[App, str, str]) -> None:
    app, _, _ = lab
    for place, words in (("take_away", "Download the report"), ("learn", ""), ("glossary", "")):
        with watched(browser, f"{app.url}/{place}") as page:
            wait_until(lambda words=words: words in said(page), seconds=LONG)
            if place == "glossary":
                for text in (HOSTILE["addresses"], HOSTILE["icons"], HOSTILE["script"]):
                    page.get_by_role("textbox").first.fill(text)
                    page.get_by_role("textbox").first.press("Enter")
                    wait_until(lambda text=text: read(text) in said(page), seconds=LONG)


def test_the_report(browser: Any, tmp_path: Path) -> None:
    content = hostile_run(tmp_path / "runs", CLASSES)
    file = tmp_path / "report.html"
    file.write_text(report_html(content), encoding="utf-8")
    context = browser.new_context()
    page = context.new_page()
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda message: trouble.append(message.text))
    page.on("dialog", lambda dialog: trouble.append(dialog.message))
    page.on("request", lambda request: trouble.append(request.url))
    page.goto(file.as_uri())
    page.locator("#chart-margin-picture .ytick").first.wait_for()
    assert trouble == [file.as_uri()]
    assert page.evaluate(MADE) == [] and page.evaluate(f"() => window.{ALARM}") is None
    assert read(ALL) in read(page.locator("header").text_content())
    for tag in SHORT:
        assert read(tag) in read(page.locator("header").text_content())
    ticks = page.locator("#chart-margin-picture .ytick").all_text_contents()
    assert list(map(read, ticks)) == list(map(read, CLASSES))
    captions = page.locator("figcaption").all_text_contents()
    assert all(
        read(caption).startswith(read(name))
        for caption, name in zip(captions, CLASSES, strict=False)
    )
    context.close()
