"""One number for a stored sample, by which the browser tells which one was clicked.

A place alone would not do: the page may have gone on to another sheet when the click arrives.
"""

from __future__ import annotations

from adadfq_core.settings import field, limits

_PLACES = int(limits(field("batch"))[1])


def sample_id(iteration: int, place: int) -> int:
    """The number of the sample at `place` of the sheet of `iteration`; exact in a browser too."""
    return iteration * _PLACES + place


def sample_of(number: int) -> tuple[int, int]:
    """Iteration and place of the sample with that `sample_id`."""
    iteration, place = divmod(int(number), _PLACES)
    return iteration, place
