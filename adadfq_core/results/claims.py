"""What the paper's figures are said to show, held against the same figures made here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adadfq_core.presets import MARGINS
from adadfq_core.results.rankings import Verdict

if TYPE_CHECKING:
    import pandas as pd

OURS, BASELINE = "AdaDFQ", "GDFQ"
_MARGIN = MARGINS["the paper's margin"].values
PAPERS_MARGIN = (_MARGIN["lambda_l"], _MARGIN["lambda_u"])
# Of all places of a grid, the share that counts as its best.
BEST_SHARE = 0.25
# Fewer moments show no course of a loss.
FEWEST_LOSSES = 3


@dataclass(frozen=True)
class Claim:
    """One sentence that holds a figure of the paper against the one made here."""

    sentence: str
    verdict: Verdict


def _judged(text: str, agrees: bool) -> Claim:
    verdict = Verdict.AGREES if agrees else Verdict.DISAGREES
    return Claim(f"{text}: {verdict}.", verdict)


def about_losses(losses: pd.DataFrame) -> Claim:
    """That the game is spared the over-fitting of its baseline, at low and at high bits.

    Args:
        losses: columns `method`, `bits`, `epoch`, `training` and `test` (NaN where not measured).
    """
    measured = losses.dropna(subset=["test"])
    widths = sorted(set(losses["bits"].tolist()))
    lost = {
        (method, bits): _lost_again(
            measured.loc[
                (measured["method"] == method) & (measured["bits"] == bits), "test"
            ].tolist()
        )
        for method in (OURS, BASELINE)
        for bits in widths
    }
    seen = int(measured.groupby(["method", "bits"])["epoch"].count().min())
    if seen < FEWEST_LOSSES:
        sentence = (
            "The margin is to keep Q from over-fitting G's images. The test loss was measured "
            f"{seen} times a run: {Verdict.OPEN}."
        )
        return Claim(sentence, Verdict.OPEN)
    told = "; ".join(
        f"at {bits} bits {lost[OURS, bits]:.0%} with {OURS} and {lost[BASELINE, bits]:.0%} with "
        f"{BASELINE}"
        for bits in widths
    )
    return _judged(
        f"The margin is to keep Q from over-fitting G's images. Of what the test loss has fallen, "
        f"so much is lost again by the end: {told}",
        all(lost[OURS, bits] <= lost[BASELINE, bits] for bits in widths),
    )


def _lost_again(losses: list[float]) -> float:
    """Share of the fall from the first of `losses` to the lowest that the last has lost again."""
    fall = losses[0] - min(losses)
    return (losses[-1] - min(losses)) / fall if fall > 0 else 1.0


def about_h_prime(bands: pd.DataFrame) -> Claim:
    """That G keeps its samples within the margin, wherever it is put.

    Args:
        bands: columns `group`, `lambda_l`, `lambda_u`, `epoch`, `q25`, `q50` and `q75`.
    """
    last = bands.sort_values("epoch").groupby("group", sort=False).last()
    medians = last[["lambda_l", "q50", "lambda_u"]].to_numpy(float).tolist()
    told = "; ".join(f"{median:.2f} for {low:g} to {high:g}" for low, median, high in medians)
    return _judged(
        f"Samples are to lie between the boundaries. The median H' of the last epoch is {told}",
        all(low <= median <= high for low, median, high in medians),
    )


def about_histograms(samples: pd.DataFrame) -> Claim:
    """That more of the game's samples lie within the margin than of its baseline's.

    Args:
        samples: columns `group` (a method) and `h_prime`, a row a sample.
    """
    low, high = PAPERS_MARGIN
    inside = samples["h_prime"].between(low, high).groupby(samples["group"]).mean()
    return _judged(
        f"G is to look at Q, which {BASELINE}'s does not. Between {low:g} and {high:g} lie "
        f"{inside[OURS]:.0%} of {OURS}'s samples and {inside[BASELINE]:.0%} of {BASELINE}'s",
        bool(inside[OURS] > inside[BASELINE]),
    )


def about_surface(grid: pd.DataFrame) -> Claim:
    """That the paper's margin is among the best.

    Args:
        grid: columns `lambda_l`, `lambda_u` and `top1_q_last` in percent, a row a run.
    """
    places = grid.dropna(subset=["top1_q_last"]).groupby(["lambda_l", "lambda_u"])["top1_q_last"]
    means = places.mean().sort_values(ascending=False)
    better = int((means > means[PAPERS_MARGIN]).sum())
    return _judged(
        f"The boundaries {PAPERS_MARGIN[0]:g} and {PAPERS_MARGIN[1]:g} are to be a good choice. "
        f"They give {means[PAPERS_MARGIN]:.2f} %, {better} of the other {len(means) - 1} places "
        f"give more, and all lie between {means.iloc[-1]:.2f} and {means.iloc[0]:.2f} %",
        better < BEST_SHARE * len(means),
    )


def about_samples(recognised: pd.DataFrame) -> Claim:
    """That samples belong to the classes that were asked for, at all bits.

    Args:
        recognised: columns `bits` and `share`, of the samples that P takes for the class asked.
    """
    shares = recognised.sort_values("bits")[["bits", "share"]].to_numpy(float).tolist()
    told = ", ".join(f"{share:.0%} at {bits:g} bits" for bits, share in shares)
    return _judged(
        f"Samples are to be of the category that is asked for. P takes them for it in {told}",
        all(share > 0.5 for _, share in shares),
    )


CLAIMS: dict[str, Callable[[pd.DataFrame], Claim]] = {
    "losses": about_losses,
    "h-prime": about_h_prime,
    "histograms": about_histograms,
    "surface": about_surface,
    "samples": about_samples,
}
"""What is said of each figure, by the name of the CSV file that it is drawn from."""
