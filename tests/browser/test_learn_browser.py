"""The six lessons in a real browser, by the keyboard: each is answered wrong, then right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from browser_support import (
    LONG,
    App,
    address_of,
    keep_picture,
    opened,
    served_app,
    text_of,
    wait_until,
)

from adadfq_core import runs
from adadfq_core.lessons.recorded import FOLDER, read_runs
from adadfq_core.lessons.seeds import seeds_to_tell
from adadfq_core.runs import RunStatus
from app.lessons import lesson_5_fitting, lesson_6_results
from app.lessons.texts import text

pytestmark = pytest.mark.browser

MAIN = "[data-testid=stMain]"
LESSONS = range(1, 7)
SIDEWAYS = f"""() => {{
  const main = document.querySelector("{MAIN}");
  return main.scrollWidth - main.clientWidth;
}}"""
# Nothing is being computed for the page.
IDLE = "[data-testid=stApp][data-test-script-state=notRunning]"
# So long, in milliseconds, a slider waits for another key before it tells the server.
PAUSE = 400
TRIES = 4

Presses = Mapping[str, int]
"""By the key of a slider how often it is moved: to the right, or to the left where negative."""


@pytest.fixture(scope="module")
def url(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app over an empty store; `browser` is asked for so that without one it skips."""
    with served_app(tmp_path_factory.mktemp("learn")) as app:
        yield app.url


def settle(page: Any) -> None:
    page.wait_for_timeout(PAUSE)
    page.locator(IDLE).wait_for()


def press(page: Any, presses: Presses) -> None:
    for key, times in presses.items():
        slider = page.locator(f".st-key-{key} input[type=range]").first
        step = float(slider.get_attribute("step") or 1)
        goal = float(slider.input_value()) + times * step
        # A key that comes while a slow page draws may not count, as a reader would see and repeat.
        for _ in range(TRIES):
            missing = round((goal - float(slider.input_value())) / step)
            if not missing:
                break
            slider.focus()
            for _ in range(abs(missing)):
                page.keyboard.press("ArrowRight" if missing > 0 else "ArrowLeft")
            settle(page)


def check(page: Any, number: int, word: str) -> None:
    """Press the button of the question and wait for a verdict that begins with `word`."""
    page.locator(f".st-key-check_{number} button").press("Enter")
    wait_until(lambda: word in text_of(page, f".st-key-question_{number}"), seconds=LONG)


def chosen(page: Any, key: str, name: str) -> None:
    page.locator(f".st-key-{key}").get_by_role("radio", name=name, exact=True).press("Enter")
    settle(page)


def solve_5(page: Any) -> None:
    won = lesson_5_fitting.victories(read_runs(FOLDER))
    chosen(page, lesson_5_fitting.PREDICTED, lesson_5_fitting.margin_name("paper"))
    chosen(page, lesson_5_fitting.COUNT, str(won))


def solve_6(page: Any) -> None:
    recorded = read_runs(FOLDER)
    first, second = (
        [run.final for run in recorded[margin]] for margin in lesson_6_results.COMPARED
    )
    needed = seeds_to_tell(first, second)
    if needed is None:
        page.locator(f".st-key-{lesson_6_results.CANNOT} input").press("Space")
        settle(page)
    else:
        press(page, {lesson_6_results.SEEDS: needed - 1})


def solve_4(page: Any) -> None:
    """Move on after each lesson of Q's: to (2, -2.5), (2.5, -2) and (0.5, 2)."""
    for x, y in ((20, -25), (5, 5), (-20, 40)):
        press(page, {"learn_4_x": x, "learn_4_y": y})
        page.get_by_role("button", name=text("lesson_4.learn_q"), exact=True).press("Enter")
        settle(page)


SOLVE = {
    1: lambda page: press(page, {"learn_1_bits": -3}),
    2: lambda page: press(
        page, {"learn_2_patch": 2, "learn_2_brightness": -8, "learn_2_contrast": -5}
    ),
    3: lambda page: press(page, {"learn_3_q_0": -4, "learn_3_q_1": 4}),
    4: solve_4,
    5: solve_5,
    6: solve_6,
}


