"""What is said of the paper's figures, on figures whose answer is known."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from adadfq_core.results.claims import (
    about_h_prime,
    about_histograms,
    about_losses,
    about_samples,
    about_surface,
)
from adadfq_core.results.rankings import Verdict


def losses(ours: list[float], baseline: list[float]) -> pd.DataFrame:
    parts = []
    for method, test in (("AdaDFQ", ours), ("GDFQ", baseline)):
        for bits in (3, 5):
            epochs = range(2, 2 + len(test))
            parts.append(
                pd.DataFrame({"epoch": epochs, "training": 1.0, "test": test}).assign(
                    method=method, bits=bits
                )
            )
    return pd.concat(parts)


def test_over_fitting_is_what_of_the_fall_is_lost_again() -> None:
    # A fall of 10, of which 1 and 5 are lost again; epochs without a test do not count.
    claim = about_losses(losses([20, math.nan, 10, 11], [-5, -15, math.nan, -10]))
    assert claim.verdict is Verdict.AGREES
    assert "at 3 bits 10% with AdaDFQ and 50% with GDFQ" in claim.sentence
    assert claim.sentence.endswith("agrees.")
    assert about_losses(losses([20, 10, 15], [20, 10, 11])).verdict is Verdict.DISAGREES
    assert "100% with AdaDFQ" in about_losses(losses([20, 21, 22], [20, 10, 9])).sentence


def test_two_moments_show_no_course() -> None:
    claim = about_losses(losses([20, math.nan, 10], [20, 5, 10]))
    assert claim.verdict is Verdict.OPEN
    assert claim.sentence.endswith("measured 2 times a run: cannot be told.")


@pytest.mark.parametrize(("median", "verdict"), [(0.5, Verdict.AGREES), (0.2, Verdict.DISAGREES)])
def test_medians_are_held_against_their_own_boundaries(median: float, verdict: Verdict) -> None:
    rows = [
        ("paper", 0.1, 0.8, 1, 0.9),
        ("paper", 0.1, 0.8, 2, 0.4),
        ("narrow", 0.45, 0.55, 2, median),
        ("narrow", 0.45, 0.55, 1, 0.5),
    ]
    frame = pd.DataFrame(rows, columns=["group", "lambda_l", "lambda_u", "epoch", "q50"])
    claim = about_h_prime(frame)
    assert claim.verdict is verdict
    assert "0.40 for 0.1 to 0.8" in claim.sentence
    assert f"{median:.2f} for 0.45 to 0.55" in claim.sentence


def test_the_method_with_more_samples_within_the_margin() -> None:
    frame = pd.DataFrame(
        {"group": ["AdaDFQ"] * 4 + ["GDFQ"] * 4, "h_prime": [0.1, 0.8, 0.5, 0.9] + [0.0, 0.95] * 2}
    )
    claim = about_histograms(frame)
    assert claim.verdict is Verdict.AGREES
    assert "75% of AdaDFQ's samples and 0% of GDFQ's" in claim.sentence
    frame["h_prime"] = 0.5
    assert about_histograms(frame).verdict is Verdict.DISAGREES


@pytest.mark.parametrize(("top1", "verdict"), [(91.9, Verdict.AGREES), (90.0, Verdict.DISAGREES)])
def test_the_papers_place_is_held_against_all_others(top1: float, verdict: Verdict) -> None:
    rows = [(0.1, 0.8, top1 + 1), (0.1, 0.8, top1 - 1), (0.0, 0.5, 91.0), (0.2, 0.5, 92.0)]
    rows += [(0.3, 0.5, 89.0), (0.3, 0.9, 88.0), (0.4, 0.9, math.nan)]
    claim = about_surface(pd.DataFrame(rows, columns=["lambda_l", "lambda_u", "top1_q_last"]))
    assert claim.verdict is verdict
    better = 1 if top1 > 91 else 2
    assert f"They give {top1:.2f} %, {better} of the other 4 places" in claim.sentence


def test_samples_that_p_does_not_recognise() -> None:
    frame = pd.DataFrame({"bits": [5, 3], "share": [0.4, 0.9]})
    claim = about_samples(frame)
    assert claim.verdict is Verdict.DISAGREES
    assert "90% at 3 bits, 40% at 5 bits" in claim.sentence
    assert about_samples(frame.assign(share=0.8)).verdict is Verdict.AGREES
