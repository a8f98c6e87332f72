"""How soon does the Inspect page answer?

Run `python benchmarks/inspection.py`, on a machine that does nothing else: some four minutes. A run
of the interactive preset plays until a thousand samples are stored, and is stopped. Then, each in a
new cache folder, so that nothing is known before:

- fit, cold: features of 5,000 real images by P and UMAP of them, the process and its imports
  included, until the answer is there;
- transform, warm: 1,000 samples that were never looked at are placed on that map, their features
  included;
- PCA: the same samples by PCA;
- close-up, walk of 16 images, comparison with real images and look at the layers, each warm;
- gallery: from choosing 500 images a page until the browser has drawn them all (a real server, a
  real headless Chromium).

Seconds of wall time, once each.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "browser")]

import numpy as np
from browser_support import SWITCHES, find_browser, serve, wait_until
from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.table import Table

from adadfq_core import runs
from adadfq_core.embedding.settings import ProjectionSettings
from adadfq_core.inspection.requests import (
    MOST_REAL,
    CloseUpRequest,
    FidelityRequest,
    LayersRequest,
    MapRequest,
    Request,
    SampleRange,
    WalkRequest,
)
from adadfq_core.inspection.samples import read_samples
from adadfq_core.inspection.service import InspectionService
from adadfq_core.inspection.states import Answered, Refused
from adadfq_core.presets import DEFAULT_PRESET, preset_settings

SAMPLES = 1000
TILES = 500
PATIENCE_SECONDS = 600
DRAWN = f"""() => {{
  const tiles = [...document.querySelectorAll("*")]
    .flatMap((node) => [node, ...(node.shadowRoot?.querySelectorAll(".tile") ?? [])])
    .filter((node) => node.classList?.contains("tile"));
  return tiles.length === {TILES};
}}"""


def timed(service: InspectionService, request: Request) -> float:
    """Seconds until `request` is answered."""
    began = time.monotonic()
    service.submit(request, "benchmark")
    while not isinstance(state := service.state(request), Answered):
        if isinstance(state, Refused):
            raise SystemExit(f"Error: {state.sentence}")
        time.sleep(0.01)
    return time.monotonic() - began


def played_run(root: Path) -> str:
    """A run that has stored `SAMPLES` samples and is stopped."""
    settings = preset_settings(DEFAULT_PRESET)
    run_id = runs.start(root, settings, DEFAULT_PRESET)
    needed = (SAMPLES // settings.batch + 2) * settings.snapshot_every
    wait_until(lambda: runs.info(root, run_id).iteration >= needed, seconds=PATIENCE_SECONDS)
    runs.stop(root, run_id)
    wait_until(lambda: not runs.info(root, run_id).active, seconds=60)
    return run_id


def by_the_process(root: Path, run_id: str, cache: Path) -> dict[str, float]:
    """Seconds of every kind of answer."""
    samples = read_samples(root, run_id)
    keys = list(zip(samples.table["iteration"], samples.table["place"], strict=True))
    chosen = np.linspace(0, len(keys) - 1, SAMPLES).round().astype(int)
    wanted = tuple((int(keys[index][0]), int(keys[index][1])) for index in chosen)
    end = runs.info(root, run_id).iteration
    spread = SampleRange(0, end, SAMPLES)

    def placed(keys: tuple[tuple[int, int], ...], **projection: object) -> MapRequest:
        settings = ProjectionSettings.model_validate(projection)
        return MapRequest(root, run_id, keys, None, settings, MOST_REAL)

    service = InspectionService(cache)
    try:
        asked: dict[str, Callable[[], Request]] = {
            f"UMAP fit of {MOST_REAL} real images, cold": lambda: placed(()),
            f"UMAP transform of {SAMPLES} samples, warm": lambda: placed(wanted),
            f"PCA of the same {SAMPLES}": lambda: placed(wanted, method="pca"),
            "close-up, the first": lambda: CloseUpRequest(root, run_id, *wanted[0]),
            "close-up, the next": lambda: CloseUpRequest(root, run_id, *wanted[1]),
            "walk of 16 images": lambda: WalkRequest(root, run_id, end, 0, 1, 0, 1, 16),
            "comparison with real images": lambda: FidelityRequest(root, run_id, spread),
            "look at the layers": lambda: LayersRequest(root, run_id, spread, end),
        }
        return {name: timed(service, make()) for name, make in asked.items()}
    finally:
        service.close()


def gallery_seconds(home: Path) -> float:
    """Seconds from choosing `TILES` images a page until all are drawn."""
    binary = find_browser()
    if binary is None:
        raise SystemExit("Error: no Chromium was found; name one with ADADFQ_CHROMIUM.")
    with (
        serve(ROOT / "app" / "main.py", ADADFQ_HOME=str(home)) as url,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=binary, args=SWITCHES)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{url}/inspect")
        page.get_by_role("button", name="Contact sheet").wait_for(timeout=60_000)
        page.wait_for_timeout(3000)
        page.get_by_role("combobox", name="A page").click()
        option = page.get_by_role("option", name=str(TILES))
        option.wait_for()
        began = time.monotonic()
        option.click()
        page.wait_for_function(DRAWN, polling="raf", timeout=60_000)
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => done()))")
        seconds = time.monotonic() - began
        browser.close()
    return seconds


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        run_id = played_run(home / "runs")
        seconds = by_the_process(home / "runs", run_id, home / "other-cache")
        seconds[f"gallery of {TILES} images"] = gallery_seconds(home)
    table = Table("what", "seconds", title=f"Inspect, {os.cpu_count()} cores")
    for name, value in seconds.items():
        table.add_row(name, f"{value:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
