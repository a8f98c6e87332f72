"""All stored samples of a run: a table that grows with the run, and their pixels on demand."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.inspection.sample_table import sample_table, sheet_columns
from adadfq_core.runs.records import Record, RecordKind, settings_in_force
from adadfq_core.runs.store import RunStore
from adadfq_core.settings import RunSettings

KEPT_SHEETS = 16
"""Sheets whose pixels stay in memory, 4 MB each at most."""

_READ = (RecordKind.NETWORK, RecordKind.PARAMETERS, RecordKind.IMAGES)
_LISTED = 5


@dataclass(frozen=True, eq=False)
class Samples:
    """The stored samples of a run as far as they were read; pass it to the next `read_samples`.

    Attributes:
        table: one row a sample (see `sample_table`), by iteration and place in its sheet.
        classes: names of the classes, by index.
        sheets: the records of the sheets in `table`, by iteration.
        left_out: why the sheets that are not could not be read, by iteration.
        changes: the records of settings that changed.
        cursor: where the next read begins.
    """

    table: pd.DataFrame = field(default_factory=lambda: sample_table([], ()))
    classes: tuple[str, ...] = ()
    sheets: Mapping[int, Record] = field(default_factory=dict)
    left_out: Mapping[int, str] = field(default_factory=dict)
    changes: tuple[Record, ...] = ()
    cursor: int = 0

    @property
    def notice(self) -> str:
        """One sentence about the sheets that are left out; empty if there are none."""
        if not self.left_out:
            return ""
        iterations = sorted(self.left_out)
        named = ", ".join(str(iteration) for iteration in iterations[:_LISTED])
        more = len(iterations) - _LISTED
        return (
            f"{len(iterations)} of {len(iterations) + len(self.sheets)} sheets of images could "
            f"not be read and are left out (of iteration {named}"
            f"{f' and {more} more' if more > 0 else ''}): {self.left_out[iterations[0]]}"
        )


def read_sheet(store: RunStore, record: Record, classes: int) -> dict[str, np.ndarray]:
    """The arrays of a sheet.

    Raises:
        RunFailed: its file is missing or damaged, or does not hold what a sheet holds.
    """
    arrays = store.arrays(record)
    labels = arrays.get("labels", np.empty(0))
    n = len(labels)
    expected = {"labels": (n,), "h_prime": (n,), "p_logits": (n, classes), "q_logits": (n, classes)}
    shapes = {name: arrays[name].shape for name in expected if name in arrays}
    pixels = arrays.get("pixels", np.empty(0))
    complete = shapes == expected and pixels.ndim == 4 and len(pixels) == n
    if not complete or not ((labels >= 0) & (labels < classes)).all():
        raise RunFailed(
            f"'{store.path(record)}' is damaged; a sheet holds pixels, labels, H' and the logits "
            f"of {classes} classes of each image."
        )
    return arrays


def read_samples(root: Path, run_id: str, known: Samples | None = None) -> Samples:
    """The stored samples of run `run_id`; reads only what was stored since `known`.

    The settings of a sheet are those that were logged before it: a run that was resumed from an
    earlier checkpoint may change them at iterations whose sheets were stored by then. Of two
    sheets of one iteration the one stored later counts. A sheet that cannot be read is left out
    and named in `Samples.notice`; it is not tried again.

    Raises:
        InputError: there is no such run.
        RunFailed: its database stays locked.
    """
    known = known or Samples()
    store = RunStore(root)
    update = store.read(run_id, known.cursor, _READ)
    classes, changes = known.classes, list(known.changes)
    found = {}
    for record in update.records:
        if record.kind == RecordKind.NETWORK:
            classes = tuple(record.data["classes"])
        elif record.kind == RecordKind.PARAMETERS:
            changes.append(record)
        else:
            settings = settings_in_force(update.info.settings, changes, record.iteration)
            found[record.iteration] = record, settings

    table = known.table
    sheets = {i: record for i, record in known.sheets.items() if i not in found}
    left_out = {i: reason for i, reason in known.left_out.items() if i not in found}
    if len(sheets) < len(known.sheets):
        table = table[~table["iteration"].isin(list(found))].reset_index(drop=True)
    new = []
    for iteration, (record, settings) in found.items():
        try:
            new.append(sheet_columns(iteration, read_sheet(store, record, len(classes)), settings))
            sheets[iteration] = record
        except RunFailed as error:
            left_out[iteration] = str(error)
    if new:
        table = pd.concat([table, sample_table(new, classes)], ignore_index=True)
    if not table["iteration"].is_monotonic_increasing:
        table = table.sort_values(["iteration", "place"], ignore_index=True)
    return Samples(table, classes, sheets, left_out, tuple(changes), update.cursor)


def settings_at(samples: Samples, start: RunSettings, iteration: int) -> RunSettings:
    """The settings that the sheet of `iteration` was played with, of a run begun with `start`.

    Raises:
        KeyError: no such sheet is in `samples`.
    """
    sheet = samples.sheets[iteration]
    before = [change for change in samples.changes if change.seq < sheet.seq]
    return settings_in_force(start, before, iteration)


class SheetPixels:
    """Pixels of a run's samples; the sheets used last are kept. For one thread at a time."""

    def __init__(self, root: Path, kept: int = KEPT_SHEETS) -> None:
        self._store = RunStore(root)
        self._kept = kept
        self._sheets: OrderedDict[Path, np.ndarray] = OrderedDict()

    def of(self, samples: Samples, wanted: Iterable[tuple[int, int]]) -> np.ndarray:
        """Pixels `(n, C, H, W)` uint8 of the n samples `wanted`, each an (iteration, place).

        A sheet is read once, however many of its samples are wanted; without a sample the result
        is `(0, 1, 1, 1)`.

        Raises:
            InputError: there is no such sample.
            RunFailed: a sheet has gone or was damaged after it was read into the table.
        """
        by_sheet: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for index, (iteration, place) in enumerate(wanted):
            by_sheet[iteration].append((index, place))
        images: dict[int, np.ndarray] = {}
        for iteration, uses in by_sheet.items():
            if iteration not in samples.sheets:
                raise InputError(
                    f"No images of iteration {iteration} are stored; choose a sample of the table."
                )
            sheet = self._pixels(samples.sheets[iteration])
            for index, place in uses:
                if not 0 <= place < len(sheet):
                    raise InputError(
                        f"The sheet of iteration {iteration} has no place {place}; its places are "
                        f"0 to {len(sheet) - 1}."
                    )
                # A view would keep the whole sheet in memory.
                images[index] = sheet[place].copy()
        if not images:
            return np.empty((0, 1, 1, 1), np.uint8)
        return np.stack([images[index] for index in range(len(images))])

    def _pixels(self, record: Record) -> np.ndarray:
        # The file's name, not the iteration: another sheet may take its place.
        path = self._store.path(record)
        if path not in self._sheets:
            self._sheets[path] = self._store.arrays(record)["pixels"]
        self._sheets.move_to_end(path)
        while len(self._sheets) > self._kept:
            self._sheets.popitem(last=False)
        return self._sheets[path]
