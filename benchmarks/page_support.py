"""What `page.py` measures with: a run, a server and a browser, and a clock on each of them."""

from __future__ import annotations

import base64
import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import typer
from browser_support import ROOT, SWITCHES, TOUR_SEEN, find_browser, serve, wait_until
from playwright.sync_api import Browser, CDPSession, Error, Page, ViewportSize, sync_playwright

from adadfq_core import runs
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.presets import DEFAULT_PRESET, preset_settings
from adadfq_core.runs import RecordKind, RunStatus

MEGABYTE = 1e6
WINDOW: ViewportSize = {"width": 1280, "height": 900}
# Loading the network, the warm-up and the first fit of the map, on a machine that is busy.
READY_SECONDS = 600
# What opening or closing the page itself costs is over by then.
SETTLE_SECONDS = 5
# The longest that anything on the page may take before the measurement is given up.
PATIENCE_MS = 60_000
# Between two presses, so that they meet the page at any moment between two refreshes.
GAP_MS = (400, 1400)

PICTURE = """.live-chart[aria-label^="Samples on the H' axis"]"""
HISTOGRAM = """.live-chart[aria-label^="Histogram of H'"]"""

# The looks: what a press is to change, read off the page. The first is where the right edge of
# the margin's band is drawn, in units of H', so a chart that only changed its size is the same.
BAND_EDGE = f"""() => {{
  const node = document.querySelector(`{PICTURE}`);
  const {{ shapes, xaxis }} = node._fullLayout;
  const band = shapes.findIndex(({{ layer }}) => layer === "below");
  const drawn = node.querySelector(`.shapelayer path[data-index="${{band}}"]`).getAttribute("d");
  const edge = Number(drawn.match(/H([\\d.]+)/)[1]);
  return xaxis.p2d(edge - xaxis._offset).toFixed(2);
}}"""
HISTOGRAM_THERE = f"() => Boolean(document.querySelector(`{HISTOGRAM}`))"
RESUME_OFFERED = """() =>
  [...document.querySelectorAll("button")].some((b) => b.textContent.trim() === "Resume")"""

# From the browser's own time of the event, before any script saw it, to the frame that shows it.
STOPWATCH = """(event) => {
  window.repaintMs = null;
  const before = LOOK();
  const started = ({ timeStamp }) => {
    const check = () => {
      if (LOOK() === before) requestAnimationFrame(check);
      else window.repaintMs = performance.now() - timeStamp;
    };
    requestAnimationFrame(check);
  };
  window.addEventListener(event, started, { capture: true, once: true });
}"""


@dataclass(frozen=True)
class Stage:
    """All that takes part: the run, the server with the page's address, and the browser."""

    root: Path
    run_id: str
    url: str
    browser: Browser
    training: psutil.Process
    server: psutil.Process
    driver: psutil.Process


@dataclass(frozen=True)
class Phase:
    """What was seen while the page stayed open, or closed, and nobody touched it.

    Attributes:
        page_open: which of the two.
        seconds: how long it took.
        ms: of each iteration.
        iterations_per_second: by the run's own clock, which counts evaluations, checkpoints and
            records as well.
        cpu: CPU seconds per second of each group of processes (see `cpu_seconds`).
        server_mb: the server's resident memory about every second.
        bytes_per_second: from the server to the page in each second; empty without a page.
    """

    page_open: bool
    seconds: float
    ms: list[float]
    iterations_per_second: float
    cpu: dict[str, float]
    server_mb: list[float]
    bytes_per_second: list[float]


class Traffic:
    """The bytes that a page is sent: WebSocket messages and bodies of HTTP responses."""

    def __init__(self, session: CDPSession) -> None:
        self._arrivals: list[tuple[float, int]] = []
        session.on("Network.webSocketFrameReceived", self._frame)
        session.on("Network.loadingFinished", self._response)
        session.send("Network.enable")

    def _frame(self, event: Mapping[str, Any]) -> None:
        frame = event["response"]
        text = frame["opcode"] == 1
        payload: str = frame["payloadData"]
        size = len(payload.encode() if text else base64.b64decode(payload))
        self._arrivals.append((time.monotonic(), size))

    def _response(self, event: Mapping[str, Any]) -> None:
        self._arrivals.append((time.monotonic(), int(event["encodedDataLength"])))

    def per_second(self, start: float, seconds: int) -> list[float]:
        """Bytes in each of the `seconds` windows of one second from `start` (monotonic clock)."""
        return in_windows(self._arrivals, start, seconds)


def in_windows(arrivals: Iterable[tuple[float, int]], start: float, seconds: int) -> list[float]:
    """Sums of the sizes in `arrivals`, pairs of (second, size), over windows of one second.

    The windows begin at `start`; those in which nothing arrived count as 0.
    """
    times, sizes = np.array([*arrivals], dtype=float).reshape(-1, 2).T
    sums, _ = np.histogram(times, seconds, (start, start + seconds), weights=sizes)
    return [float(total) for total in sums]


