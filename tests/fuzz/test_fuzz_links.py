"""Addresses that nobody means well with: every page opens, and says what was bad."""

from __future__ import annotations

from pathlib import Path

import pytest
from hostile import TEXTS, Hunt, Place, texts
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from adadfq_core.ablation import control as sweeps
from adadfq_core.errors import InputError
from adadfq_core.presets import PRESETS
from adadfq_core.settings import RunSettings
from adadfq_core.zoo.registry import find
from app import links
from app.glossary import entries, matching
from app.lessons import MODULES, class_link, module_of

MAIN = str(Path(__file__).resolve().parents[2] / "app" / "main.py")
LESSONS = [module_of(number) for number in range(1, len(MODULES) + 1)]
PAGES = ("play", "inspect", "take_away", "ablation", "runs", "results", "learn", "glossary")
RUN, SWEEP = "RUN", "SWEEP"

setting_names = st.sampled_from(list(RunSettings.model_fields)) | texts(10)
widget_names = st.sampled_from(
    [key.split("_", 2)[2] for lesson in LESSONS for key in lesson.widgets()]
)
names = (
    st.sampled_from(["run", "beside", "at", "preset", "sweep", "term", "lesson", "s.", "w.", "x"])
    | setting_names.map("s.{}".format)
    | widget_names.map("w.{}".format)
    | texts(10)
)
plausible = st.sampled_from(
    [
        *(RUN, SWEEP, "20261125-101112-3w3a-k7", "9999999999", "99999999999", "0", "0.5", "true"),
        *(
            "none",
            "cifar10",
            "/etc/passwd",
            "torchvision/resnet18",
            "my.py:net",
            "quick",
            "lambda_l",
        ),
        *("1", "3,32,32", "1e-5", "first=8,last=8", "-1", "NaN"),
    ]
)
# As a browser sends them: any text but lone halves of characters.
written = (plausible | texts(30)).map(lambda text: text.encode("utf-8", "replace").decode())
queries = st.dictionaries(names, plausible | texts(30), max_size=6)
browsers_queries = st.dictionaries(
    names.map(lambda n: n.encode("utf-8", "replace").decode()), written
)

NAMED = [
    {name: text} for name in ("run", "at", "s.seed", "w.bits", "s.image_shape") for text in TEXTS
]


def check_view(query: dict[str, str]) -> None:
    """A link is read, its settings are valid, and what is shown has a link of its own."""
    view = links.from_query(query)
    assert all("\n" not in problem and problem for problem in view.problems)
    view.settings()
    assert view.preset in PRESETS
    assert links.from_query(links.to_query(view)).problems == ()


def check_lesson(query: dict[str, str]) -> None:
    """A class link is read, and gives each widget a value that it can have."""
    number, told = class_link.asked_lesson(query, len(LESSONS))
    assert 1 <= number <= len(LESSONS) and (told == () or "\n" not in told[0][:0])
    for place, lesson in enumerate(LESSONS, 1):
        widgets = lesson.widgets()
        values, _ = class_link.from_query(query, widgets)
        for key, value in values.items():
            assert widgets[key].read(class_link.spelled(value)) == value
        class_link.to_query(place, widgets, {k: w.start for k, w in widgets.items()} | values)


def test_any_address_of_a_view(hunt: Hunt) -> None:
    hunt(check_view, queries, 300, NAMED)


def test_any_address_of_a_lesson(hunt: Hunt) -> None:
    hunt(check_lesson, queries, 200, NAMED)


def test_any_word_that_is_looked_up(hunt: Hunt) -> None:
    def check(word: str) -> None:
        assert set(matching(word, entries())) <= set(entries())
        if word not in ("fashion-resnet20", "cifar10-resnet20"):
            with pytest.raises(InputError):
                find(word)

    hunt(check, texts(), 60, ["torchvision/", "/", "pytorchcv/x", "torchvision/get_model"])


@pytest.mark.parametrize("name", PAGES)
def test_any_address_opens_its_page(name: str, place: Place, hunt: Hunt, offline: None) -> None:
    """Through the pages themselves; looking at them stores nothing."""
    (sweep,) = sweeps.list_sweeps(place.root)
    run_id = sweeps.run_ids(place.root, sweep.sweep_id)[0]
    known = {RUN: run_id, SWEEP: sweep.sweep_id}

    def check(query: dict[str, str]) -> None:
        page = AppTest.from_file(MAIN, default_timeout=120)
        for key, value in query.items():
            page.query_params[key] = known.get(value, value)
        if name != "play":
            page.switch_page(f"views/{name}.py")
        page.run()
        assert not page.exception, (query, page.exception)
        # What is looked at may be kept in caches, but no run, sweep or file of a user changes.
        now, before = place.now(), place.stored
        assert {key: now.get(key) for key in before} == before

    named = [{"run": RUN, "at": "3"}, {"sweep": SWEEP, "run": SWEEP}]
    hunt(check, browsers_queries, 2, named, long=12)
