"""HTML that is built from elements, so that no text gets into it unescaped."""

from __future__ import annotations

import html
from collections.abc import Iterable

_WITHOUT_END = ("link", "meta")


class Html(str):
    """Text that is HTML already; any other text is escaped where it becomes part of some."""

    __slots__ = ()


def joined(parts: Iterable[str]) -> Html:
    """`parts` one after the other."""
    return Html("".join(part if isinstance(part, Html) else html.escape(part) for part in parts))


def element(name: str, /, *content: str, **attributes: str | int) -> Html:
    """The element `name` around `content`.

    Attributes are named as in HTML but for `_` in place of `-` and a last `_` that keeps a name
    from being Python's own: `class_`, `aria_label`.
    """
    spelled = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
    )
    end = "" if name in _WITHOUT_END else f"</{name}>"
    return Html(f"<{name}{spelled}>{joined(content)}{end}")


def table(heads: Iterable[str], rows: Iterable[Iterable[str]], **attributes: str) -> Html:
    """A table with one row of `heads`; the first cell of each of `rows` is the row's head."""
    head = element("tr", *(element("th", text, scope="col") for text in heads))
    body = []
    for first, *others in rows:
        cells = [element("th", first, scope="row"), *(element("td", text) for text in others)]
        body.append(element("tr", *cells))
    whole = element("table", element("thead", head), element("tbody", *body), **attributes)
    # A table that is wider than a narrow screen moves by itself, not with the page.
    return element("div", whole, class_="scrolls")


def folded(summary: str, *content: str) -> Html:
    """`content` that is shown when its reader opens `summary`."""
    return element("details", element("summary", summary), *content)
