"""What the Inspect page's panels share: a run's samples, and what the reader has chosen of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from adadfq_core import runs
from adadfq_core.errors import InputError
from adadfq_core.inspection.networks import checkpoint_at
from adadfq_core.inspection.samples import Samples, SheetPixels, read_samples
from adadfq_core.runs import RunInfo

SampleKey = tuple[int, int]
"""A sample by its iteration and its place in that iteration's sheet."""

_SLOT = "inspected"
_CHOSEN = "inspected_sample"


@dataclass
class Inspected:
    """A run as one session inspects it.

    Attributes:
        samples: all that is stored, as far as it was read.
        pixels: reads images on demand.
        lasso: the samples that were selected on the map; `None` without a selection.
    """

    root: Path
    info: RunInfo
    samples: Samples = field(default_factory=Samples)
    pixels: SheetPixels = field(init=False)
    lasso: frozenset[SampleKey] | None = None

    def __post_init__(self) -> None:
        self.pixels = SheetPixels(self.root)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.samples.classes

    def refresh(self) -> None:
        """Read what was stored meanwhile."""
        self.info = runs.info(self.root, self.info.run_id)
        self.samples = read_samples(self.root, self.info.run_id, self.samples)

    def checkpoint(self, moment: int) -> int:
        """The iteration of the checkpoint that shows `moment`; that itself while there is none.

        Requests name it, so that moments which share a checkpoint share an answer.
        """
        try:
            return checkpoint_at(self.root, self.info.run_id, moment).iteration
        except InputError:
            return moment

    @property
    def newest_checkpoint(self) -> int:
        """See `checkpoint`."""
        return self.checkpoint(self.info.iteration)

    def images(self, rows: pd.DataFrame) -> np.ndarray:
        """Pixels `(n, C, H, W)` of the samples `rows`."""
        return self.pixels.of(self.samples, keys(rows))


def keys(rows: pd.DataFrame) -> list[SampleKey]:
    """The keys of the samples `rows`."""
    return list(zip(rows["iteration"].tolist(), rows["place"].tolist(), strict=True))


def inspected(root: Path, run_id: str) -> Inspected:
    """The run `run_id` as this session inspects it, brought up to date.

    Raises:
        InputError: there is no such run.
        RunFailed: its store cannot be read.
    """
    held: Inspected | None = st.session_state.get(_SLOT)
    if held is None or held.info.run_id != run_id or held.root != root:
        held = st.session_state[_SLOT] = Inspected(root, runs.info(root, run_id))
    held.refresh()
    return held


def chosen_network(place: DeltaGenerator, held: Inspected, key: str, about: str) -> int | None:
    """Let the reader choose at `place` whose features are looked through.

    Returns the moment of Q's checkpoint, `None` for P: what requests call `q_iteration`.
    """
    through = place.segmented_control(
        "Features of", ("P", "Q"), default="P", required=True, key=key, help=about
    )
    return held.newest_checkpoint if through == "Q" else None


def choose(run_id: str, key: SampleKey) -> None:
    """Look at the sample `key` of run `run_id` up close."""
    st.session_state[_CHOSEN] = (run_id, key)


def chosen(held: Inspected) -> SampleKey | None:
    """The sample that is looked at up close, if it is of this run and its sheet can be read."""
    run_id, key = st.session_state.get(_CHOSEN, (None, None))
    return key if run_id == held.info.run_id and key[0] in held.samples.sheets else None


def open_inspection(run_id: str) -> NoReturn:
    """Go to the Inspect page, to run `run_id`."""
    st.session_state["inspect_run"] = run_id
    st.switch_page("views/inspect.py")
