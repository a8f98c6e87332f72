"""The Play page's logic, without a browser."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest
from streamlit.testing.v1 import AppTest

from adadfq_core import runs

MAIN = str(Path(__file__).resolve().parents[2] / "app" / "main.py")


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path))
    return AppTest.from_file(MAIN, default_timeout=60).run()


def _button(page: AppTest, label: str):
    return next(button for button in page.button if button.label == label)


def test_fresh_page_offers_start_and_nothing_else(page: AppTest) -> None:
    assert not page.exception
    enabled = [button.label for button in page.button if not button.disabled]
    assert enabled == ["Start"]


def test_margin_that_is_upside_down_is_refused_in_one_sentence(
    page: AppTest, tmp_path: Path
) -> None:
    page.slider(key="setting_lambda_l").set_value(0.9)
    _button(page, "Start").click().run()
    assert not page.exception
    assert "lambda_l = 0.9 must be below lambda_u = 0.8" in page.error[0].value
    assert runs.list_runs(tmp_path / "runs") == []


def test_start_makes_a_run_with_the_chosen_settings_and_stop_ends_it(
    page: AppTest, tmp_path: Path
) -> None:
    page.slider(key="setting_weight_bits").set_value(5)
    _button(page, "Start").click().run()
    root = tmp_path / "runs"
    (info,) = runs.list_runs(root)
    try:
        assert not page.exception
        assert info.settings.weight_bits == 5
        assert info.settings.activation_bits == 3
        assert _button(page, "Start").disabled
    finally:
        runs.stop(root, info.run_id)
        # Reading a run reaps its process, so that none is left to other tests.
        deadline = time.monotonic() + 60
        while psutil.Process().children() and time.monotonic() < deadline:
            runs.refresh(root)
            time.sleep(0.1)
