from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from adadfq_core.export.packing import pack, unpack


def codes_of(*values: int) -> NDArray[np.uint8]:
    return np.array(values, dtype=np.uint8)


@st.composite
def some_codes(draw: st.DrawFn) -> tuple[NDArray[np.uint8], int]:
    bits = draw(st.integers(2, 8))
    values = draw(st.lists(st.integers(0, 2**bits - 1), max_size=50))
    return codes_of(*values), bits


@given(some_codes())
def test_codes_of_every_width_come_back(given_codes: tuple[NDArray[np.uint8], int]) -> None:
    codes, bits = given_codes
    packed = pack(codes, bits)
    assert packed.dtype == np.uint8
    assert packed.shape == (-(-len(codes) * bits // 8),)
    np.testing.assert_array_equal(unpack(packed, bits, len(codes)), codes)


@pytest.mark.parametrize(
    ("bits", "codes", "expected"),
    [
        (2, (1, 2, 3, 0), [0b00_11_10_01]),
        # The third code lies across two bytes: its lowest two bits end the first one.
        (3, (1, 2, 7), [0b11_010_001, 0b1]),
        (4, (0xA, 0xB, 0xC), [0xBA, 0x0C]),
        (5, (31, 0, 1), [0b000_11111, 0b0_00001_00]),
        (8, (200, 7), [200, 7]),
    ],
)
def test_bytes_worked_by_hand(bits: int, codes: tuple[int, ...], expected: list[int]) -> None:
    assert pack(codes_of(*codes), bits).tolist() == expected


def test_a_tensor_is_packed_row_by_row_however_it_lies_in_memory() -> None:
    codes = codes_of(*range(8)).reshape(2, 4)
    expected = pack(codes_of(*range(8)), 3).tolist()
    assert pack(codes, 3).tolist() == expected
    assert pack(np.asfortranarray(codes), 3).tolist() == expected


@pytest.mark.parametrize("bits", range(2, 8))
def test_a_code_that_needs_more_bits_is_refused(bits: int) -> None:
    assert len(pack(codes_of(2**bits - 1), bits)) == 1
    with pytest.raises(ValueError, match=f"{2**bits} does not fit {bits} bits"):
        pack(codes_of(0, 2**bits), bits)


@pytest.mark.parametrize("size", [0, 3, 5])
def test_bytes_that_are_too_few_or_too_many_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="10 codes of 3 bits take 4 bytes"):
        unpack(np.zeros(size, dtype=np.uint8), 3, 10)


def test_bytes_with_two_axes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 2\)"):
        unpack(np.zeros((2, 2), dtype=np.uint8), 3, 10)
