"""A real server, real runs and a real browser for the tests of this folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adadfq_core import runs
from adadfq_core.presets import preset_settings

ROOT = Path(__file__).parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
ARTIFACTS = ROOT / "test-artifacts"
# Before any script of the page: the tour of a first visit then stays away.
TOUR_SEEN = 'localStorage.setItem("adadfq-tour", "seen")'
# What each server that runs has printed, by its address.
_LOGS: dict[str, Path] = {}
# For what a page does once a loaded machine comes to it, in seconds.
LONG = 120

# The bundled network against a small generator on one core: an iteration in a few hundredths of a
# second, and of every fifth one images and the game's value.
BATCH, WARMUP = 8, 10
CHEAP = {
    "threads": 1,
    "evaluation_images": 100,
    "batch": BATCH,
    "generator_width": 16,
    "iterations_per_epoch": WARMUP,
    "warmup_epochs": 1,
    "snapshot_every": 5,
    "value_every": 5,
    "evaluate_every": 10,
    "checkpoint_every": 5,
    "embed_every": 1_000_000,
}

# In one go, since a live page may replace the chart at any moment. One out of sight is not drawn.
_FIGURE = """(key) => {
  const node = document.querySelector(`.st-key-${key} .live-chart`);
  const box = node?.getBoundingClientRect();
  if (box && (box.top < 0 || box.bottom > innerHeight)) node.scrollIntoView({ block: "center" });
  if (!node?._fullLayout) return null;
  const plain = (values) => Array.from(values ?? []);
  return {
    traces: node._fullData.map((trace) => ({
      name: trace.name,
      type: trace.type,
      x: plain(trace.x),
      y: plain(trace.y),
      customdata: plain(trace.customdata),
      symbol: trace.marker?.symbol,
      colour: trace.marker?.color,
      dash: trace.line?.dash,
      fill: trace.fill,
      mode: trace.mode,
    })),
    shapes: (node.layout.shapes ?? []).map(({ type, x0, x1, layer, line }) => (
      { type, x0, x1, layer, colour: line?.color }
    )),
    texts: (node.layout.annotations ?? []).map(({ text }) => text),
    range: node._fullLayout.xaxis.range,
    zoomed: node._fullLayout.xaxis.autorange === false,
  };
}"""


@dataclass(frozen=True)
class App:
    """A served app: its address and the folder of its runs."""

    url: str
    root: Path

    def at(self, run_id: str) -> str:
        """The address that shows run `run_id`."""
        return f"{self.url}/?run={run_id}"


def find_browser() -> str | None:
    named = os.environ.get("ADADFQ_CHROMIUM")
    return named or next(filter(None, map(shutil.which, BROWSERS)), None)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], *, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def start_run(root: Path, **changes: Any) -> str:
    """Start a cheap run with `changes` to its settings; its id."""
    return runs.start(root, preset_settings("interactive", {**CHEAP, **changes}), "interactive")


def end_runs(root: Path, run_id: str | None = None) -> None:
    """Stop run `run_id`, or all runs, and wait for the ends."""

    def unended() -> list[str]:
        # Newest first, so that none of those that wait gets the place of one that ends.
        ids = [info.run_id for info in runs.list_runs(root) if info.active or info.queued]
        return ids if run_id is None else [each for each in ids if each == run_id]

    for each in unended():
        runs.stop(root, each)
    wait_until(lambda: not unended(), seconds=LONG)


@contextmanager
def served_app(home: Path) -> Iterator[App]:
    """The app over folder `home`, whose runs are ended with it."""
    root = home / "runs"
    try:
        with serve(ROOT / "app" / "main.py", ADADFQ_HOME=str(home)) as url:
            yield App(url, root)
    finally:
        end_runs(root)


def finish_run(root: Path) -> str:
    """A run of 40 iterations that has ended well, with nothing beside it; its id."""
    end_runs(root)
    run_id = start_run(root, epochs=4)
    wait_until(lambda: not runs.info(root, run_id).active, seconds=LONG)
    assert runs.info(root, run_id).status == runs.RunStatus.FINISHED
    return run_id


@contextmanager
def opened(
    browser: Any,
    url: str,
    *,
    width: int = 1280,
    height: int = 1000,
    scheme: str = "light",
    first_visit: bool = False,
) -> Iterator[Any]:
    """A page with a session of its own; neither its scripts nor the app's may have failed.

    It has been here before, so that no tour covers it, unless this is its `first_visit`.
    """
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    if not first_visit:
        context.add_init_script(TOUR_SEEN)
    page = context.new_page()
    page.set_default_timeout(LONG * 1000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    try:
        page.goto(url)
        yield page
        assert errors == []
        assert page.get_by_test_id("stException").count() == 0
    except Exception:
        print(f"The page at {page.url} said:", page.locator("body").inner_text(), sep="\n")
        print("Its scripts failed with:", *(errors or ["nothing"]), sep="\n")
        log = _LOGS.get(urlsplit(page.url).netloc)
        if log is not None:
            print("Its server's last words:", log.read_text(errors="replace")[-4000:], sep="\n")
        raise
    finally:
        context.close()


def read_chart(page: Any, key: str) -> dict[str, Any] | None:
    """What the chart `key` draws, scrolled into sight; `None` before it does."""
    figure: dict[str, Any] | None = page.evaluate(_FIGURE, key)
    return figure


def wait_for_chart(
    page: Any, key: str, holds: Callable[[dict[str, Any]], bool] = lambda figure: True
) -> dict[str, Any]:
    """What the chart `key` draws as soon as that `holds`."""
    found: dict[str, Any] = {}

    def drawn() -> bool:
        figure = read_chart(page, key)
        found.update(figure or {})
        return figure is not None and holds(figure)

    wait_until(drawn, seconds=LONG)
    return found


def trace(figure: dict[str, Any], name: str) -> dict[str, Any]:
    """The trace `name` of what `read_chart` read."""
    (one,) = [each for each in figure["traces"] if each["name"] == name]
    return one


def text_of(page: Any, selector: str) -> str:
    """All text below `selector`, read at once: a live page may replace it meanwhile."""
    text: str = page.evaluate(
        "(selector) => document.querySelector(selector)?.textContent ?? ''", selector
    )
    return text


def address_of(page: Any) -> str:
    """The address as the browser shows it; `page.url` stands still while nothing else is asked."""
    address: str = page.evaluate("() => location.href")
    return address


def keep_picture(page: Any, name: str) -> None:
    """A screenshot in `ARTIFACTS` for people to look at."""
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png")


@contextmanager
def serve(page: Path, **environment: str) -> Iterator[str]:
    """A Streamlit server that shows `page`; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(page)]
    command += ["--server.port", str(port), "--server.address", "127.0.0.1"]
    command += ["--server.headless", "true", "--browser.gatherUsageStats", "false"]
    address = f"127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        log = _LOGS[address] = Path(folder) / "server.log"
        with log.open("wb") as printed:
            process = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, **environment}, stdout=printed, stderr=printed
            )
        try:
            wait_until(lambda: answers(f"http://{address}/_stcore/health"), seconds=30)
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait(timeout=LONG)
            del _LOGS[address]
