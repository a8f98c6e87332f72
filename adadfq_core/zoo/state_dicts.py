"""Reading downloaded weights without running code that a file may hold."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor, nn

from adadfq_core.errors import InputError


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict of a PyTorch file, on the CPU.

    Raises:
        InputError: it is not such a file, or holds anything but tensors.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(
            f"{path} does not hold a network's weights ({type(error).__name__}); remove it to "
            "fetch it again."
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise InputError(f"{path} does not hold a state dict of tensors; remove it.")
    return state


def fill(network: nn.Module, state: dict[str, Tensor], path: Path) -> nn.Module:
    """Copy `state`, read from `path`, into `network` and set that to evaluation mode.

    Raises:
        InputError: the tensors do not fit.
    """
    try:
        network.load_state_dict(state)
    except (RuntimeError, ValueError) as error:  # MNASNet refuses old versions with the latter
        reason = " ".join(str(error).split())
        raise InputError(f"{path} does not hold this network's weights: {reason}") from error
    return network.eval()
