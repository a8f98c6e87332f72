"""The paper's rankings held against rows whose answer is known."""

from __future__ import annotations

import math

import pytest
from table_rows import row

from adadfq_core.results.rankings import Verdict, rankings


@pytest.mark.parametrize(
    ("ours", "baseline", "verdict"),
    [
        ([80.0, 80.2, 80.4], [70.0, 70.3, 70.2], Verdict.AGREES),
        ([70.0, 70.3, 70.2], [80.0, 80.2, 80.4], Verdict.DISAGREES),
        ([80.0, 70.0, 75.0], [74.0, 76.0, 72.0], Verdict.OPEN),
        ([99.0], [1.0], Verdict.OPEN),
    ],
)
def test_a_ranking_is_judged_by_the_interval_of_its_difference(
    ours: list[float], baseline: list[float], verdict: Verdict
) -> None:
    (claim,) = rankings("main", [row("AdaDFQ", ours), row("GDFQ", baseline)])
    assert claim.verdict is verdict
    assert claim.stated == pytest.approx(84.89 - 75.11)
    assert claim.sentence.endswith(f": {verdict}.")
    assert "by 9.78 points in the paper (ResNet-20, CIFAR-10); here" in claim.sentence


def test_the_difference_is_taken_seed_by_seed() -> None:
    """What the seed does to both methods alike says nothing of which is better."""
    (claim,) = rankings(
        "main", [row("AdaDFQ", [50.0, 70.0, 90.0]), row("GDFQ", [49.0, 68.9, 89.1])]
    )
    assert claim.found.mean == pytest.approx(1.0)
    # Differences 1, 1.1 and 0.9: sd 0.1, and t of 2 degrees of freedom 4.3027.
    assert claim.found.low == pytest.approx(1 - 4.3027 * 0.1 / math.sqrt(3), abs=1e-4)
    assert claim.verdict is Verdict.AGREES


def test_only_seeds_and_rows_that_both_have_are_compared() -> None:
    ours = row("AdaDFQ", [80.0, 81.0, 82.0])
    (claim,) = rankings("main", [ours, row("GDFQ", [70.0, 71.0])])
    assert claim.seeds == 2
    assert rankings("main", [ours]) == []
    assert rankings("main", [ours, row("GDFQ", [])]) == []
    assert rankings("main", [ours, row("GDFQ", [70.0], bits=4)]) == []


def test_the_ablation_takes_parts_out() -> None:
    names = ("AdaDFQ", "without L_ds", "without L_as", "without the margin")
    rows = [row(name, [80.0 - i, 80.5 - i], table="ablation") for i, name in enumerate(names)]
    found = rankings("ablation", rows)
    assert [claim.worse for claim in found] == list(names[1:])
    assert found[0].stated == pytest.approx(28.99 - 17.79)
    assert math.isnan(found[2].stated) and "in the paper" not in found[2].sentence
