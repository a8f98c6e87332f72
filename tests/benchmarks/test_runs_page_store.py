"""The store that the Runs page is measured on: what the store itself reads of it."""

from __future__ import annotations

from pathlib import Path

from runs_page import PRESET, make_store

from adadfq_core import runs
from adadfq_core.ablation import control
from adadfq_core.presets import preset_settings
from adadfq_core.runs import RecordKind, RunStatus


def test_the_store_holds_what_runs_and_sweeps_leave(tmp_path: Path) -> None:
    make_store(tmp_path, 6)
    found = runs.list_runs(tmp_path)
    assert len(found) == 6
    assert {info.status for info in found} == {RunStatus.FINISHED}
    steps = runs.read(tmp_path, found[0].run_id, kinds=[RecordKind.STEP]).records
    assert len(steps) == preset_settings(PRESET).iterations
    (sweep,) = control.list_sweeps(tmp_path)
    cells = control.cells(tmp_path, sweep.sweep_id)
    assert {cell.run_id for cell in cells} < {info.run_id for info in found}