def slope_per_minute(samples: Sequence[float], seconds: float, skip_minutes: float) -> float:
    """Least-squares slope, per minute, of `samples` taken at equal distances over `seconds`.

    Those of the first `skip_minutes` are left out.
    """
    minutes = np.linspace(0, seconds / 60, len(samples))
    late = minutes >= skip_minutes
    return float(np.polyfit(minutes[late], np.array(samples)[late], 1)[0])


def _family(process: psutil.Process) -> list[psutil.Process]:
    """`process` and all that it started; nothing once it has ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [process, *process.children(recursive=True)]
    return []


def _total_cpu(processes: Iterable[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            # A child that ends meanwhile moves to its parent's account.
            total += times.user + times.system + times.children_user + times.children_system
    return total


def cpu_seconds(stage: Stage) -> dict[str, float]:
    """CPU seconds used so far by each group of processes, children included.

    `training` is the run's process with that of its map, `measuring` this script and what it
    steers the browser with: the part of the load that no reader of the page has.
    """
    return {
        "training": _total_cpu(_family(stage.training)),
        "server": _total_cpu(_family(stage.server)),
        "browser": _total_cpu(_family(stage.driver)[1:]),
        "measuring": _total_cpu([psutil.Process(), stage.driver]),
    }


def held_by(process: psutil.Process) -> tuple[float, int]:
    """Resident memory, in megabytes, and open file handles of `process` and all it started."""
    resident, handles = 0, 0
    for member in _family(process):
        with contextlib.suppress(psutil.NoSuchProcess):
            resident += member.memory_info().rss
            handles += member.num_handles() if psutil.WINDOWS else member.num_fds()
    return resident / MEGABYTE, handles


def _children() -> set[psutil.Process]:
    return set(psutil.Process().children())


def _end(process: psutil.Process) -> None:
    family = _family(process)
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(family, timeout=10)


def _check_going(root: Path, run_id: str) -> None:
    info = runs.info(root, run_id)
    if info.status not in (RunStatus.STARTING, RunStatus.RUNNING):
        raise RunFailed(
            f"The run that is measured is {info.status} at iteration {info.iteration} of "
            f"{info.settings.iterations} ({info.reason or 'no reason given'}); measure for a "
            "shorter time, or look why it ended."
        )


@contextlib.contextmanager
def _training(root: Path, epochs: int, **changes: Any) -> Iterator[tuple[str, psutil.Process]]:
    """A run of the interactive preset, with its process; killed at the end."""
    # One epoch of warm-up: what comes after it is measured.
    settings = preset_settings(DEFAULT_PRESET, {"epochs": epochs, "warmup_epochs": 1, **changes})
    run_id = runs.start(root, settings, DEFAULT_PRESET)
    process = psutil.Process(runs.info(root, run_id).pid)
    try:
        yield run_id, process
    finally:
        _end(process)


def _wait_for_both_players(root: Path, run_id: str) -> None:
    """Return when Q learns too and the map is fitted: all that is slow only once is over."""

    def ready() -> bool:
        _check_going(root, run_id)
        info = runs.info(root, run_id)
        newest = runs.latest(root, run_id, RecordKind.EMBEDDING)
        on_the_map = newest is not None and newest.data["source"] == "synthetic"
        return on_the_map and info.iteration > info.settings.warmup_iterations

    try:
        wait_until(ready, seconds=READY_SECONDS)
    except AssertionError:
        raise RunFailed(
            f"The run was not past its warm-up, with a map, within {READY_SECONDS} s; measure on a "
            "machine with less to do."
        ) from None


def _chromium() -> str:
    binary = find_browser()
    if binary is None:
        raise InputError("No Chromium was found; install it or name one with ADADFQ_CHROMIUM.")
    return binary


def chromium_or_exit() -> str:
    """The installed Chromium; without one the program ends with exit code 2 and says so."""
    try:
        return _chromium()
    except InputError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from None


@contextlib.contextmanager
def staged(home: Path, epochs: int, **changes: Any) -> Iterator[Stage]:
    """A run of `epochs` that is past its start, a server and a browser; all ended at the end.

    `home` keeps what they write, `changes` are to the run's settings.

    Raises:
        InputError: there is no Chromium.
        RunFailed: the run did not come as far.
    """
    binary = _chromium()
    os.environ["ADADFQ_HOME"] = str(home)
    root = home / "runs"
    with contextlib.ExitStack() as stack:
        run_id, training = stack.enter_context(_training(root, epochs, **changes))
        known = _children()
        url = stack.enter_context(serve(ROOT / "app" / "main.py"))
        (server,) = _children() - known
        known = _children()
        playwright = stack.enter_context(sync_playwright())
        (driver,) = _children() - known
        browser = playwright.chromium.launch(executable_path=binary, args=SWITCHES)
        _wait_for_both_players(root, run_id)
        yield Stage(root, run_id, url, browser, training, server, driver)


@contextlib.contextmanager
def opened_page(stage: Stage) -> Iterator[tuple[Page, Traffic]]:
    """The page in a window of 1280 x 900 pixels, at its top, with the panels shown by default.

    Raises:
        RunFailed: it did not show, or did not do, what was waited for.
    """
    context = stage.browser.new_context(viewport=WINDOW)
    context.add_init_script(TOUR_SEEN)
    context.set_default_timeout(PATIENCE_MS)
    try:
        page = context.new_page()
        traffic = Traffic(context.new_cdp_session(page))
        page.goto(stage.url)
        page.wait_for_selector(f"{PICTURE} .main-svg")
        yield page, traffic
    except Error as error:
        raise RunFailed(
            f"The page did not show what is measured ({error.message.splitlines()[0]}); open it "
            "yourself to see why, then try again."
        ) from None
    finally:
        # After Ctrl-C, which the browser hears as well, there is none left to close it in.
        with contextlib.suppress(Error):
            context.close()


def watch(
    stage: Stage, seconds: int, page: Page | None = None, traffic: Traffic | None = None
) -> Phase:
    """Let `seconds` go by, with `page` open or without one, and tell what they cost.

    Raises:
        RunFailed: the run has ended, or did fewer than two iterations.
    """

    def wait(duration: float) -> None:
        # Playwright hands events over only while it is waited in.
        if page is None:
            time.sleep(duration)
        else:
            page.wait_for_timeout(1e3 * duration)

    wait(SETTLE_SECONDS)
    last_step = runs.latest(stage.root, stage.run_id, RecordKind.STEP)
    cpu_before, began = cpu_seconds(stage), time.monotonic()
    server_mb = []
    for second in range(1, seconds + 1):
        wait(max(0.0, began + second - time.monotonic()))
        server_mb.append(held_by(stage.server)[0])
    elapsed = time.monotonic() - began
    cpu_after = cpu_seconds(stage)
    _check_going(stage.root, stage.run_id)
    steps = _steps_after(stage, last_step.seq if last_step else 0)
    work = steps[-1]["seconds"] - steps[0]["seconds"]
    return Phase(
        page_open=page is not None,
        seconds=elapsed,
        ms=[step["ms"] for step in steps],
        iterations_per_second=(len(steps) - 1) / work,
        cpu={name: (cpu_after[name] - cpu_before[name]) / elapsed for name in cpu_after},
        server_mb=server_mb,
        bytes_per_second=traffic.per_second(began, seconds) if traffic else [],
    )


def _steps_after(stage: Stage, cursor: int) -> list[dict[str, Any]]:
    update = runs.read(stage.root, stage.run_id, cursor, kinds=[RecordKind.STEP])
    if len(update.records) < 2:
        raise RunFailed(
            f"The run did {len(update.records)} iterations in one phase, and two are needed; "
            "measure longer phases with --seconds."
        )
    return [record.data for record in update.records]


def repaint_ms(page: Page, event: str, look: str, press: Callable[[], object]) -> float:
    """Milliseconds from the first `event` after now to the first frame in which `look` differs.

    `look` is one of the functions above; `press` causes the event.
    """
    page.evaluate(STOPWATCH.replace("LOOK", f"({look})"), event)
    press()
    return float(page.wait_for_function("() => window.repaintMs", polling=50).json_value())


def press_slider(page: Page, times: int, random: np.random.Generator) -> list[float]:
    """Move lambda_u to and fro with the arrow keys; until the margin's band is drawn anew."""
    slider = page.get_by_role("slider", name="upper boundary")
    slider.scroll_into_view_if_needed()
    taken = []
    for number in range(times):
        press = partial(slider.press, "ArrowRight" if number % 2 else "ArrowLeft")
        page.wait_for_timeout(random.uniform(*GAP_MS))
        taken.append(repaint_ms(page, "keydown", BAND_EDGE, press))
    return taken


def press_pill(page: Page, times: int, random: np.random.Generator) -> list[float]:
    """Ask for the histogram, and put it away again; until its chart has a place."""
    pill = page.get_by_role("button", name="Histogram of H'", exact=True)
    taken = []
    for _ in range(times):
        pill.scroll_into_view_if_needed()
        page.wait_for_timeout(random.uniform(*GAP_MS))
        taken.append(repaint_ms(page, "pointerdown", HISTOGRAM_THERE, pill.click))
        pill.click()
        page.wait_for_selector(HISTOGRAM, state="detached")
    return taken


def press_pause(page: Page, times: int, random: np.random.Generator) -> list[float]:
    """Pause the run, and let it go on; until the button offers to resume."""
    taken = []
    pause = page.get_by_role("button", name="Pause", exact=True)
    resume = page.get_by_role("button", name="Resume", exact=True)
    for _ in range(times):
        pause.scroll_into_view_if_needed()
        page.wait_for_timeout(random.uniform(*GAP_MS))
        taken.append(repaint_ms(page, "pointerdown", RESUME_OFFERED, pause.click))
        resume.click()
        pause.wait_for()
    return taken
