"""Words of a user's on a page."""

from __future__ import annotations

import string


def plain(text: str) -> str:
    """`text` as Markdown that shows it as it is: no link, picture, formula or colour."""
    return "".join(f"\\{sign}" if sign in string.punctuation else sign for sign in text)
