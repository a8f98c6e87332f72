"""A server that is killed takes no run with it, and the open page finds its run again."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest
from browser_support import (
    LONG,
    ROOT,
    answers,
    end_runs,
    opened,
    served_app,
    start_run,
    text_of,
    wait_for_chart,
    wait_until,
)

from adadfq_core import runs
from adadfq_core.runs import RunStatus


def _server(url: str) -> psutil.Process:
    port = url.rpartition(":")[2]
    return next(each for each in psutil.Process().children() if port in each.cmdline())


@pytest.mark.slow
def test_the_page_finds_its_run_again_when_the_server_was_killed(
    browser: Any, tmp_path: Path
) -> None:
    with served_app(tmp_path) as app:
        run_id = start_run(app.root, data="none", epochs=500, slow_motion=200)
        with opened(browser, app.at(run_id)) as page:
            wait_for_chart(page, "margin_picture")
            server = _server(app.url)
            command, environment = server.cmdline(), server.environ()
            server.kill()
            server.wait(LONG)
            alone = runs.info(app.root, run_id).iteration
            wait_until(lambda: runs.info(app.root, run_id).iteration > alone + 3, seconds=LONG)
            assert runs.info(app.root, run_id).status is RunStatus.RUNNING
            before = text_of(page, ".run-status")
            again = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                wait_until(lambda: answers(f"{app.url}/_stcore/health"), seconds=LONG)
                wait_until(lambda: text_of(page, ".run-status") not in ("", before), seconds=LONG)
                assert "running" in text_of(page, ".run-status")
                end_runs(app.root, run_id)
                page.get_by_text("stopped · iteration").wait_for()
            finally:
                again.terminate()
                again.wait(LONG)
