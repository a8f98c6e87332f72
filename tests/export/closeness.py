"""When two networks of random weights count as the same."""

from __future__ import annotations

from torch import Tensor


def check_alike(found: Tensor, expected: Tensor) -> None:
    """Logits `(N, C)` that differ on average by a fiftieth of their spread at most.

    Sums in another order let a code here and there fall the other way, and random weights make
    much of that. Predictions are the same wherever two classes are not as good as equal.
    """
    spread = float(expected.std())
    assert float((found - expected).abs().mean()) < 0.02 * spread
    first, second = expected.topk(2, dim=1).values.unbind(1)
    clear = first - second > 0.1 * spread
    assert bool((found.argmax(1) == expected.argmax(1))[clear].all())
