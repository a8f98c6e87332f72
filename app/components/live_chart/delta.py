"""Decide what a browser must be sent to bring the figure it shows up to date.

Pure functions over snapshots; nothing here knows Streamlit.

Streamlit may drop an update: of several runs in quick succession the browser renders only the
last. So an update never assumes that the one before it arrived. Every complete figure gets a fresh
`base` name and every change a sequence number, and an update carries what was appended during the
last few changes (`_OVERLAP`), each piece with the index at which it starts. A browser that holds
any state in that range takes the part it lacks; one that holds anything else says so, and is sent
the complete figure.

Wire format, complete figure:
    {"kind": "full", "base", "seq", "revision", "layout", "traces": [...]}
Update:
    {"kind": "delta", "base", "seq", "since", "tails": [{"trace", "path", "start", "values"}],
     "layout": {...} or null}
valid on top of the same `base` at any number from `since` to `seq`. When nothing changed the update
is empty, or word for word the one before, which Streamlit does not even hand to the script.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from .snapshot import Array, Snapshot, pack, pack_trace

Lengths: TypeAlias = tuple[dict[str, int], ...]
"""Length of each array of each trace, by the array's dotted path."""

_OVERLAP = 8

# An update that repeats more values than this is cut back to fewer changes.
_MOST_REPEATED_VALUES = 4096


@dataclass(frozen=True)
class Channel:
    """What one chart's browser has been sent.

    `history` holds the lengths before each of the last changes, oldest first, so its first entry
    belongs to number `seq - len(history)`.
    """

    base: str
    seq: int
    snapshot: Snapshot
    history: tuple[Lengths, ...] = ()
    layout_changed_at: int = 0


def plan_update(
    sent: Channel | None, snapshot: Snapshot, *, new_base: str
) -> tuple[Channel, dict[str, Any]]:
    """Return the channel after sending `snapshot`, and the message that does it.

    `sent` is None when the browser is known to hold nothing. `new_base` names the figure if it has
    to be sent whole; it must differ from every name used before on the same page.
    """
    if sent is None or not _grew_from(snapshot, sent.snapshot):
        channel = Channel(new_base, 0, snapshot)
        return channel, _full_message(channel)
    channel = _advance(sent, snapshot)
    return channel, _delta_message(channel)


def _grew_from(new: Snapshot, old: Snapshot) -> bool:
    return (
        new.revision == old.revision
        and len(new.traces) == len(old.traces)
        and all(
            after.style == before.style
            and after.arrays.keys() == before.arrays.keys()
            and all(_extends(after.arrays[path], before.arrays[path]) for path in before.arrays)
            for before, after in zip(old.traces, new.traces, strict=True)
        )
    )


def _extends(new: Array, old: Array) -> bool:
    if len(new) < len(old):
        return False
    if isinstance(new, np.ndarray) and isinstance(old, np.ndarray):
        same_rows = new.shape[1:] == old.shape[1:]
        return same_rows and np.array_equal(new[: len(old)], old, equal_nan=True)
    return type(new) is type(old) and new[: len(old)] == old


def _advance(sent: Channel, snapshot: Snapshot) -> Channel:
    before, after = _lengths(sent.snapshot), _lengths(snapshot)
    new_layout = snapshot.layout != sent.snapshot.layout
    if before == after and not new_layout:
        return sent
    history = (*sent.history, before)[-_OVERLAP:]
    while len(history) > 1 and _count_values(snapshot, history[0]) > _MOST_REPEATED_VALUES:
        history = history[1:]
    seq = sent.seq + 1
    changed_at = seq if new_layout else sent.layout_changed_at
    return replace(sent, seq=seq, snapshot=snapshot, history=history, layout_changed_at=changed_at)


def _lengths(snapshot: Snapshot) -> Lengths:
    return tuple({p: len(array) for p, array in trace.arrays.items()} for trace in snapshot.traces)


def _count_values(snapshot: Snapshot, lengths: Lengths) -> int:
    return sum(
        np.size(trace.arrays[path][length:])
        for trace, known in zip(snapshot.traces, lengths, strict=True)
        for path, length in known.items()
    )


def _full_message(channel: Channel) -> dict[str, Any]:
    return {
        "kind": "full",
        "base": channel.base,
        "seq": channel.seq,
        "revision": channel.snapshot.revision,
        "layout": channel.snapshot.layout,
        "traces": [pack_trace(trace) for trace in channel.snapshot.traces],
    }


def _delta_message(channel: Channel) -> dict[str, Any]:
    snapshot, since = channel.snapshot, channel.seq - len(channel.history)
    known = channel.history[0] if channel.history else _lengths(snapshot)
    return {
        "kind": "delta",
        "base": channel.base,
        "seq": channel.seq,
        "since": since,
        "tails": [
            {"trace": index, "path": path, "start": start, "values": pack(array[start:])}
            for index, trace in enumerate(snapshot.traces)
            for path, array in trace.arrays.items()
            if (start := known[index][path]) < len(array)
        ],
        "layout": snapshot.layout if channel.layout_changed_at > since else None,
    }