@pytest.mark.slow
@pytest.mark.parametrize("number", LESSONS)
def test_a_lesson_takes_the_right_answer_and_sends_a_wrong_one_back(
    browser: Any, url: str, number: int
) -> None:
    with opened(browser, f"{url}/learn?lesson={number}", height=900) as page:
        wait_until(lambda: text(f"lesson_{number}.title") in text_of(page, MAIN), seconds=LONG)
        page.locator(f".st-key-check_{number} button").wait_for()
        settle(page)
        check(page, number, text("learn.wrong"))
        SOLVE[number](page)
        check(page, number, text("learn.right"))
        keep_picture(page, f"learn-{number}")


def test_the_lessons_follow_each_other(browser: Any, url: str) -> None:
    with opened(browser, f"{url}/learn", height=900) as page:
        for number in LESSONS:
            title = text(f"lesson_{number}.title")
            wait_until(lambda title=title: title in text_of(page, MAIN), seconds=LONG)
            page.locator(f".st-key-check_{number} button").wait_for()
            wait_until(lambda n=number: f"lesson={n}" in address_of(page), seconds=LONG)
            assert page.evaluate(SIDEWAYS) <= 0, number
            after = page.get_by_role("button", name=text("learn.after"))
            if number < len(LESSONS):
                settle(page)
                after.press("Enter")
        assert after.is_disabled()


def value_of(page: Any, key: str) -> str:
    value: str = page.locator(f".st-key-{key} input[type=range]").first.input_value()
    return value


def link_of(page: Any) -> str:
    """The link for the class, as the page offers it."""
    page.get_by_role("button", name=text("learn.link")).press("Enter")
    page.get_by_test_id("stCode").wait_for()
    shown: str = page.get_by_test_id("stCode").inner_text().strip()
    page.keyboard.press("Escape")
    return shown


def test_a_link_for_the_class_opens_the_lesson_as_it_was_set(browser: Any, url: str) -> None:
    with opened(browser, f"{url}/learn?lesson=3", height=900) as page:
        page.locator(".st-key-check_3 button").wait_for()
        settle(page)
        press(page, {"learn_3_q_0": -2, "learn_3_q_1": 4})
        link = link_of(page)
    assert link.startswith(f"{url}/learn?lesson=3&")
    with opened(browser, link, height=900) as page:
        page.locator(".st-key-check_3 button").wait_for()
        settle(page)
        assert [value_of(page, f"learn_3_{name}") for name in ("p_0", "q_0", "q_1", "q_2")] == [
            "2",
            "1",
            "2",
            "0",
        ]
        # Until another lesson is chosen, opening the page anew begins there again.
        assert address_of(page) == link
        page.get_by_role("button", name=text("learn.after")).press("Enter")
        wait_until(lambda: address_of(page) == f"{url}/learn?lesson=4", seconds=LONG)


@pytest.mark.slow
def test_nothing_done_under_a_link_for_the_class_changes_a_run(
    browser: Any, app: App, live: str
) -> None:
    before = runs.current_settings(app.root, live)
    link = f"{app.url}/learn?lesson=5&w.seed=2"
    with opened(browser, link, height=900) as page:
        page.locator(".st-key-check_5 button").wait_for()
        settle(page)
        assert value_of(page, "learn_5_seed") == "2"
        solve_5(page)
        check(page, 5, text("learn.right"))
        names = set(page.get_by_role("button").all_inner_texts())
        assert not names & {"Start", "Pause", "Resume", "Stop", "Step", "Delete"}
        # Her own run begins on a page that shows none of the others.
        address = page.get_by_role("link", name=lesson_5_fitting.margin_name("paper")).first
        own = address.get_attribute("href")
    with opened(browser, f"{app.url}/{own.removeprefix('./')}", height=900) as page:
        page.get_by_role("button", name="Start", exact=True).wait_for()
        page.locator(IDLE).wait_for()
        assert live not in address_of(page)
        for name in ("Pause", "Stop"):
            assert page.get_by_role("button", name=name, exact=True).is_disabled()
        slider = page.locator(".st-key-setting_lambda_u input[type=range]")
        slider.focus()
        page.keyboard.press("ArrowLeft")
        settle(page)
    info = runs.info(app.root, live)
    assert info.status == RunStatus.RUNNING
    assert runs.current_settings(app.root, live) == before
