"""Q as a program of `torch.export`, which PyTorch runs without this package."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from adadfq_core.errors import InputError
from adadfq_core.export.description import KEY, Description, from_yaml, missing
from adadfq_core.export.frozen import FrozenNetwork
from adadfq_core.export.quiet import quiet
from adadfq_core.files import replace_atomically


def save_program(network: FrozenNetwork, description: Description, path: Path) -> None:
    """Write `network` to `path` for `torch.export.load`, whole or not at all."""
    # Two images: a batch of one would be taken for a constant.
    example = torch.zeros(2, *description.images.shape)
    program = torch.export.export(
        network.graph_module, (example,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)
    )
    # Into an open file, since PyTorch refuses a name without its own suffix.
    with replace_atomically(path) as temporary, temporary.open("wb") as file, quiet("torch.export"):
        torch.export.save(program, file, extra_files={KEY: description.to_yaml()})


def load_program(path: Path) -> tuple[nn.Module, Description]:
    """The module of a program and its description.

    A program is code: PyTorch evaluates expressions of the file. Load none of a stranger's, and
    never one that came through a page.

    Raises:
        InputError: the file is no such program, or not one of `save_program`.
    """
    found = {KEY: ""}
    try:
        with quiet("torch.export"):
            program = torch.export.load(path, extra_files=found)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path} is not a readable program of torch.export ({reason}); it may be cut off or "
            "damaged: copy or export it again."
        ) from error
    if not found[KEY]:
        raise missing(path)
    return program.module(), from_yaml(found[KEY], path)
