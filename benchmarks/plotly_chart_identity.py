"""Does `st.plotly_chart` keep its chart while its data grows? And does the live chart?

Run `python benchmarks/plotly_chart_identity.py`. Each kind of chart stands in a fragment that
refreshes every second and gains a point each time. A browser marks the chart's DOM node, hides
one trace through the legend, waits for five more points and looks whether node and choice are
still there. The answer is the reason why `app/components/live_chart` exists.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import streamlit as st

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "browser")]

KINDS = {"st.plotly_chart": ".js-plotly-plot", "live_chart": ".live-chart"}
POINTS_WATCHED = 5
# Null while the chart is taken away and not yet there again.
STATE = """(selector) => {
  const node = document.querySelector(selector);
  return node?._fullData && {
    same: node === window.markedNode,
    hidden: node._fullData[1].visible === "legendonly",
    points: node._fullData[0].x.length,
  };
}"""


def page() -> None:
    """The page under test: `kind` in the address chooses the chart."""
    from app.components.live_chart import live_chart

    kind = st.query_params["kind"]

    @st.fragment(run_every=1.0)
    def panel() -> None:
        count = st.session_state["count"] = st.session_state.get("count", 2) + 1
        figure = go.Figure()
        for name in ("first", "second"):
            figure.add_scatter(x=list(range(count)), y=list(range(count)), name=name)
        figure.update_layout(uirevision="run")
        if kind == "live_chart":
            live_chart(figure, key="chart", revision="run")
        else:
            st.plotly_chart(figure, key="chart")

    panel()


def watch(browser_page: object, url: str, kind: str, wait_until: Callable[..., None]) -> str:
    """One line on what five refreshes left of node and legend choice."""
    selector = KINDS[kind]
    browser_page.goto(f"{url}/?kind={kind}")
    browser_page.wait_for_selector(f"{selector} .legendtoggle", timeout=60_000)
    browser_page.evaluate("(s) => { window.markedNode = document.querySelector(s); }", selector)
    browser_page.locator(f"{selector} .legendtoggle").nth(1).click()
    seen: list[dict[str, Any]] = []

    def grown() -> bool:
        if state := browser_page.evaluate(STATE, selector):
            seen.append(state)
        return len(seen) > 0 and seen[-1]["points"] >= seen[0]["points"] + POINTS_WATCHED

    wait_until(grown, seconds=30)
    state = seen[-1]
    node = "kept" if state["same"] else "replaced"
    choice = "kept" if state["hidden"] else "lost"
    return f"{kind}: after {POINTS_WATCHED} points the node is {node}, the hidden trace {choice}"


def main() -> None:
    """Measure both kinds and print what was seen."""
    from browser_support import SWITCHES, find_browser, serve, wait_until
    from playwright.sync_api import sync_playwright

    os.environ["PYTHONPATH"] = str(ROOT)
    print(f"Streamlit {st.__version__}")
    with serve(Path(__file__)) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=SWITCHES)
        for kind in KINDS:
            print(watch(browser.new_page(), url, kind, wait_until))
        browser.close()


if st.runtime.exists():
    page()
elif __name__ == "__main__":
    main()
