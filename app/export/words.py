"""What the page and the report say of a file of Q: its format, its size, and whether it is as Q."""

from __future__ import annotations

from adadfq_core.export.accuracy import Accuracy
from adadfq_core.export.formats import Format
from adadfq_core.export.integer.check import IntegerCheck
from adadfq_core.export.preparation import PreparedFile

LEAST_SAME = 99.9
"""Percent of the predictions in which a file is to agree with Q."""

MOST_OFF = 0.05
"""Points by which a file's top-1 may differ from Q's."""

_KINDS = {
    Format.ONNX: "ONNX",
    Format.TORCH: "PyTorch, a byte a weight",
    Format.PACKED: "PyTorch, packed",
    Format.PROGRAM: "PyTorch program",
}
_ONNX = {"bit-true": "bit-true to training", "runtime": "friendly to runtimes"}


def kind_of(file: PreparedFile) -> str:
    """The format of `file` in words."""
    kind = _KINDS[file.format]
    return f"{kind}, {_ONNX[file.variant]}" if file.format == Format.ONNX else kind


def size_text(count: int) -> str:
    """Bytes in the unit that suits them."""
    return f"{count / 1e6:,.2f} MB" if count >= 1_000_000 else f"{count / 1e3:.1f} kB"


def interval_text(accuracy: Accuracy) -> str:
    """The 95 % confidence interval of a top-1."""
    low, high = accuracy.interval
    return f"{low:.2f} to {high:.2f} %"


def points(file: PreparedFile, q: Accuracy | None) -> float | None:
    """Points by which the top-1 of `file` lies above Q's; `None` where one was not measured."""
    if file.accuracy is None or q is None:
        return None
    # Of counts, so that a difference that just meets the target is not lost to round-off.
    return 100 * (file.accuracy.correct - q.correct) / q.images


def points_text(difference: float | None) -> str:
    """A difference of accuracies in points, with its sign."""
    if difference is None:
        return "–"
    return "±0.00" if abs(difference) < 0.005 else f"{difference:+.2f}".replace("-", "−")


def missed(file: PreparedFile, q: Accuracy | None) -> list[str]:
    """The targets that `file` misses, each in words; none where nothing was measured."""
    found = []
    if file.agreement is not None and file.agreement.percent < LEAST_SAME:
        found.append(
            f"it predicts what Q predicts for {file.agreement.percent:.2f} % of the images, below "
            f"{LEAST_SAME:g} %"
        )
    difference = points(file, q)
    if difference is not None and abs(difference) > MOST_OFF:
        side = "above" if difference > 0 else "below"
        found.append(
            f"its top-1 is {abs(difference):.2f} points {side} Q's, more than {MOST_OFF:g}"
        )
    return found


def missed_text(file: PreparedFile, q: Accuracy | None) -> str:
    """A sentence on the targets that `file` misses; nothing if it meets them."""
    reasons = ", and ".join(missed(file, q))
    if not reasons:
        return ""
    if file.variant == "runtime":
        return f"{kind_of(file)} computes other numbers than Q, as it is made to: {reasons}."
    return f"{kind_of(file)} is not the same as Q: {reasons}."


def targets_text() -> str:
    """When a file counts as Q."""
    return (
        f"A file is as Q if it predicts the same for at least {LEAST_SAME:g} % of the images and "
        f"its top-1 is at most {MOST_OFF:g} points off."
    )


def integer_text(check: IntegerCheck) -> str:
    """What the integer check has found, in words."""
    images = f"Computed with integers alone for {check.images:,} images, "
    if check.holds:
        found = (
            "no activation's code is more than 1 away from the fake-quantized network's: what was "
            "trained is what integer arithmetic computes."
        )
    else:
        worst = max(site.largest for site in check.site_by_site)
        found = (
            f"a code is {worst} away from the fake-quantized network's, more than round-off "
            "explains: integer arithmetic does not compute what was trained."
        )
    same = f" From image to answer it predicts the same for {check.agreement.percent:.2f} %."
    return images + found + same


SITE_HEADS = (
    "Activation",
    "Alone: equal codes (%)",
    "Alone: largest difference",
    "End to end: equal codes (%)",
    "End to end: largest difference",
)
"""Names of the columns of `site_rows`."""

SITES_NOTE = (
    "Alone: each activation is computed from the fake-quantized network's codes of those before, "
    "so that differences cannot add up. End to end: from the integer network's own. Differences "
    "are in codes."
)


def site_rows(check: IntegerCheck) -> list[tuple[str, float, int, float, int]]:
    """A row for each activation under `SITE_HEADS`."""
    return [
        (alone.name, alone.percent, alone.largest, together.percent, together.largest)
        for alone, together in zip(check.site_by_site, check.end_to_end, strict=True)
    ]
