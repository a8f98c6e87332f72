"""Words of a user's on a page."""

from __future__ import annotations

import re
import string

JOINER = "\N{WORD JOINER}"
"""Has no width; within a word that stands for something else it leaves the word as it is read."""

# After all escapes are resolved Streamlit and its Markdown parser look once more for addresses,
# pictures of its own and arrows.
_ADDRESSES = re.compile(
    r"(?<=:)(?=//|material_|streamlit:)|(?<=www)(?=\.)|(?<=[\w.+-]@)(?=[\w-]+\.)", re.IGNORECASE
)
_ARROWS = re.compile(r"(?<!\S)(<-|[-<>~])(?=[-=>](?!\S))")
# Overrides of the direction of writing would go on into the sentence around the words.
_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_ISOLATE, _END = "\N{FIRST STRONG ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"


def plain(text: str) -> str:
    """`text` as Markdown that shows it as it is: no link, picture, formula, block or colour."""
    # Halves of characters, as in names of files that are no text, can be sent to no browser.
    known = text.encode(errors="replace").decode()
    # Spaces at the beginning of a line would make a block of code, at its end a break.
    lines = "\n".join(line.strip() for line in known.splitlines())
    parted = _ARROWS.sub(rf"\1{JOINER}", _ADDRESSES.sub(JOINER, lines))
    shown = "".join(f"\\{sign}" if sign in string.punctuation else sign for sign in parted)
    return f"{_ISOLATE}{shown}{_END}" if _TURNS.search(shown) else shown


def code(text: str) -> str:
    """`text` as Markdown that shows it as it is, in the look of code and in one line."""
    line = " ".join(text.encode(errors="replace").decode().split())
    # The only word that Streamlit looks for in code as well.
    line = line.replace(":material/", f":{JOINER}material/")
    longest = max(map(len, re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    gap = " " if "`" in (line[:1], line[-1:]) else ""
    return f"{fence}{gap}{line}{gap}{fence}"
