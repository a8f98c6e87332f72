"""Q as a safetensors file, its weight codes a byte each or packed, and the way back to a module."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from adadfq_core.bit_overrides import parse_bit_overrides
from adadfq_core.errors import InputError
from adadfq_core.export.description import KEY, Description, from_yaml, missing
from adadfq_core.export.frozen import FrozenNetwork, freeze
from adadfq_core.export.packing import pack, unpack
from adadfq_core.files import expanded, replace_atomically
from adadfq_core.quant.convert import quantize
from adadfq_core.zoo.registry import find

_AGAIN = "it may be cut off or damaged: copy or export it again"


def save_torch(network: FrozenNetwork, description: Description, path: Path) -> None:
    """Write `network` to `path`, packed if `description` says so; whole or not at all."""
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    if description.packed:
        for name, bits in network.code_bits():
            state[name] = torch.from_numpy(pack(state[name].numpy(), bits))
    with replace_atomically(path) as temporary:
        save_file(state, temporary, {KEY: description.to_yaml()})


def load_quantized(path: str | os.PathLike[str], network: nn.Module | None = None) -> FrozenNetwork:
    """The quantized network of a file that `export --format torch` or `packed` has written.

    Nothing in the file is run. `FrozenNetwork` maps normalised images `(B, C, H, W)` to logits;
    `read_description(path)` tells the normalisation and the classes.

    Args:
        network: the architecture with any weights, for a file whose network is no name of the zoo.

    Raises:
        InputError: no such file, a damaged one, one that was not exported here, or one that needs
            `network`.
    """
    path = expanded(path)
    description = read_description(path)
    frozen = _structure(description, network, path)
    expected = frozen.state_dict()
    if description.packed:
        for name, bits in frozen.code_bits():
            size = (expected[name].numel() * bits + 7) // 8
            expected[name] = torch.empty(size, dtype=torch.uint8)
    found = _tensors(path, expected)
    if description.packed:
        shapes = {name: tensor.shape for name, tensor in frozen.state_dict().items()}
        for name, bits in frozen.code_bits():
            codes = unpack(found[name].numpy(), bits, shapes[name].numel())
            found[name] = torch.from_numpy(np.ascontiguousarray(codes)).view(shapes[name])
    frozen.load_state_dict(found)
    return frozen


def read_description(path: Path) -> Description:
    """What a safetensors file says of itself.

    Raises:
        InputError: no such file, a damaged one, or one that was not exported here.
    """
    if not os.path.isfile(path):
        raise InputError(f"There is no file {path}; check its path.")
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(KEY)
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} is not a readable safetensors file ({error}); {_AGAIN}."
        ) from error
    if text is None:
        raise missing(path)
    return from_yaml(text, path)


def _structure(description: Description, network: nn.Module | None, path: Path) -> FrozenNetwork:
    """A network of the right shape, whose numbers mean nothing yet."""
    if network is None:
        if ":" in description.network:
            raise InputError(
                f"{path} holds the weights of {description.network}, which is code of its user; "
                "build that network yourself and give it as well."
            )
        network = find(description.network).build()
    example = torch.zeros(2, *description.images.shape)
    overrides = parse_bit_overrides(description.bit_overrides)
    bits = description.weight_bits, description.activation_bits
    quantized = quantize(network.eval(), *bits, example, overrides)
    with torch.no_grad(), quantized.observing_ranges():
        quantized(example)
    return freeze(quantized)


def _tensors(path: Path, expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the file, each of the type and shape of the expected one."""
    with safe_open(path, "pt") as file:
        names = set(file.keys())
        different = sorted(names.symmetric_difference(expected))
        if different:
            raise InputError(
                f"{path} does not hold the tensors of its network ({different[0]} and "
                f"{len(different) - 1} others differ); {_AGAIN}."
            )
        try:
            found = {name: file.get_tensor(name) for name in expected}
        except (SafetensorError, OSError) as error:
            raise InputError(f"{path} cannot be read ({error}); {_AGAIN}.") from error
    for name, tensor in found.items():
        own = expected[name]
        if tensor.shape != own.shape or tensor.dtype != own.dtype:
            raise InputError(
                f"The tensor {name} in {path} is {tensor.dtype} {tuple(tensor.shape)} instead of "
                f"{own.dtype} {tuple(own.shape)}; {_AGAIN}."
            )
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise InputError(f"The tensor {name} in {path} holds NaN or infinite values; {_AGAIN}.")
    return found
