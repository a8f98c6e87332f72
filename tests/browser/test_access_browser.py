"""That everyone can read and use the pages: contrast, names, headings and the keyboard.

The browser computes it: colours as they are drawn, names from its accessibility tree. What
Streamlit itself gets wrong and the app cannot mend stands in `STREAMLITS_OWN`.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from access_support import Look, heading_faults, look_at
from browser_support import LONG, App, opened, wait_until

from app.lessons.texts import text

pytestmark = pytest.mark.browser

LESSONS = tuple(f"learn?lesson={number}" for number in range(1, 7))
SCHEMES = ("light", "dark")
# What is wrong in Streamlit's own widgets, by a part of what is found, and why it stays.
STREAMLITS_OWN = {
    "stDataFrame canvas": "the grid is drawn into a canvas, which holds a table for readers that "
    "speak but has no name to give it; its text is out of reach of a measurement",
}
# The page is drawn: its heading is there, nothing is being computed or stands in for what follows,
# and every chart in sight has its drawing.
DRAWN = """() => document.querySelector("h1")
  && document.querySelector("[data-testid=stApp]").dataset.testScriptState === "notRunning"
  && !document.querySelector("[data-testid=stSkeleton]")
  && [...document.querySelectorAll(".live-chart")].every((chart) => {
    const { top, bottom, width } = chart.getBoundingClientRect();
    return !width || bottom < 0 || top > innerHeight || chart.querySelector(".main-svg");
  })"""
FOCUSED = """() => {
  let node = document.activeElement;
  while (node.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
  const key = node.closest("[class*=st-key-]")?.className.match(/st-key-(\\S+)/)?.[1] ?? "";
  return `${key}|${node.textContent.trim() || node.getAttribute("aria-label") || ""}`;
}"""


def pages(finished: str) -> dict[str, str]:
    """The address of every page, below the app's own."""
    run = f"?run={finished}"
    return {
        "play": run,
        "inspect": f"inspect{run}",
        "take_away": f"take_away{run}",
        "ablation": "ablation",
        "runs": "runs",
        "results": "results",
        "glossary": "glossary",
        **{lesson: lesson for lesson in LESSONS},
    }


def looked_at(browser: Any, url: str, scheme: str) -> Look:
    with opened(browser, url, height=900, scheme=scheme) as page:
        page.wait_for_function(DRAWN)
        # Streamlit fades in what it has drawn.
        page.wait_for_function(
            "document.getAnimations().every((one) => one.playState != 'running')"
        )
        return look_at(page)


def assert_good(look: Look) -> None:
    """Nothing is wrong but what is known to be Streamlit's."""
    assert look.texts > 15, "the page was not there yet"
    assert look.language == "en"
    assert heading_faults(look.headings) == []
    found = [*look.faint, *look.unnamed, *look.untold]
    ours = [each for each in found if not any(known in each for known in STREAMLITS_OWN)]
    assert not ours, "\n".join(ours)


@pytest.mark.parametrize(
    ("name", "scheme"), [("play", "light"), ("learn?lesson=2", "dark"), ("ablation", "light")]
)
def test_a_page_can_be_read_and_told(
    browser: Any, app: App, finished: str, name: str, scheme: str
) -> None:
    assert_good(looked_at(browser, f"{app.url}/{pages(finished)[name]}", scheme))


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", pages(""))
def test_every_page_can_be_read_and_told(
    browser: Any, app: App, finished: str, name: str, scheme: str
) -> None:
    assert_good(looked_at(browser, f"{app.url}/{pages(finished)[name]}", scheme))


def tabbed(page: Any, wanted: set[str], most: int = 90) -> None:
    """Press Tab until everything `wanted` had the focus; what has it differs to the eye.

    Each of `wanted` is the beginning of what `FOCUSED` says: the key of a widget and its text.
    """
    missing = set(wanted)
    for _ in range(most):
        page.keyboard.press("Tab")
        now = page.evaluate(FOCUSED)
        reached = {each for each in missing if now.startswith(each)}
        if reached:
            missing -= reached
            with_focus = page.screenshot(animations="disabled", caret="initial")
            page.evaluate("document.activeElement.blur()")
            assert page.screenshot(animations="disabled", caret="initial") != with_focus, now
            # The browser goes on from where the focus was.
        if not missing:
            return
    raise AssertionError(f"Tab does not reach {missing}")


def test_the_play_page_needs_no_mouse(browser: Any, app: App, finished: str) -> None:
    with opened(browser, app.at(finished), height=900) as page:
        page.wait_for_function(DRAWN)
        tabbed(page, {"setting_lambda_l|", "transport|Start"})


def test_a_lesson_needs_no_mouse(browser: Any, app: App, finished: str) -> None:
    with opened(browser, f"{app.url}/learn?lesson=3", height=900) as page:
        page.wait_for_function(DRAWN)
        check = f"check_3|{text('learn.check')}"
        tabbed(page, {"lesson|", "learn_3_p_0|", "learn_3_q_2|", check})
        page.locator(".st-key-lesson [role=radio][aria-checked=true]").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Space")
        title = text("lesson_4.title")
        wait_until(lambda: page.get_by_role("heading", name=title).count() == 1, seconds=LONG)


# --- the checker itself --------------------------------------------------------------------------


def shown(browser: Any, body: str) -> Look:
    with browser.new_context() as context:
        page = context.new_page()
        page.set_content(f"<html lang=en><body style='background: white'>{body}</body></html>")
        return look_at(page)


# Ratios against white of greys, by WCAG's formula: #767676 has 4.54, #777777 4.48, #949494 3.03.
FAINT = {
    "plain": "<p style='color: #777777'>text</p>",
    "through": "<p style='color: rgb(0 0 0 / 50%)'>text</p>",
    "faded": "<div style='opacity: 0.5'><p style='color: black'>text</p></div>",
    "on colour": "<div style='background: #0f766e'><p style='color: #555555'>text</p></div>",
    "on a veil": "<div style='background: rgb(0 0 0 / 40%)'><p style='color: #555'>text</p></div>",
    "modern": "<p style='color: color-mix(in srgb, black 40%, white)'>text</p>",
    "placeholder": "<style>::placeholder { color: #999 }</style>"
    "<input aria-label=name placeholder=text>",
    "picture": "<svg role=img aria-label=word width=99 height=99><text y=50 fill='#777777'>text"
    "</text></svg>",
    "large": "<p style='color: #959595; font-size: 24px'>text</p>",
}
CLEAR = {
    "plain": "<p style='color: #767676'>text</p>",
    "large": "<p style='color: #949494; font-size: 24px'>text</p>",
    "bold": "<p style='color: #949494; font-size: 18.7px; font-weight: 700'>text</p>",
    "switched off": "<button disabled style='color: #aaaaaa'>text</button>",
    "unseen": "<p style='color: white; visibility: hidden'>text</p>",
    "beside": "<div style='background: #767676; width: 10px; height: 10px'><p style='color: "
    "#767676; position: relative; top: 60px; width: 90px'>text</p></div>",
}


def test_the_checker_finds_what_is_too_faint_and_only_that(browser: Any) -> None:
    for name, body in FAINT.items():
        assert len(shown(browser, body).faint) == 1, name
    for name, body in CLEAR.items():
        assert shown(browser, body).faint == [], name


def test_the_checker_finds_controls_and_pictures_without_a_name(browser: Any) -> None:
    bad = "<button></button><input type=range><img src=data:, width=9 height=9>"
    good = (
        "<button aria-label=go></button><label>size<input type=range></label>"
        "<img alt='' src=data:, width=9 height=9>"
    )
    look = shown(browser, bad)
    assert (len(look.unnamed), len(look.untold)) == (2, 1)
    look = shown(browser, good)
    assert (look.unnamed, look.untold) == ([], [])


def test_the_checker_finds_headings_out_of_order() -> None:
    assert heading_faults([(1, "a"), (2, "b"), (3, "c"), (2, "d")]) == []
    bad = [], [(2, "a")], [(1, "a"), (3, "b")], [(1, "a"), (1, "b")]
    assert all(map(heading_faults, bad))
    assert all(
        len(heading_faults(list(both))) for both in itertools.permutations([(2, "a"), (3, "b")])
    )
