"""How soon does the Runs page show a store of thousands of runs?

Run `python benchmarks/runs_page.py`: about a minute, a part of it to make the store in a temporary
folder (400 MB for every 1,000 runs). The runs are as the preset quick leaves them, with the record
of every step; two in five are cells of sweeps, and some have tags and notes. Their arrays and
checkpoints are left out, since the page reads none.

Each sample is a session of its own, in a browser that has to load all of the app anew:
- load: from the start of navigation to the frame that shows the whole table, address typed in;
- click: from the press on the page's name in the menu, another page being shown before, to that
  frame, by the browser's own time of the event;
- server: the part of a click between the first message to the server and the last one from it;
- click again: the same once more in that session, whose browser has the table's script by then.

The first session of a fresh server is told apart ("first load"): the server still imports what its
pages need, and reads all runs for the first time.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from machine import machine

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "browser")]

PRESET = "quick"
SWEEP_CELLS = 25
PATIENCE_MS = 60_000
MARGINS = tuple(round(0.05 * step, 2) for step in range(7))

# The grid draws on a canvas, and describes itself to screen readers: all rows, then a full first.
SHOWN = """(rows) => {
  const grid = document.querySelector(`[data-testid=stDataFrame] [role=grid]`);
  const cell = grid?.querySelector("tbody [role=gridcell]:nth-child(2)");
  const all = Number(grid?.getAttribute("aria-rowcount")) === rows + 1;
  return all && cell?.textContent ? performance.now() : 0;
}"""
# The press is timed by the browser, before any script sees it.
STOPWATCH = """() => {
  const note = ({ timeStamp }) => { window.pressedAt = timeStamp; };
  window.addEventListener("pointerdown", note, { capture: true, once: true });
}"""


def step_texts(iterations: int, batch: int) -> list[str]:
    """Data of the steps of a run, as the worker writes them."""
    from adadfq_core.game.step import SCALARS
    from adadfq_core.runs.records import encode

    random = np.random.default_rng(0)
    texts = []
    for iteration in range(1, iterations + 1):
        data: dict[str, Any] = dict(zip(SCALARS, random.random(len(SCALARS)), strict=True))
        data |= {"ms": random.normal(80, 5), "seconds": iteration * 0.08, "lr_g": 1e-3}
        data |= {"lr_q": 3e-4, "h_prime": random.random(batch).round(4)}
        texts.append(encode(data))
    return texts


def log_of(number: int, steps: list[str], evaluate_every: int) -> Iterator[tuple[int, str, str]]:
    """Iteration, kind and data of the records of a run, without the names of files."""
    from adadfq_core.runs import RecordKind
    from adadfq_core.runs.records import encode

    def measured(network: str, top1: float, iteration: int) -> tuple[int, str, str]:
        data = {"network": network, "top1": top1, "seconds": iteration * 0.08}
        return iteration, RecordKind.EVALUATION, encode(data)

    warmup = len(steps) // 3
    for iteration, step in enumerate(steps, 1):
        yield iteration, RecordKind.STEP, step
        if iteration % 50 == 0:
            yield iteration, RecordKind.IMAGES, "{}"
            yield iteration, RecordKind.VALUE, encode({"before": 0.5, "after_g": 0.4})
        if iteration == warmup:
            yield measured("p", 94.88, iteration)
            yield measured("q_calibrated", 40 + number % 17, iteration)
        elif iteration > warmup and iteration % evaluate_every == 0:
            yield measured("q", 70 + number % 13 + 5 * iteration / len(steps), iteration)


def make_store(root: Path, number: int) -> None:
    """Fill the folder `root` with `number` runs that have ended, and their sweeps."""
    from adadfq_core.presets import preset_settings
    from adadfq_core.runs import RunStatus
    from adadfq_core.runs.row_checksums import register
    from adadfq_core.runs.store import RunStore

    store = RunStore(root)
    plain = preset_settings(PRESET)
    steps = step_texts(plain.iterations, plain.batch)
    now = time.time()
    with closing(sqlite3.connect(store.database)) as connection:
        register(connection)
        connection.execute("PRAGMA synchronous = OFF")
        for place in range(number):
            changes = {"lambda_l": MARGINS[place % 7], "lambda_u": 0.5 + MARGINS[place // 7 % 7]}
            settings = preset_settings(PRESET, {**changes, "seed": place})
            created = now - 60 * (number - place)
            stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(created))
            run_id = f"{stamp}-3w3a-{place % 10}{place // 10 % 10}"
            labels = json.dumps([f"figure {place % 5}", "paper"]) if place % 10 == 0 else "[]"
            connection.execute(
                "INSERT INTO runs (run_id, created, settings, preset, status, iteration, updated, "
                "tags, note) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(run_id, created, settings.model_dump_json(), PRESET, RunStatus.FINISHED),
                    *(plain.iterations, created + 48, labels, "seen" if place % 9 == 0 else ""),
                ),
            )
            connection.executemany(
                "INSERT INTO records (run_id, iteration, kind, data) VALUES (?, ?, ?, ?)",
                ((run_id, *row) for row in log_of(place, steps, plain.evaluate_every)),
            )
            if place % 5 < 2:
                _add_cell(connection, place // 5 * 2 + place % 5, run_id)
        connection.commit()


def _add_cell(connection: sqlite3.Connection, place: int, run_id: str) -> None:
    sweep_id = f"sweep-{place // SWEEP_CELLS}"
    cell = place % SWEEP_CELLS
    if cell == 0:
        plan = {"axes": ["lambda_l"], "points": [{"lambda_l": value} for value in MARGINS]}
        connection.execute(
            "INSERT INTO sweeps (sweep_id, created, name, plan, workers, threads, ray_address, "
            "status, updated) VALUES (?, 0, ?, ?, 2, 1, '', 'finished', 0)",
            (sweep_id, f"margins {place // SWEEP_CELLS}", json.dumps(plan)),
        )
    connection.execute(
        "INSERT INTO cells (sweep_id, cell, point, seed, status, run_id) "
        "VALUES (?, ?, '{}', 0, 'finished', ?)",
        (sweep_id, cell, run_id),
    )


def load_ms(browser: Browser, url: str, number: int) -> float:
    """Milliseconds from the start of navigation to the whole table, in a new session."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        page = context.new_page()
        page.goto(f"{url}/runs", timeout=PATIENCE_MS)
        shown = page.wait_for_function(SHOWN, arg=number, polling="raf", timeout=PATIENCE_MS)
        return float(shown.json_value())
    finally:
        context.close()


