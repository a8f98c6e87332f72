"""Codes of few bits, packed one behind the other without gaps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def pack(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Unsigned codes of any shape, each below `2^bits`, as `ceil(n * bits / 8)` bytes.

    In the order of C; the lowest bit of the first code is the lowest bit of the first byte.

    Raises:
        ValueError: a code needs more bits.
    """
    flat = codes.reshape(-1, 1)
    if flat.size and int(flat.max()) >> bits:
        raise ValueError(f"The code {int(flat.max())} does not fit {bits} bits.")
    each = np.unpackbits(flat, axis=1, count=bits, bitorder="little")
    return np.packbits(each, bitorder="little")


def unpack(packed: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.uint8]:
    """The `count` codes that `pack` has packed, `(count,)`.

    Raises:
        ValueError: the bytes are too few or too many.
    """
    needed = (count * bits + 7) // 8
    if packed.shape != (needed,):
        raise ValueError(
            f"{count} codes of {bits} bits take {needed} bytes, not {packed.size} of shape "
            f"{packed.shape}."
        )
    each = np.unpackbits(packed, count=count * bits, bitorder="little").reshape(count, bits)
    return np.packbits(each, axis=1, bitorder="little").reshape(count)
