"""The files of Q: what each of them is and does, and the buttons that take them away."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from adadfq_core.export.formats import Format
from adadfq_core.export.preparation import Preparation, PreparedFile
from app.export.words import (
    interval_text,
    kind_of,
    missed,
    missed_text,
    points,
    points_text,
    size_text,
    targets_text,
)

_WIDTHS = (3.4, 1, 2.2, 1.2, 1.4, 1.2, 1.5)
_HEADS = (
    "Network",
    "Size",
    "Top-1 (95 % interval)",
    "Against Q, points",
    "Same predictions",
    "As Q?",
    "",
)
_ONNX_FOR = {
    "bit-true": "Computes, number by number, what training computed: for whatever must show the "
    "accuracy that was measured here, and for tools that read the true bits.",
    "runtime": "Symmetric 8-bit weights and 8-bit activations, for which runtimes and "
    "accelerators have quick code. It is another network than Q: go by its own accuracy.",
}


def files_panel(found: Preparation, folder: Path) -> None:
    """A row for P and for Q, and one for each file that is there, with its button."""
    with st.container(key="take_files", gap="xsmall"):
        _row([f":small[:gray[{head}]]" if head else "" for head in _HEADS])
        _networks(found)
        for file in found.files:
            _file_row(file, found, folder)
    _verdicts(found)
    _onnx_variants(found)


def _row(cells: Sequence[str]) -> DeltaGenerator:
    """A row of texts; returns its last column."""
    columns = st.columns(_WIDTHS, vertical_alignment="center", wrap=False)
    for column, text in zip(columns, cells, strict=False):
        column.markdown(text)
    return columns[-1]


def _networks(found: Preparation) -> None:
    sizes = ("–", "–") if found.cost is None else (size_text(found.cost.float_bytes), "–")
    for name, accuracy, size in zip(
        ("P, full precision", "Q in PyTorch, fake-quantized"),
        (found.p, found.q),
        sizes,
        strict=True,
    ):
        if accuracy is not None:
            reached = f"**{accuracy.top1:.2f} %** ({interval_text(accuracy)})"
            _row([name, size, reached, "", "", ""])


def _file_row(file: PreparedFile, found: Preparation, folder: Path) -> None:
    reached, same, verdict = "–", "–", "not measured"
    if file.accuracy is not None:
        reached = f"**{file.accuracy.top1:.2f} %** ({interval_text(file.accuracy)})"
    if file.agreement is not None:
        same = f"{file.agreement.percent:.2f} %"
        verdict = ":material/close: differs" if missed(file, found.q) else ":material/check: yes"
    difference = points_text(points(file, found.q))
    place = _row([kind_of(file), size_text(file.bytes), reached, difference, same, verdict])
    path = folder / file.name
    place.download_button(
        "Download",
        partial(path.read_bytes),
        file_name=file.name,
        mime="application/octet-stream",
        key=f"take_file_{file.name}",
        icon=":material/download:",
        on_click="ignore",
        width="stretch",
        disabled=not path.is_file(),
        help=file.name,
    )


def _verdicts(found: Preparation) -> None:
    """Say which files are not as Q."""
    told = [text for file in found.files if (text := missed_text(file, found.q))]
    if told:
        st.warning("\n\n".join(told), icon=":material/rule:")
    if any(file.agreement is not None for file in found.files):
        st.caption(targets_text())
    elif found.state == "done":
        st.caption(
            "The run has no real images, so neither accuracy nor agreement was measured; give some "
            "with `python -m adadfq_core eval FILE --data ...`."
        )


def _onnx_variants(found: Preparation) -> None:
    """The two ONNX files side by side, each with what it is for."""
    files = [file for file in found.files if file.format == Format.ONNX]
    if len(files) < len(_ONNX_FOR):
        return
    st.markdown("## Which ONNX file?")
    for column, file in zip(st.columns(2, border=True), files, strict=True):
        with column:
            st.markdown(f"**{kind_of(file)}**  \n{_ONNX_FOR[file.variant]}")
            if file.accuracy is not None:
                difference = points_text(points(file, found.q))
                st.markdown(f"Top-1 **{file.accuracy.top1:.2f} %**, {difference} points against Q")
