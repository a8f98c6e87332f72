"""The browser that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from browser_support import SWITCHES, find_browser


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
