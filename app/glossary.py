"""The glossary's entries, how they are found, and links to them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import get_args

from pydantic import BaseModel, ConfigDict

from adadfq_core.settings import RunSettings, bounds, field, metadata
from app.lessons.texts import all_texts

TITLE = "Glossary"
PATH = "glossary"
"""The page's address below the app's own."""
TERM = "term"
"""The parameter of the page's address that names an entry."""


class Entry(BaseModel):
    """One symbol or term.

    `symbol` and `formula` are LaTeX; `range` and `unit` are words. With `setting` the entry tells
    of that setting, whose symbol, range and default come from the settings model. `code` is
    `module:name` of the place that computes it, `source` the place in a paper, `see` other terms.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: str
    name: str
    means: str
    code: str
    symbol: str = ""
    formula: str = ""
    range: str = ""
    unit: str = ""
    setting: str = ""
    source: str = ""
    see: tuple[str, ...] = ()


@cache
def entries() -> dict[str, Entry]:
    """All entries by their terms, in the order in which they are shown."""
    return {
        term: _with_setting(Entry.model_validate(written))
        for term, written in all_texts()["glossary"]["terms"].items()
    }


def _with_setting(entry: Entry) -> Entry:
    if not entry.setting:
        return entry
    symbol = entry.symbol or str(metadata(entry.setting).get("symbol", ""))
    return entry.model_copy(update={"symbol": symbol, "range": allowed(entry.setting)})


def allowed(setting: str) -> str:
    """The values that a setting may have, in words; empty where they are a text."""
    low, high = bounds(setting)
    if low is not None and high is not None:
        return f"{low:,g} to {high:,g}"
    annotation = field(setting).annotation
    if annotation is bool:
        return "true or false"
    return ", ".join(map(str, get_args(annotation)))


def default(entry: Entry) -> str:
    """The default of an entry's setting as its file spells it; empty where there is none."""
    value = getattr(RunSettings(), entry.setting) if entry.setting else ""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else f"{value:g}"


def matching(query: str, among: dict[str, Entry]) -> list[str]:
    """The terms that hold every word of `query`: first the one it names, then those it is part of.

    An empty query finds all, in their order. Case, accents and the signs that LaTeX and settings
    put between letters do not count.
    """
    words = query.split()
    if not words:
        return list(among)

    def fits(parts: Iterable[str]) -> bool:
        text = _plain(" ".join(parts))
        return all(_plain(word) in text for word in words)

    def titles(term: str) -> tuple[str, ...]:
        return (term, among[term].name, among[term].symbol)

    found = [
        term
        for term, entry in among.items()
        if fits((*titles(term), entry.means, entry.setting, entry.code, entry.source))
    ]
    named = _plain(query).replace(" ", "")
    return sorted(
        found,
        key=lambda term: (
            named not in {_plain(title).replace(" ", "") for title in titles(term)},
            not fits(titles(term)),
        ),
    )


def _plain(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text.casefold())
    return "".join(sign for sign in letters if sign.isalnum() or sign in "' ")


def address(term: str) -> str:
    """The address of the entry `term`, relative to any page's."""
    return f"{PATH}?{TERM}={term}"


def glossary_link(term: str) -> str:
    """A link to the entry `term`, as Markdown, for a help text or a caption."""
    return f"[{TITLE}: {term}]({address(term)})"
