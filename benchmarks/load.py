"""How does the server hold up while many look at one run and some start their own?

Run `python benchmarks/load.py`: 30 sessions watch a run of the cheapest kind, 5 more start one
each, and all that is measured is measured while all of them are open; `--quick` takes 6 and 3. The
browser runs on the same cores as the server and the runs, so a page's time is an upper bound of
what readers with machines of their own would wait.

Printed are, for each of the sessions that watch:
- open: from the start of navigation until the page tells what the run does, while earlier
  sessions stay open;
- again: the same once more, for six of them, when all are open and the runs of the others wait;

and once: how many runs waited in the queue and how they ended, how often anything said that the
database was locked (the pages, the runs' reasons and what their processes printed), and the memory
of the server with all sessions open.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import numpy as np
import psutil
import typer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from adadfq_core.runs import RunInfo

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "browser")]

# With the browsers of 35 sessions on two cores a page may take minutes.
PATIENCE_S = 900
LOOK_EVERY_MS = 100
# Of all that watch, how many open their page once more: each takes a minute among thirty.
AGAIN = 6
TOLD = "() => document.querySelector('.run-status .doing')?.textContent || ''"
# A batch of 8 makes the game diverge after some thousand iterations at the preset's rates.
STEADY = {"lr_g": 1e-5, "lr_q": 1e-6}
# What a run plays that somebody of the crowd starts: seconds, most of them to start its process.
SHORT = {
    "threads": 1,
    "batch": 8,
    "generator_width": 16,
    "epochs": 3,
    "warmup_epochs": 1,
    "iterations_per_epoch": 5,
    "evaluation_images": 100,
    "embed_every": 1_000_000,
}


@dataclass
class Crowd:
    """What was seen: seconds of each session, runs by how they ended, complaints in words."""

    opened: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    queued: list[str] = field(default_factory=list)
    watched: str = ""
    ended: dict[str, str] = field(default_factory=dict)
    most_active: int = 0
    locked: int = 0
    failed_pages: list[str] = field(default_factory=list)
    server_megabytes: float = 0.0


def crowd(
    browser: Browser, url: str, root: Path, watched: str, watchers: int, starters: int
) -> Crowd:
    """Let `watchers` sessions look at run `watched` and `starters` start runs, which it holds up.

    The run is stopped when all of them wait; returns when theirs have ended as well.
    """
    from browser_support import wait_until

    from adadfq_core import runs

    tell = partial(typer.echo, err=True)
    seen = Crowd()
    with contextlib.ExitStack() as stack:
        pages = []
        for _ in range(watchers):
            page = stack.enter_context(_session(browser))
            seen.opened.append(_seconds_to_tell(page, partial(page.goto, f"{url}/?run={watched}")))
            tell(f"session {len(pages) + 1} watches after {seen.opened[-1]:.1f} s")
            pages.append(page)
        before = {info.run_id for info in runs.list_runs(root)}
        for _ in range(starters):
            page = stack.enter_context(_session(browser))
            _start_one(page, url)
            tell(f"session {len(pages) + 1} has started a run")
            pages.append(page)
        wait_until(lambda: len(runs.list_runs(root)) == len(before) + starters, seconds=PATIENCE_S)
        waiting = [info for info in runs.list_runs(root) if info.queued]
        seen.queued = [info.run_id for info in sorted(waiting, key=lambda info: info.place or 0)]
        for page in pages[: watchers : max(watchers // AGAIN, 1)]:
            seen.again.append(_seconds_to_tell(page, page.reload))
            tell(f"session {len(seen.again)} is there again after {seen.again[-1]:.1f} s")
        seen.server_megabytes = _server_of(url).memory_info().rss / 1e6

        info = runs.info(root, watched)
        seen.watched = _told(info)
        if not info.ended:
            runs.stop(root, watched)

        def all_ended() -> bool:
            known = runs.list_runs(root)
            seen.most_active = max(seen.most_active, sum(info.active for info in known))
            return all(info.ended for info in known)

        wait_until(all_ended, seconds=PATIENCE_S)
        for page in pages:
            failed = page.get_by_test_id("stException").all_inner_texts()
            seen.failed_pages += failed
            seen.locked += _complaints([*failed, *page.get_by_role("alert").all_inner_texts()])
    ends = [info for info in runs.list_runs(root) if info.run_id not in before]
    seen.ended = {info.run_id: _told(info) for info in ends}
    seen.locked += _complaints(info.reason for info in runs.list_runs(root))
    seen.locked += _complaints(log.read_text("utf-8", "replace") for log in root.glob("*/*.log"))
    return seen


def _told(info: RunInfo) -> str:
    """What a run does, with why."""
    return f"{info.status}: {info.reason}" if info.reason else str(info.status)


def _complaints(texts: Any) -> int:
    """In how many of `texts` the database is said to be locked."""
    return sum("locked" in text for text in texts)


@contextlib.contextmanager
def _session(browser: Browser) -> Iterator[Page]:
    from browser_support import TOUR_SEEN

    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_init_script(TOUR_SEEN)
    context.set_default_timeout(PATIENCE_S * 1000)
    try:
        yield context.new_page()
    finally:
        context.close()


def _seconds_to_tell(page: Page, go: Any) -> float:
    """Seconds until the page tells what its run does, after `go`."""
    began = time.perf_counter()
    go()
    page.wait_for_function(TOLD, polling=LOOK_EVERY_MS)
    return time.perf_counter() - began


def _start_one(page: Page, url: str) -> None:
    """In a session of its own, which a link to settings alone shows no run, start one."""
    settings = urlencode({f"s.{name}": value for name, value in SHORT.items()})
    page.goto(f"{url}/?{settings}")
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_function(f"() => ({TOLD})().startsWith('queued')", polling=LOOK_EVERY_MS)


def _server_of(url: str) -> psutil.Process:
    port = int(url.rsplit(":", 1)[1])
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if any(
                connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
                for connection in child.net_connections("tcp")
            ):
                return child
    raise LookupError(f"No process of this one listens at port {port}.")


def _row(name: str, seconds: list[float]) -> str:
    middle, slow = np.percentile(seconds, [50, 95])
    return f"{name}\tmedian {middle:.2f} s\t95th percentile {slow:.2f} s\t{len(seconds)} sessions"


def main(
    watchers: Annotated[int, typer.Option(min=1, help="Sessions that watch one run.")] = 30,
    starters: Annotated[int, typer.Option(min=1, help="Sessions that start a run each.")] = 5,
    quick: Annotated[bool, typer.Option(help="6 that watch and 3 that start.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="All numbers, on stdout.")] = False,
) -> None:
    """Measure the pages of many sessions at once, and count what goes wrong."""
    from browser_support import LONG, SWITCHES, end_runs, serve, start_run, wait_until
    from page_support import chromium_or_exit
    from playwright.sync_api import sync_playwright

    from adadfq_core import runs

    if quick:
        watchers, starters = 6, 3
    binary = chromium_or_exit()
    with tempfile.TemporaryDirectory() as home:
        os.environ["ADADFQ_HOME"] = home
        root = Path(home) / "runs"
        watched = start_run(root, epochs=10_000, **STEADY)
        try:
            wait_until(lambda: runs.info(root, watched).iteration > 20, seconds=LONG)
            with serve(ROOT / "app" / "main.py") as url, sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=binary, args=SWITCHES)
                seen = crowd(browser, url, root, watched, watchers, starters)
                browser.close()
        finally:
            end_runs(root)
    if as_json:
        typer.echo(json.dumps(asdict(seen)))
        return
    typer.echo(_row("open", seen.opened))
    typer.echo(_row("again", seen.again))
    typer.echo(f"runs that waited\t{len(seen.queued)}")
    typer.echo(f"most at once\t{seen.most_active}")
    typer.echo(f"the run that all watch, before it is stopped\t{seen.watched}")
    typer.echo(f"ended\t{', '.join(sorted(seen.ended.values()))}")
    typer.echo(f"database is locked\t{seen.locked}")
    typer.echo(f"pages that failed\t{len(seen.failed_pages)}")
    typer.echo(f"server\t{seen.server_megabytes:.0f} MB")


if __name__ == "__main__":
    typer.run(main)
