"""The Play page in a real browser, with a real run of the bundled network behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_support import ROOT, serve, wait_until

from adadfq_core import runs
from adadfq_core.runs import RunStatus

pytestmark = pytest.mark.browser

# Points of the first trace of the losses.
POINTS = """() => {
  const nodes = [...document.querySelectorAll(".live-chart")];
  const named = (node) => (node._fullData || []).some((t) => t.name === "L<sub>BNS</sub>");
  const losses = nodes.find(named);
  return losses ? losses._fullData[0].x.length : 0;
}"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    root = tmp_path / "runs"
    for info in runs.list_runs(root):
        if info.active:
            runs.stop(root, info.run_id)
    wait_until(lambda: not any(info.active for info in runs.list_runs(root)), seconds=60)


def test_start_watch_and_move_a_slider(browser: Any, home: Path) -> None:
    root = home / "runs"
    with serve(ROOT / "app" / "main.py", ADADFQ_HOME=str(home)) as url:
        page = browser.new_page(viewport={"width": 1280, "height": 1500})
        page.goto(url)
        page.get_by_role("button", name="Start", exact=True).click(timeout=60_000)

        # Two live updates: the chart grows, and grows again, without a reload.
        wait_until(lambda: page.evaluate(POINTS) > 0, seconds=60)
        first = page.evaluate(POINTS)
        wait_until(lambda: page.evaluate(POINTS) > first, seconds=30)
        second = page.evaluate(POINTS)
        wait_until(lambda: page.evaluate(POINTS) > second, seconds=30)

        (info,) = runs.list_runs(root)
        assert info.status == RunStatus.RUNNING
        slider = page.get_by_role("slider", name="lambda_l")
        slider.focus()
        slider.press("ArrowRight")
        changed = info.settings.lambda_l + 0.01
        wait_until(
            lambda: runs.current_settings(root, info.run_id).lambda_l == pytest.approx(changed),
            seconds=30,
        )

        # A reload attaches to the same run, with the slider where it was moved to.
        page.reload()
        wait_until(lambda: page.evaluate(POINTS) > second, seconds=60)
        shown = page.get_by_test_id("stSlider").filter(has_text="lambda_l")
        value = shown.get_by_test_id("stSliderThumbValue").inner_text()
        assert float(value) == pytest.approx(changed)
        assert len(runs.list_runs(root)) == 1

        folder = ROOT / "test-artifacts"
        folder.mkdir(exist_ok=True)
        page.screenshot(path=folder / "play.png")
        page.close()
