"""How to use each file: code to be copied, with this network's own normalisation."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from adadfq_core.errors import InputError
from adadfq_core.export.description import Description
from adadfq_core.export.formats import Format
from adadfq_core.export.preparation import Preparation
from adadfq_core.export.torch_file import read_description
from app.export.usage import eval_command, onnx_code, program_code, torch_code
from app.markdown import plain

_INSTALL = {
    "ONNX": "`pip install onnxruntime numpy`: nothing of this project is needed. Both "
    "`.onnx` files are used alike.",
    "PyTorch": "With this project installed; both `.safetensors` files are used alike.",
    "PyTorch program": "`pip install torch`: nothing of this project is needed. A program is code: "
    "load none of a stranger's.",
    "Shell": "Any of the files, measured again on labelled images.",
}


def usage_panel(found: Preparation, folder: Path) -> None:
    """Draw the code for the files of a finished preparation."""
    packed = found.file(Format.PACKED)
    if packed is None:
        return
    st.markdown("## How to use the files")
    try:
        description = read_description(folder / packed.name)
    except InputError as error:
        st.caption(plain(str(error)))
        return
    codes = _codes(found, packed.name, description)
    for tab, (name, (code, language)) in zip(st.tabs(list(codes)), codes.items(), strict=True):
        with tab:
            st.caption(_INSTALL[name])
            st.code(code, language=language, wrap_lines=True)


def _codes(found: Preparation, packed: str, description: Description) -> dict[str, tuple[str, str]]:
    """Code and its language by what runs it."""
    images = description.images
    codes = {"PyTorch": (torch_code(packed, images, description.network), "python")}
    runtime = found.file(Format.ONNX, "runtime")
    if runtime is not None:
        codes = {"ONNX": (onnx_code(runtime.name, images), "python"), **codes}
    program = found.file(Format.PROGRAM)
    if program is not None:
        codes["PyTorch program"] = (program_code(program.name, images), "python")
    codes["Shell"] = (eval_command(packed, description.data), "bash")
    return codes
