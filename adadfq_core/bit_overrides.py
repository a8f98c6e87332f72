"""Bits of single layers, written as `first=8,last=8,layer3.*=4`."""

from __future__ import annotations

from adadfq_core.errors import InputError

LOWEST, HIGHEST = 2, 8
_MOST_DIGITS = 9  # Python refuses to read numbers of thousands of digits
FIRST, LAST = "first", "last"


def parse_bit_overrides(text: str) -> dict[str, int]:
    """Bits by name pattern, in the order written.

    A pattern is a layer's or an activation's name with the wildcards `*`, `?` and `[...]`;
    `first` and `last` stand for the weights of the first and of the last layer.

    Raises:
        InputError: an entry is not `pattern=bits`, or its bits are not from 2 to 8.
    """
    overrides: dict[str, int] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        pattern, _, bits = (part.strip() for part in entry.partition("="))
        is_number = bits.isdecimal() and len(bits) <= _MOST_DIGITS
        if not pattern or not is_number or not LOWEST <= int(bits) <= HIGHEST:
            raise InputError(
                f"'{entry}' is not of the form pattern=bits with bits from {LOWEST} to {HIGHEST}, "
                "for example first=8,last=8,layer3.*=4."
            )
        overrides[pattern] = int(bits)
    return overrides
