"""The glossary: a search box, and a card for each term."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Literal

import streamlit as st

from app.glossary import TERM, Entry, address, default, entries, matching
from app.lessons.texts import all_texts, text
from app.markdown import plain

QUERY = "glossary_query"
COLUMNS = 2


def glossary_panel() -> None:
    """Draw the term that the address names, then those that are searched for."""
    known = entries()
    _looked_up(st.query_params.get(TERM), known)
    query = st.text_input(
        text("glossary.search"),
        key=QUERY,
        placeholder=text("glossary.placeholder"),
        help=text("glossary.search_help"),
    )
    found = matching(query, known)
    if not found:
        st.info(text("glossary.nothing", query=plain(query)), icon=":material/search_off:")
        return
    st.caption(text("glossary.found", shown=len(found), all=len(known)))
    if query.strip():
        _cards(found, found)
        return
    for group, title in all_texts()["glossary"]["groups"].items():
        st.header(title, anchor=False)
        _cards([term for term in found if known[term].group == group], found)


def _looked_up(term: str | None, known: dict[str, Entry]) -> None:
    """The entry that a link leads to, before all others."""
    if term is None:
        return
    if term not in known:
        st.warning(text("glossary.unknown", term=plain(term)))
        return
    st.caption(text("glossary.looked_up"))
    with st.container(key="glossary_looked_up"):
        _card(term, (), anchor=False)


def _cards(terms: Sequence[str], shown: Collection[str]) -> None:
    for start in range(0, len(terms), COLUMNS):
        for column, term in zip(st.columns(COLUMNS), terms[start : start + COLUMNS], strict=False):
            with column:
                _card(term, shown, anchor=term)


def _card(term: str, shown: Collection[str], anchor: str | Literal[False]) -> None:
    """An entry; its links to those that are `shown` below lead there."""
    entry = entries()[term]
    symbol = f"${entry.symbol}$ · " if entry.symbol else ""
    with st.container(border=True, height="stretch", gap="xsmall"):
        st.subheader(f"{symbol}{entry.name}", anchor=anchor)
        # In one piece: each piece of a hundred cards costs the browser time.
        st.markdown("\n\n".join(_paragraphs(term, entry, shown)))


def _paragraphs(term: str, entry: Entry, shown: Collection[str]) -> Iterator[str]:
    yield entry.means
    if entry.formula:
        yield rf"$\displaystyle {entry.formula}$"
    yield "  \n".join(_facts(term, entry, shown))


def _facts(term: str, entry: Entry, shown: Collection[str]) -> list[str]:
    """Lines of Markdown on an entry: its numbers, where it comes from and where to go on."""
    known = entries()
    lines = (
        {
            "range": entry.range,
            "unit": entry.unit,
            "default": f"`{value}`" if (value := default(entry)) else "",
        },
        {"code": f"`{entry.code.replace(':', '.')}`", "source": entry.source},
        {
            "see": ", ".join(
                f"[{known[other].name}]({f'#{other}' if other in shown else address(other)})"
                for other in entry.see
            )
        },
    )
    named = [
        " · ".join(f"**{text(f'glossary.{name}')}** {fact}" for name, fact in line.items() if fact)
        for line in lines
    ]
    return [*filter(None, named), f"[{text('glossary.link_to')}]({address(term)})"]
