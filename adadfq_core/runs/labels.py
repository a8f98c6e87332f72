"""A user's own words on a run: tags to find it by, and a note."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from adadfq_core.errors import InputError
from adadfq_core.runs.database import session
from adadfq_core.runs.store import RunStore, fetch_info

MOST_TAGS = 20
MOST_TAG_CHARACTERS = 40
MOST_NOTE_CHARACTERS = 4000

# Control characters, and halves of characters that no encoding can write.
_FORBIDDEN = ("Cc", "Cs")


def checked_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """`tags` in their order, each once, without the spaces around them and without empty ones.

    Raises:
        InputError: too many, one too long, or one with characters that cannot be shown.
    """
    trimmed = (" ".join(tag.split()) for tag in tags)
    unique = tuple(dict.fromkeys(tag for tag in trimmed if tag))
    for tag in unique:
        if len(tag) > MOST_TAG_CHARACTERS:
            raise InputError(
                f"The tag '{tag[:MOST_TAG_CHARACTERS]}…' has {len(tag)} characters; at most "
                f"{MOST_TAG_CHARACTERS} are allowed, the rest belongs into the note."
            )
        if not can_be_shown(tag):
            raise InputError(
                f"The tag {tag!a} has characters that cannot be shown; leave them out."
            )
    if len(unique) > MOST_TAGS:
        raise InputError(
            f"{len(unique)} tags are too many; a run has at most {MOST_TAGS}, take some away."
        )
    return unique


def checked_note(note: str) -> str:
    """`note` without the space around it, its line breaks as `\\n`.

    Raises:
        InputError: too long, or with characters that cannot be shown.
    """
    text = "\n".join(note.splitlines()).strip()
    if len(text) > MOST_NOTE_CHARACTERS:
        raise InputError(
            f"The note has {len(text)} characters; at most {MOST_NOTE_CHARACTERS} are allowed, "
            "shorten it."
        )
    if not can_be_shown(text.replace("\n", "").replace("\t", "")):
        raise InputError("The note has characters that cannot be shown; leave them out.")
    return text


def encoded_tags(tags: Iterable[str]) -> str:
    """`checked_tags` as the store keeps them."""
    return json.dumps(checked_tags(tags), ensure_ascii=False)


def can_be_shown(text: str) -> bool:
    """Whether `text` is free of control characters, line breaks included."""
    return all(unicodedata.category(character) not in _FORBIDDEN for character in text)


def set_labels(
    root: Path, run_id: str, tags: Iterable[str] | None = None, note: str | None = None
) -> None:
    """Give a run, also one that goes on, these tags and this note; `None` leaves what was.

    Raises:
        InputError: there is no such run, or see `checked_tags` and `checked_note`.
    """
    new_tags = None if tags is None else encoded_tags(tags)
    new_note = None if note is None else checked_note(note)
    with session(RunStore(root).database, "IMMEDIATE") as connection:
        fetch_info(connection, run_id)
        connection.execute(
            "UPDATE runs SET tags = coalesce(?, tags), note = coalesce(?, note) WHERE run_id = ?",
            (new_tags, new_note, run_id),
        )
