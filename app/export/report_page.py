"""The frame of a report: one HTML document with all it needs inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plotly.offline import get_plotlyjs

from app.export.markup import Html, element, joined
from app.export.report_charts import Drawn

_HERE = Path(__file__).parent
# Whatever the page holds, the browser fetches nothing for it.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True)
class Section:
    """A part of the report that the table of contents names; `key` is its address in the page."""

    key: str
    title: str
    body: Html


def chart_or_sentence(drawn: Drawn) -> Html:
    """A chart with its heading, drawn when the page opens, or what stands in its place."""
    if isinstance(drawn, str):
        return element("p", drawn, class_="left-out")
    node = element(
        "div",
        id=f"chart-{drawn.key}",
        class_="plot",
        role="img",
        aria_label=drawn.alt,
        style=f"height:{drawn.height}px",
    )
    # Plotly writes every < of its JSON as an escape, so no text in it ends the script.
    data = element("script", Html(drawn.json()), type="application/json")
    title = element("h3", drawn.title)
    return element("section", title, node, data, class_=f"chart {drawn.key}")


def page(title: str, header: Html, sections: Sequence[Section]) -> str:
    """The whole document."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("link", rel="icon", href="data:,"),
        element("title", title),
        element("style", _own("report.css")),
    )
    entries = (
        element("li", element("a", section.title, href=f"#{section.key}")) for section in sections
    )
    contents = element("nav", element("ol", *entries), aria_label="Contents")
    bodies = (
        element("section", element("h2", section.title), section.body, id=section.key)
        for section in sections
    )
    body = element(
        "body",
        element("header", header),
        contents,
        element("main", *bodies),
        element("noscript", element("p", "The charts are drawn by JavaScript, which is off.")),
        element("script", Html(get_plotlyjs())),
        element("script", _own("report.js")),
    )
    return joined([Html("<!doctype html>\n"), element("html", head, body, lang="en")])


def _own(name: str) -> Html:
    return Html((_HERE / name).read_text(encoding="utf-8"))
