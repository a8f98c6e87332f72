"""A report in a real browser that has no network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.export.report import report_html
from tests.app.report_contents import NETWORK_FILE, content_of

pytestmark = pytest.mark.browser

EVIL = "<script>window.alarm = 1</script>"
CHARTS = 8
WIDTH = "() => document.querySelector('.plot .main-svg').getAttribute('width')"
INK = "() => getComputedStyle(document.querySelector('.plot .xtick text')).fill"
PAPER = "() => getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("report")
    content = content_of(folder, classes=(EVIL, "shoe", "bag"), note=EVIL)
    file = folder / "report.html"
    file.write_text(report_html(content), encoding="utf-8")
    context = browser.new_context(color_scheme="light", viewport={"width": 1280, "height": 900})
    context.set_offline(True)
    page = context.new_page()
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda message: trouble.append(message.text))
    page.on("request", lambda request: trouble.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_function(
        f"() => document.querySelectorAll('.main-svg .xtick').length >= {CHARTS}"
    )
    assert trouble == [file.as_uri()], "one request, for the file itself, and no complaint"
    yield page
    context.close()


def test_every_chart_is_drawn(page: Any) -> None:
    drawn = page.evaluate(
        """() => [...document.querySelectorAll(".plot")].map((node) => {
          const marks = node.querySelectorAll(".scatterlayer path");
          const box = node.querySelector(".main-svg").getBoundingClientRect();
          return marks.length > 0 && box.width > 300 && box.height > 300;
        })"""
    )
    assert drawn == [True] * CHARTS


def test_a_class_name_is_shown_and_not_run(page: Any) -> None:
    assert page.evaluate("() => window.alarm") is None
    names = page.locator("#chart-margin-picture .ytick").all_text_contents()
    assert names == [EVIL, "shoe", "bag"]
    assert page.locator("figcaption").first.inner_text().startswith(EVIL)


def test_the_network_is_saved_as_it_was(page: Any) -> None:
    with page.expect_download() as waiting:
        page.locator("#network").click()
    assert waiting.value.suggested_filename.endswith(".safetensors")
    assert Path(waiting.value.path()).read_bytes() == NETWORK_FILE


def test_dark_and_narrow_screens(page: Any) -> None:
    light = page.evaluate(INK), page.evaluate(PAPER)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(INK), page.evaluate(PAPER)
    page.emulate_media(color_scheme="light")
    assert light == ("rgb(28, 38, 43)", "rgb(255, 255, 255)")
    assert dark == ("rgb(230, 237, 239)", "rgb(16, 23, 26)")
    for width in (820, 400):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function(f"() => ({WIDTH})() < {width}")
        assert page.evaluate("() => document.documentElement.scrollWidth") == width
    page.set_viewport_size({"width": 1280, "height": 900})


def test_on_paper_charts_fit_and_all_is_unfolded(page: Any) -> None:
    page.wait_for_function(f"() => ({WIDTH})() > 800")
    before = page.evaluate(WIDTH)
    page.emulate_media(color_scheme="dark")
    page.evaluate(
        f"""() => addEventListener("beforeprint", () => {{
          window.printed = [
            ({WIDTH})(),
            document.querySelectorAll("details:not([open])").length,
          ];
        }}, {{ once: true }})"""
    )
    assert page.pdf(format="A4").startswith(b"%PDF")
    width, folded = page.evaluate("() => window.printed")
    assert (width, folded) == ("660", 0)
    assert page.evaluate(WIDTH) == before
    assert page.locator("details[open]").count() == 0
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(INK) == "rgb(28, 38, 43)"
    page.emulate_media(media="screen", color_scheme="light")
