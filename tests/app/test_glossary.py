"""The glossary: what it says is there, what it is asked for is found, and links lead to it."""

from __future__ import annotations

import importlib
from functools import reduce
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from adadfq_core.settings import LIVE_SETTINGS, RunSettings, field, metadata
from app.glossary import Entry, address, allowed, default, entries, glossary_link, matching
from app.lessons.texts import all_texts
from app.panels import controls

ROOT = Path(__file__).resolve().parents[2]
MAIN = str(ROOT / "app" / "main.py")


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path))
    return AppTest.from_file(MAIN, default_timeout=60)


def names(page: AppTest) -> list[str]:
    """What stands on the cards, without the symbol."""
    return [heading.value.rpartition(" · ")[2] for heading in page.subheader]


@pytest.mark.parametrize("term", entries())
def test_the_code_that_an_entry_names_is_there(term: str) -> None:
    module, _, path = entries()[term].code.partition(":")
    reduce(getattr, path.split("."), importlib.import_module(module))


@pytest.mark.parametrize("term", entries())
def test_an_entry_stands_in_a_group_and_points_at_entries(term: str) -> None:
    entry = entries()[term]
    assert entry.group in all_texts()["glossary"]["groups"]
    assert set(entry.see) <= entries().keys() - {term}
    assert entry.means.rstrip().endswith((".", "boot."))


def test_every_slider_of_the_play_page_has_an_entry_of_its_name() -> None:
    for name in {*controls.FIXED, *controls.LIVE, *LIVE_SETTINGS}:
        assert entries()[name].setting == name


def test_no_two_entries_have_one_name() -> None:
    written = [entry.name for entry in entries().values()]
    assert len(written) == len(set(written))


@pytest.mark.parametrize(
    ("setting", "range", "value"),
    [
        ("lambda_l", "0 to 1", "0.1"),
        ("weight_bits", "2 to 8", "4"),
        ("epochs", "1 to 10,000", "400"),
        ("lr_q", "0 to 1", "0.0001"),
        ("class_shift", "true or false", "false"),
        ("schedule", "constant, steps, cosine", "steps"),
        ("bit_overrides", "", ""),
    ],
)
def test_numbers_of_a_setting_come_from_the_settings_model(
    setting: str, range: str, value: str
) -> None:
    (entry,) = [each for each in entries().values() if each.setting == setting]
    assert (entry.range, default(entry)) == (range, value)
    assert allowed(setting) == range
    assert entry.symbol == metadata(setting).get("symbol", entry.symbol)


def test_entries_write_no_number_that_a_setting_has() -> None:
    for written in all_texts()["glossary"]["terms"].values():
        assert not ("setting" in written and "range" in written)
        assert "default" not in written
        assert written.get("setting", "seed") in RunSettings.model_fields


def test_a_term_that_the_model_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="formla"):
        Entry.model_validate(
            {"group": "run", "name": "Seed", "means": "A number.", "code": "a:b", "formla": "x"}
        )


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("lambda_l", "lambda_l"),
        ("LAMBDA l", "lambda_l"),
        ("\\lambda_u", "lambda_u"),
        ("p_ds", "p_ds"),
        ("frechet", "frechet"),
        ("Fréchet", "frechet"),
        ("normalised entropy", "h_prime"),
        ("warmup_epochs", "warm_up"),
        ("2010.", None),
        ("no such word", None),
    ],
)
def test_search_finds_terms_symbols_and_settings(query: str, first: str | None) -> None:
    found = matching(query, entries())
    assert (found[0] if found else None) == first


def test_search_has_names_before_mere_mentions() -> None:
    found = matching("margin", entries())
    assert found[:2] == ["margin", "L_margin"]
    assert "lambda_u" in found


def test_an_empty_search_finds_all() -> None:
    assert matching("  ", entries()) == list(entries())


def test_a_sliders_help_leads_to_its_entry(page: AppTest) -> None:
    page.run()
    for name in (*controls.FIXED, *controls.LIVE):
        sliders = {each.key: each for each in (*page.slider, *page.select_slider)}
        about = sliders[f"setting_{name}"].help
        assert about.startswith(field(name).description)
        assert about.endswith(f"[Glossary: {name}](glossary?term={name})")


def test_every_link_that_the_app_writes_has_its_entry() -> None:
    assert glossary_link("umap") == f"[Glossary: umap]({address('umap')})"
    for path in (ROOT / "app").rglob("*.py"):
        for written in path.read_text("utf-8").split('glossary_link("')[1:]:
            assert written.partition('"')[0] in entries(), path


def test_the_page_shows_all_terms_and_the_one_of_the_address_first(page: AppTest) -> None:
    page.run()
    page.query_params["term"] = "lambda_l"
    page.switch_page("views/glossary.py").run()
    assert not page.exception
    assert names(page)[0] == "Lower boundary"
    assert sorted(names(page)[1:]) == sorted(entry.name for entry in entries().values())


def test_a_term_that_is_not_there_is_told_as_it_is_written(page: AppTest) -> None:
    page.run()
    page.query_params["term"] = "[x](http://e.example)"
    page.switch_page("views/glossary.py").run()
    (warning,) = page.warning
    assert "\\[x\\]\\(http" in warning.value


def test_searching_leaves_the_cards_that_fit_and_says_so_if_none_does(page: AppTest) -> None:
    page.run()
    page.switch_page("views/glossary.py").run()
    page.text_input(key="glossary_query").set_value("entropy").run()
    assert "Normalised entropy" in names(page)
    assert "Seed" not in names(page)
    # A link to a card that is not among them opens the page on it.
    (facts,) = [text.value for text in page.markdown if text.value.startswith("The unit of entr")]
    assert "[Entropy](#entropy)" in facts
    page.text_input(key="glossary_query").set_value("<b>nothing</b>").run()
    assert names(page) == []
    assert "\\<b\\>nothing" in page.info[0].value
