"""What the Play page shows of a run that goes, and how it is steered, in a real browser."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from browser_support import (
    BATCH,
    LONG,
    WARMUP,
    App,
    end_runs,
    keep_picture,
    opened,
    read_chart,
    text_of,
    trace,
    wait_for_chart,
    wait_until,
)

from adadfq_core import runs
from adadfq_core.runs import RecordKind, RunStatus
from app.charts.style import (
    AGREEMENT_END,
    DISAGREEMENT_END,
    OVER_FITTING,
    UNDER_FITTING,
    class_colours,
)
from app.sample_ids import sample_id

pytestmark = pytest.mark.browser

MARGIN = "margin_picture"
PLAYERS = ".st-key-players"


@pytest.fixture
def page(browser: Any, app: App, live: str) -> Iterator[Any]:
    """The page of the run that goes, with its first chart drawn."""
    with opened(browser, app.at(live)) as page:
        wait_for_chart(page, MARGIN)
        yield page


def shown_iteration(page: Any) -> int:
    found = re.search(r"iteration (\d+) of", text_of(page, ".run-status"))
    return int(found[1]) if found else 0


def wait_for_refreshes(page: Any, count: int) -> None:
    for _ in range(count):
        before = shown_iteration(page)
        wait_until(lambda before=before: shown_iteration(page) > before, seconds=LONG)


def band(figure: dict[str, Any]) -> tuple[float, float]:
    """Ends of the shaded margin."""
    (shaded,) = [s for s in figure["shapes"] if s["type"] == "rect" and s["layer"] == "below"]
    return shaded["x0"], shaded["x1"]


def samples_drawn(figure: dict[str, Any]) -> list[dict[str, Any]]:
    """The traces that hold samples: each point carries its place in the batch."""
    return [each for each in figure["traces"] if each["customdata"]]


def values_of(line: dict[str, Any]) -> dict[float, float]:
    return dict(zip(line["x"], line["y"], strict=True))


def pause(page: Any, app: App, run_id: str) -> None:
    transport = page.locator(".st-key-transport")
    transport.get_by_role("button", name="Pause").click()
    wait_until(lambda: runs.info(app.root, run_id).status == RunStatus.PAUSED, seconds=LONG)
    transport.get_by_role("button", name="Resume").wait_for()


def wait_for_setting(app: App, run_id: str, name: str, value: float) -> None:
    """Until the run trains with it."""

    def in_force() -> bool:
        return getattr(runs.current_settings(app.root, run_id), name) == pytest.approx(value)

    wait_until(in_force, seconds=LONG)


@pytest.mark.slow
def test_every_sample_of_a_batch_stands_on_the_margin_picture(
    page: Any, app: App, live: str
) -> None:
    pause(page, app, live)
    newest = runs.latest(app.root, live, RecordKind.IMAGES)
    assert newest is not None
    stored = runs.arrays(app.root, newest)
    page.get_by_text(f"samples of iteration {newest.iteration}").wait_for()
    first = sample_id(newest.iteration, 0)
    heights = dict(enumerate(stored["h_prime"].tolist(), first))

    def is_newest(figure: dict[str, Any]) -> bool:
        places = {
            place: x
            for each in samples_drawn(figure)
            for place, x in zip(each["customdata"], each["x"], strict=True)
        }
        return places == pytest.approx(heights)

    figure = wait_for_chart(page, MARGIN, is_newest)
    assert sum(len(each["x"]) for each in samples_drawn(figure)) == BATCH
    agree = stored["p_logits"].argmax(1) == stored["q_logits"].argmax(1)
    colours = class_colours(10)
    for each in samples_drawn(figure):
        places = [number - first for number in each["customdata"]]
        assert {bool(agree[place]) for place in places} == {each["symbol"] == "circle"}
        assert each["symbol"] in ("circle", "x")
        assert each["colour"] == [colours[stored["labels"][place]] for place in places]
    # Both marks stand in the legend, also where a batch has samples of one kind only.
    for name, symbol, count in (
        ("agreement sample", "circle", agree.sum()),
        ("disagreement sample", "x", (~agree).sum()),
    ):
        assert trace(figure, f"{name}: {count}")["symbol"] == symbol

    arrows = trace(figure, "push of L<sub>G</sub>")
    assert arrows["mode"] == "lines"
    assert len(arrows["x"]) >= 3

    words = " ".join(figure["texts"])
    counts = {
        name: int(re.search(rf"{name}: <b>(\d+)</b>", words)[1])
        for name in ("under", "inside", "over")
    }
    low, high = band(figure)
    assert counts == {
        "under": (stored["h_prime"] < low).sum(),
        "inside": ((stored["h_prime"] >= low) & (stored["h_prime"] <= high)).sum(),
        "over": (stored["h_prime"] > high).sum(),
    }
    assert sum(counts.values()) == BATCH
    drawn = text_of(page, f".st-key-{MARGIN}")
    for end in (DISAGREEMENT_END, UNDER_FITTING, AGREEMENT_END, OVER_FITTING):
        assert end in drawn


def test_an_arrow_key_on_a_margin_slider_moves_the_band_and_the_run(
    page: Any, app: App, live: str
) -> None:
    low, high = band(wait_for_chart(page, MARGIN))
    assert runs.current_settings(app.root, live).lambda_u == pytest.approx(high)
    page.get_by_role("slider", name="lambda_u").press("ArrowLeft")
    moved = wait_for_chart(page, MARGIN, lambda figure: band(figure)[1] != high)
    assert band(moved) == pytest.approx((low, high - 0.01))
    wait_for_setting(app, live, "lambda_u", high - 0.01)
    # The same key goes back in time, but not while a slider has it.
    assert "Live: iteration" in text_of(page, ".st-key-history")


def test_the_strip_shows_each_player_with_its_formula_and_numbers(page: Any) -> None:
    page.locator(f"{PLAYERS} .katex").first.wait_for()
    strip = page.locator(PLAYERS)
    cards = strip.get_by_test_id("stColumn")
    assert cards.count() == 3
    for card, player, symbol in zip(cards.all(), "PGQ", ("H(θg,θq)", "Lmargin", "LQ"), strict=True):
        text = card.text_content().replace("\u200b", "").replace(" ", "")
        assert text.startswith(player)
        assert card.locator(".katex").count() >= 1
        assert symbol in text
        assert re.search(r"=−?\d", text)
    assert strip.locator(".katex-error").count() == 0


def test_a_paused_run_shows_one_move_after_the_other(page: Any, app: App, live: str) -> None:
    pause(page, app, live)
    next_move = page.get_by_role("button", name="Next move")
    next_move.click()
    page.get_by_text("G's move in iteration").wait_for()
    moved = page.locator(".samples figure:has(img + img)")
    assert moved.count() == BATCH
    before_after = re.compile(r"H' (\d\.\d{3}) → (\d\.\d{3})")
    changes = [before_after.search(text) for text in moved.all_text_contents()]
    assert all(changes)
    sources = moved.first.locator("img").evaluate_all("(images) => images.map((i) => i.src)")
    assert sources[0] != sources[1]
    keep_picture(page, "play-move-of-g")

    next_move.click()
    page.get_by_text("Q's move in iteration").wait_for()
    bars = wait_for_chart(page, "half_move")
    assert [each["name"] for each in bars["traces"]] == ["P", "Q before", "Q after"]
    assert {each["type"] for each in bars["traces"]} == {"bar"}
    page.locator(".st-key-half_move_sample input").click()
    page.get_by_role("option").nth(BATCH - 1).click()
    p_before = trace(bars, "P")["y"]
    other = wait_for_chart(
        page, "half_move", lambda figure: trace(figure, "P")["y"] != pytest.approx(p_before)
    )
    assert trace(other, "Q before")["y"] != pytest.approx(trace(other, "Q after")["y"], abs=1e-9)
    keep_picture(page, "play-move-of-q")

    page.get_by_role("button", name="Resume").click()
    wait_until(lambda: runs.info(app.root, live).status == RunStatus.RUNNING, seconds=LONG)


def test_the_value_of_the_game_has_marks_of_both_players(page: Any) -> None:
    figure = wait_for_chart(
        page, "game_value", lambda figure: len(trace(figure, "Q's move")["x"]) > 0
    )
    for player in ("G", "Q"):
        marks = trace(figure, f"{player}'s move")
        assert marks["mode"] == "markers"
        assert set(marks["symbol"]) <= {"triangle-up", "triangle-down", "circle"}
        assert all(0 <= value <= 1 for value in marks["y"])
    assert len(trace(figure, "G's move")["x"]) > len(trace(figure, "Q's move")["x"])


def test_the_pause_between_iterations_slows_the_run(page: Any, app: App, live: str) -> None:
    slider = page.get_by_role("slider", name="pause between iterations")
    slider.press("ArrowLeft")
    slider.press("ArrowLeft")
    wait_for_setting(app, live, "slow_motion", 1000)

    def played() -> int:
        return runs.info(app.root, live).iteration

    began, first = time.monotonic(), played()
    wait_until(lambda: played() >= first + 3, seconds=LONG)
    # The first of them may have been on its way.
    assert time.monotonic() - began >= 2
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    wait_for_setting(app, live, "slow_motion", 200)


def test_a_zoom_made_by_dragging_survives_while_the_chart_grows(page: Any) -> None:
    wait_for_chart(page, "losses")
    box = page.locator(".st-key-losses .nsewdrag").bounding_box()
    across = [box["x"] + box["width"] * share for share in (0.2, 0.6)]
    down = [box["y"] + box["height"] * share for share in (0.2, 0.8)]
    page.mouse.move(across[0], down[0])
    page.mouse.down()
    page.mouse.move(across[1], down[1], steps=6)
    page.mouse.up()
    before = wait_for_chart(page, "losses", lambda figure: figure["zoomed"])
    newest = before["traces"][0]["x"][-1]
    after = wait_for_chart(page, "losses", lambda figure: figure["traces"][0]["x"][-1] > newest + 3)
    assert after["range"] == before["range"]
    assert after["range"][1] < newest


def test_pills_show_and_hide_panels(page: Any) -> None:
    pills = page.locator(".st-key-panels")
    for name, key in (("Losses", "losses"), ("H' over the run", "bands")):
        page.locator(f".st-key-{key}").wait_for(state="attached")
        pills.get_by_role("button", name=name, exact=True).click()
        page.locator(f".st-key-{key}").wait_for(state="detached")
    pills.get_by_role("button", name="Gradients and rates").click()
    for key in ("loss_q", "gradients", "learning_rates"):
        assert wait_for_chart(page, key)["traces"]
    pills.get_by_role("button", name="Losses", exact=True).click()
    assert len(wait_for_chart(page, "losses")["traces"]) == 5


def test_terms_with_weights_and_bands(page: Any, app: App, live: str) -> None:
    plain = wait_for_chart(page, "losses")
    page.get_by_text("with their weights").click()
    weighted = wait_for_chart(
        page, "losses", lambda figure: figure["traces"][4]["name"] == "γ·L<sub>BNS</sub>"
    )
    gamma = runs.current_settings(app.root, live).gamma
    assert gamma == 5
    for symbol, factor in (("L<sub>BNS</sub>", gamma), ("L<sub>G</sub>", 1)):
        before = values_of(trace(plain, symbol))
        after = values_of(trace(weighted, symbol if factor == 1 else f"γ·{symbol}"))
        # The run goes on, and a long one is drawn at some of its iterations only.
        common = sorted(before.keys() & after.keys())
        assert len(common) > WARMUP
        assert [after[x] for x in common] == pytest.approx([factor * before[x] for x in common])
    bands = wait_for_chart(page, "bands")
    for name in ("10–90 %", "25–75 %", "margin [λ<sub>l</sub>, λ<sub>u</sub>]"):
        assert trace(bands, name)["fill"] == "toself"
        assert len(trace(bands, name)["x"]) > WARMUP
    assert trace(bands, "inside the margin")["fill"] == "tozeroy"


def test_a_what_if_is_drawn_dotted_into_the_charts(page: Any, app: App, live: str) -> None:
    page.get_by_role("button", name="Compare …").click()
    page.locator(".st-key-what_if input").click()
    page.get_by_role("option", name="GDFQ", exact=True).click()
    page.get_by_role("button", name="Start beside").click()
    wait_until(lambda: len([i for i in runs.list_runs(app.root) if i.active]) == 2, seconds=LONG)
    beside = next(i for i in runs.list_runs(app.root) if i.active and i.run_id != live)
    try:
        assert beside.settings.method == "gdfq"
        assert beside.settings.seed == runs.info(app.root, live).settings.seed
        assert beside.preset == "GDFQ"
        for key, name in (
            ("losses", "GDFQ: L<sub>G</sub>"),
            ("bands", "GDFQ: mean"),
            ("accuracy", "GDFQ"),
        ):
            figure = wait_for_chart(
                page,
                key,
                lambda figure, name=name: any(
                    each["name"] == name and any(x is not None for x in each["x"])
                    for each in figure["traces"]
                ),
            )
            assert trace(figure, name)["dash"] == "dot"
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Start beside").wait_for(state="detached")
        keep_picture(page, "play-compared")
    finally:
        end_runs(app.root, beside.run_id)


@pytest.mark.slow
def test_live_refreshes_do_not_shift_the_page(browser: Any, app: App, live: str) -> None:
    with opened(browser, app.at(live)) as page:
        wait_for_chart(page, MARGIN)
        page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollTo(0, 0)")
        wait_for_refreshes(page, 2)
        assert "layout-shift" in page.evaluate("() => PerformanceObserver.supportedEntryTypes")
        page.evaluate(
            """() => {
              window.shift = 0;
              const note = (list) => list.getEntries().forEach((e) => (window.shift += e.value));
              new PerformanceObserver(note).observe({ type: "layout-shift" });
            }"""
        )
        wait_for_refreshes(page, 6)
        assert page.evaluate("() => window.shift") < 0.05
        assert read_chart(page, MARGIN) is not None
        keep_picture(page, "play-live")
