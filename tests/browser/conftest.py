"""The browser, the served app and the runs that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from browser_support import (
    LONG,
    SWITCHES,
    WARMUP,
    App,
    find_browser,
    finish_run,
    served_app,
    start_run,
    wait_until,
)

from adadfq_core import runs
from adadfq_core.runs import RunStatus


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    binary = find_browser()
    if binary is None:
        pytest.skip("no Chromium found; name one with ADADFQ_CHROMIUM")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=binary, args=SWITCHES)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def app(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app over a folder of its own; `browser` is asked for so that without one it skips."""
    with served_app(tmp_path_factory.mktemp("home")) as served:
        yield served


@pytest.fixture(scope="session")
def finished(app: App) -> str:
    """A run of 40 iterations that has ended well."""
    return finish_run(app.root)


@pytest.fixture
def live(app: App, finished: str) -> str:
    """A run that goes on past every test, in slow motion and out of its warm-up."""
    active = [info for info in runs.list_runs(app.root) if info.active]
    if not active:
        run_id = start_run(app.root, epochs=500, slow_motion=200)
    else:
        (info,) = active
        run_id = info.run_id
        if info.status == RunStatus.PAUSED:
            runs.resume(app.root, run_id)
    wait_until(lambda: runs.info(app.root, run_id).iteration > WARMUP + 5, seconds=LONG)
    return run_id