def click_ms(browser: Browser, url: str, number: int) -> tuple[float, float, float]:
    """Milliseconds from the press on the page's name to the whole table, the server's part of
    them, and the same click again in the same session.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    try:
        page = context.new_page()
        session = context.new_cdp_session(page)
        sent: list[float] = []
        received: list[float] = []
        session.on("Network.webSocketFrameSent", lambda event: sent.append(event["timestamp"]))
        session.on(
            "Network.webSocketFrameReceived", lambda event: received.append(event["timestamp"])
        )
        session.send("Network.enable")

        def click() -> float:
            page.get_by_role("radio", name="New sweep").wait_for()
            page.wait_for_timeout(1500)  # the other page has come to rest
            page.evaluate(STOPWATCH)
            sent.clear()
            received.clear()
            page.get_by_role("link", name="Runs").click()
            shown = page.wait_for_function(SHOWN, arg=number, polling="raf").json_value()
            return float(shown - page.evaluate("() => window.pressedAt"))

        page.goto(f"{url}/ablation")
        first = click()
        server = 1e3 * (received[-1] - sent[0])
        page.get_by_role("link", name="Ablation").click()
        return first, server, click()
    finally:
        context.close()


def summary(samples: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile."""
    return {
        "samples": len(samples),
        "median": float(np.median(samples)),
        "p95": float(np.percentile(samples, 95)),
    }


def main(
    number: Annotated[int, typer.Option("--runs", min=1, help="Runs in the store.")] = 2000,
    samples: Annotated[int, typer.Option(min=1, help="Sessions of each kind.")] = 8,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="File for all numbers, of each sample as well.")
    ] = None,
) -> None:
    """Measure how soon the Runs page shows all runs of a large store."""
    from browser_support import SWITCHES, serve
    from page_support import chromium_or_exit
    from playwright.sync_api import sync_playwright
    from rich.console import Console
    from rich.table import Table

    binary = chromium_or_exit()
    with tempfile.TemporaryDirectory() as home:
        typer.echo(f"making {number:,} runs", err=True)
        make_store(Path(home) / "runs", number)
        megabytes = (Path(home) / "runs" / "runs.db").stat().st_size / 1e6
        typer.echo("opening the page", err=True)
        with (
            serve(ROOT / "app" / "main.py", ADADFQ_HOME=home) as url,
            sync_playwright() as playwright,
        ):
            browser = playwright.chromium.launch(executable_path=binary, args=SWITCHES)
            first = load_ms(browser, url, number)
            loads = [load_ms(browser, url, number) for _ in range(samples)]
            clicks = [click_ms(browser, url, number) for _ in range(samples)]
            about = {**machine(), "browser": browser.version}
            browser.close()
    first_click, server, again = zip(*clicks, strict=True)
    taken = {"load": loads, "click": first_click, "server": server, "click again": again}
    result = {name: summary(each) for name, each in taken.items()}
    table = Table("", "median, ms", "95th percentile, ms", "samples", title=f"{number:,} runs")
    for name, row in result.items():
        table.add_row(name, f"{row['median']:.0f}", f"{row['p95']:.0f}", str(row["samples"]))
    table.add_row("first load", f"{first:.0f}", "", "1")
    Console().print(table)
    if json_file is not None:
        every = {
            "machine": about,
            "runs": number,
            "database_mb": megabytes,
            "result": {**result, "first_load": first},
            "samples_ms": taken,
        }
        json_file.write_text(json.dumps(every, indent=1), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
