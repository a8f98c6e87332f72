"""The latest images of a run as one sheet: hand-worked cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stored_sheets import CLASSES, new_run, sheet, store_sheet

from adadfq_core.errors import InputError
from adadfq_core.inspection.contact_sheet import contact_sheet
from adadfq_core.inspection.latest_sheet import LatestSheet, latest_sheet


def test_the_latest_images_stand_in_the_order_of_their_classes(tmp_path: Path) -> None:
    labels = np.array([2, 0, 1, 0])
    # P finds the last three to be what was asked.
    logits = np.eye(len(CLASSES), dtype=np.float32)[[1, 0, 1, 0]]
    arrays = sheet(7, labels=labels, p_logits=logits)
    with new_run(tmp_path) as writer:
        assert latest_sheet(tmp_path, writer.run_id) is None
        store_sheet(writer, 10)
        store_sheet(writer, 20, arrays)
        found = latest_sheet(tmp_path, writer.run_id)
    wanted = contact_sheet(arrays["pixels"][[1, 3, 2, 0]])
    assert found == LatestSheet(wanted, iteration=20, count=4, recognised=0.75)


def test_a_run_that_is_not_there_is_told(tmp_path: Path) -> None:
    with new_run(tmp_path), pytest.raises(InputError, match="nowhere"):
        latest_sheet(tmp_path, "nowhere")
