from __future__ import annotations

from adadfq_core.export.cost import Cost, LayerCost


def test_bytes_and_bit_operations_worked_by_hand() -> None:
    cost = Cost(
        (
            LayerCost("first", weights=10, weight_bits=3, input_bits=32, operations=100),
            LayerCost("last", weights=7, weight_bits=8, input_bits=4, operations=20),
        ),
        others=5,
    )
    assert cost.float_bytes == 40 + 28 + 20
    assert cost.byte_bytes == 10 + 7 + 20
    # 30 bits take 4 bytes; every layer begins with a byte of its own.
    assert cost.packed_bytes == 4 + 7 + 20
    assert cost.operations == 120
    assert cost.float_bit_operations == 120 * 32 * 32
    assert cost.bit_operations == 100 * 3 * 32 + 20 * 8 * 4


def test_layers_do_not_share_a_byte() -> None:
    layer = LayerCost("one weight", weights=1, weight_bits=2, input_bits=2, operations=1)
    assert Cost((layer,) * 4, others=0).packed_bytes == 4
