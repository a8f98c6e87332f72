"""How far a preparation is, and what P and Q reach."""

from __future__ import annotations

import html

from adadfq_core.export.preparation import Preparation
from adadfq_core.export.preparing import FILES
from app.export.words import interval_text, size_text

# Counting operations and measuring latency; with real images also P, Q and the integer check.
_STEPS, _STEPS_ON_IMAGES = 2, 3


def share_done(found: Preparation, measured: bool) -> float:
    """Share of the steps that are done, from 0 to 1.

    Args:
        measured: whether the run has real images.
    """
    if found.state == "done":
        return 1.0
    done = [found.cost is not None]
    if measured:
        checked = found.integer is not None or bool(found.no_integer)
        done += [found.p is not None, found.q is not None, checked]
    steps = _STEPS + len(FILES) + (_STEPS_ON_IMAGES if measured else 0)
    return (sum(done) + len(found.files)) / steps


def doing(found: Preparation) -> str:
    """The state of a preparation in a line."""
    of = f"Q of iteration {found.iteration:,}"
    if found.state == "done":
        return f"ready · {of}"
    if found.state == "failed":
        return f"failed · {of}"
    return f"preparing · {of} · {found.doing} · {len(found.files)} of {len(FILES)} files"


def strip_html(found: Preparation, measured: bool) -> str:
    """One strip: what is done, how far it is, and the figures that are there."""
    share = 100 * share_done(found, measured)
    figures = [
        (f"{name}, top-1", f"{accuracy.top1:.2f} %", interval_text(accuracy), name.lower())
        for name, accuracy in (("P", found.p), ("Q", found.q))
        if accuracy is not None
    ]
    if found.cost is not None:
        times = found.cost.float_bytes / found.cost.packed_bytes
        figures.append(("packed", size_text(found.cost.packed_bytes), "", ""))
        figures.append(("smaller", f"{times:.1f} times", "", ""))
    cells = "".join(
        f'<div><dt class="{player}">{name}</dt><dd title="{about}">{value}</dd></div>'
        for name, value, about, player in figures
    )
    failed = " failed" if found.state == "failed" else ""
    return (
        f'<div class="run-status"><div><div class="doing" role="status">'
        f"{html.escape(doing(found))}</div>"
        f'<div class="bar{failed}" role="progressbar" aria-label="Steps done" '
        f'aria-valuenow="{share:.0f}" aria-valuemin="0" aria-valuemax="100">'
        f'<i style="width:{share:.2f}%"></i></div></div><dl>{cells}</dl></div>'
    )
