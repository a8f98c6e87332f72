"""The table of all runs, and what of it passes the filters: data in, data out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pandas as pd

from adadfq_core.runs import RunInfo, facts, state
from adadfq_core.runs.overview import SweepName
from adadfq_core.runs.summary import Summary

_SEARCHED = ("run_id", "note", "preset", "network")
_MEASURED = ("top1_p", "top1_q_calibrated", "top1_q_last", "recovered")


@dataclass(frozen=True)
class RunFilter:
    """Which runs are wanted; what is empty takes all.

    Attributes:
        text: words that must all occur, in any of id, tags, note, preset and network.
        statuses, sweeps: any of these; sweeps by their ids.
        tags: all of these.
    """

    text: str = ""
    statuses: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    sweeps: tuple[str, ...] = ()


def reader_zone(name: str | None) -> ZoneInfo:
    """The time zone that a browser names; UTC where it names none that is known here."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def local_times(seconds: pd.Series, zone: ZoneInfo) -> pd.Series:
    """Times in seconds since 1970 (UTC) as those of `zone`."""
    return pd.to_datetime(seconds.astype("float64"), unit="s", utc=True).dt.tz_convert(zone)


def runs_frame(
    infos: Iterable[RunInfo],
    reached: Mapping[str, Summary],
    sweeps: Mapping[str, SweepName],
    zone: ZoneInfo,
) -> pd.DataFrame:
    """A row for each of `infos`, of which there is at least one, in their order.

    Columns are those of `runs.facts`, but for `created` as a time of `zone` and `recovered` in
    percent, and `sweep_id` and `state`, which is for people; accuracies that were not measured
    are NaN.
    """
    rows = []
    for info in infos:
        sweep = sweeps.get(info.run_id, SweepName("", ""))
        row = facts(info, reached[info.run_id], sweep.name or sweep.sweep_id)
        rows.append({**row, "state": state(info), "sweep_id": sweep.sweep_id})
    frame = pd.DataFrame(rows)
    frame["created"] = local_times(frame["created"], zone)
    for name in _MEASURED:
        frame[name] = frame[name].astype("float64")
    frame["recovered"] *= 100
    return frame


def matching(frame: pd.DataFrame, wanted: RunFilter) -> pd.DataFrame:
    """The rows of `frame` that pass, in their order."""
    passes = pd.Series(True, index=frame.index)
    words = wanted.text.casefold().split()
    if words:
        text = frame["tags"].map("\n".join)
        for name in _SEARCHED:
            text = text + "\n" + frame[name]
        text = text.map(str.casefold)
        for word in words:
            passes &= text.str.contains(word, regex=False)
    if wanted.statuses:
        passes &= frame["status"].isin(wanted.statuses)
    if wanted.tags:
        passes &= frame["tags"].map(set(wanted.tags).issubset)
    if wanted.sweeps:
        passes &= frame["sweep_id"].isin(wanted.sweeps)
    return frame[passes]
