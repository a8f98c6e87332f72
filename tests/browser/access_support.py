"""What keeps people from reading and using a page, found by what the browser itself computes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_RULES = (Path(__file__).parent / "access.js").read_text(encoding="utf-8")
# Roles of what people act on (WAI-ARIA 1.2, widget roles).
_NAMED = {
    "button",
    "checkbox",
    "combobox",
    "gridcell",
    "link",
    "listbox",
    "menuitem",
    "option",
    "radio",
    "searchbox",
    "slider",
    "spinbutton",
    "switch",
    "tab",
    "textbox",
    "dialog",
}


@dataclass(frozen=True)
class Look:
    """What was found on a page.

    Attributes:
        texts: how many pieces of text were measured.
        faint: text with too little contrast, a sentence each.
        unnamed: controls without a name for readers that speak.
        untold: charts and pictures without a text in their place.
        headings: level and text of each, in their order.
        language: of the document.
    """

    texts: int
    faint: list[str]
    unnamed: list[str]
    untold: list[str]
    headings: list[tuple[int, str]]
    language: str


def look_at(page: Any) -> Look:
    """What `page` shows now."""
    found = page.evaluate(_RULES)
    return Look(
        found["texts"],
        sorted(
            {
                f"'{each['text']}' has {each['ratio']}:1, not {each['least']}:1 ({each['where']})"
                for each in found["faint"]
            }
        ),
        _unnamed(page),
        found["untold"],
        [(level, text) for level, text in found["headings"]],
        found["lang"],
    )


def _unnamed(page: Any) -> list[str]:
    """Nodes of the browser's accessibility tree that need a name and have none."""
    session = page.context.new_cdp_session(page)
    try:
        nodes = session.send("Accessibility.getFullAXTree")["nodes"]
        bad = [
            node
            for node in nodes
            if not node["ignored"]
            and node["role"]["value"] in _NAMED
            and not str(node.get("name", {}).get("value", "")).strip()
        ]
        return [f"{node['role']['value']}: {_written(session, node)}" for node in bad]
    finally:
        session.detach()


def _written(session: Any, node: dict[str, Any]) -> str:
    shown = session.send("DOM.getOuterHTML", {"backendNodeId": node["backendDOMNodeId"]})
    return str(shown["outerHTML"])[:200]


def heading_faults(headings: Iterable[tuple[int, str]]) -> list[str]:
    """Where headings do not begin with the only one of level 1 or leave a level out."""
    faults: list[str] = []
    before = 0
    for level, text in headings:
        if (level == 1) != (before == 0):
            faults.append(f"'{text}' of level {level} after level {before}")
        elif level > before + 1:
            faults.append(f"'{text}' of level {level} follows level {before}")
        before = level
    return faults if before else ["there is no heading"]
