"""The tour: each of its steps has a place and words, and only newcomers are offered it."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.lessons.texts import all_texts
from app.panels.tour import PLACES

MAIN = str(Path(__file__).resolve().parents[2] / "app" / "main.py")


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path))
    return AppTest.from_file(MAIN, default_timeout=60)


def test_every_step_has_a_place_and_words() -> None:
    steps = all_texts()["tour"]["steps"]
    assert steps.keys() == PLACES.keys()
    assert all(set(step) == {"title", "text"} for step in steps.values())


def offered(page: AppTest) -> bool:
    page.run()
    assert not page.exception
    found: bool = page.session_state["tour_offered"]
    return found


def test_a_page_without_a_link_offers_it(page: AppTest) -> None:
    assert offered(page)
    # Not because the page has written its own address by then.
    assert offered(page)


@pytest.mark.parametrize("parameter", ["run", "s.lambda_l"])
def test_a_page_opened_by_a_link_does_not(page: AppTest, parameter: str) -> None:
    page.query_params[parameter] = "0.3"
    assert not offered(page)


def test_other_pages_know_nothing_of_it(page: AppTest) -> None:
    page.run().switch_page("views/glossary.py")
    del page.session_state["tour_offered"]
    page.run()
    assert not page.exception and "tour_offered" not in page.session_state
