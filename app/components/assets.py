"""How a component's scripts and pictures reach the browser.

Streamlit sends an inline component script again with every update, and a component can be served
from files only when it belongs to an installed package. So the inline part is a loader of a few
lines; it imports the component's module from Streamlit's media store, the place that serves
pictures of `st.image`. The address is a hash of the content: components of one page share one copy,
and a new version never meets an old one in a cache.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import streamlit as st
from streamlit import runtime

File: TypeAlias = tuple[bytes, str]
"""Content and MIME type."""

SCRIPT = "text/javascript"

LOADER = (Path(__file__).parent / "loader.js").read_text(encoding="utf-8")
"""The inline script of every component; `data["assets"]` is to hold what `publish` returned."""


def publish(place: str, **files: File) -> dict[str, str]:
    """Make `files` available to this session and return the address of each under its name.

    To be called in each run that draws the component: at the end of a run Streamlit forgets files
    that the run did not mention. The addresses are relative to the app's root, which only the
    browser knows when a proxy adds a path; `basePath` is the configured one.

    Args:
        place: Names the component on its page, or all components that publish the same files.
        files: `module`, the component's script, and whatever else it fetches.
    """
    store = runtime.get_instance().media_file_mgr
    addresses = {
        name: store.add(content, kind, f"{place}/{name}") for name, (content, kind) in files.items()
    }
    base_path = str(st.get_option("server.baseUrlPath")).strip("/")
    return {**addresses, "basePath": f"/{base_path}" if base_path else ""}


def tell(key: str, event: str, act: Callable[[Any], object] | None) -> None:
    """The callback of the trigger `event` of the component `key`: hands what it holds to `act`.

    Only a callback hears of every event. The result of the component does not: a later event may
    end the run of the page before the page looks at it, and the next run knows nothing of it.
    """
    value = st.session_state[key][event]
    if act is not None and value is not None:
        act(value)
