"""How long ONNX models take for a batch of images in onnxruntime on the CPU, side by side."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from adadfq_core.cores import cores
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.export.onnx_session import open_session, told_by_onnxruntime

_WARM_UP = 3
_SPREAD = (10, 50, 90)
# Ratios this near to 1 are the machine's whim.
_ALIKE = 0.05


@dataclass(frozen=True)
class LatencyRow:
    """One model with one batch size and one number of threads.

    Attributes:
        name: the model's, as `measure_latency` was given it.
        batch: images at once.
        threads: that onnxruntime uses within an operation.
        milliseconds: for one batch, the median of all repetitions.
        low: their 10th percentile, in milliseconds.
        high: their 90th percentile, in milliseconds.
    """

    name: str
    batch: int
    threads: int
    milliseconds: float
    low: float
    high: float


def measure_latency(
    models: Mapping[str, bytes | Path],
    image_shape: tuple[int, int, int],
    batches: Sequence[int] = (1, 64),
    threads: Sequence[int] = (1, 2),
    repetitions: int = 30,
) -> list[LatencyRow]:
    """A row for each number of threads, batch size and model, in this order.

    The models take turns, one batch each, so that whatever else the machine does slows all of
    them alike. Numbers of threads beyond the cores that this process may use are left out.

    Args:
        models: by name, the ONNX model or its file; of one input `(batch, C, H, W)`.
        image_shape: `(C, H, W)`.
        repetitions: batches of each model that are timed, after some that are not.

    Raises:
        InputError: a number below 1, more threads than cores only, no such file, no ONNX model,
            or one that takes other images.
        RunFailed: onnxruntime cannot compute a model.
    """
    _check("batch size", batches)
    _check("number of threads", threads)
    _check("number of repetitions", [repetitions])
    possible = [number for number in threads if number <= cores()]
    if not possible:
        raise InputError(
            f"{min(threads)} threads are more than the cores of this process; measure with "
            f"1 to {cores()} threads."
        )
    images = _images(max(batches), image_shape)
    rows: list[LatencyRow] = []
    for number in possible:
        sessions = {
            name: open_session(model, number, f"The {name}") for name, model in models.items()
        }
        for batch in batches:
            times = _in_turns(sessions, images[:batch], repetitions)
            for name, milliseconds in times.items():
                low, median, high = np.percentile(milliseconds, _SPREAD)
                rows.append(LatencyRow(name, batch, number, float(median), float(low), float(high)))
    return rows


def speed_up(rows: Sequence[LatencyRow], base: str, name: str) -> float:
    """How many times as fast as `base` the model `name` is; below 1 it is slower.

    The geometric mean over all batch sizes and numbers of threads, of the ratios of the medians.

    Raises:
        ValueError: `rows` do not hold both.
    """
    return float(np.exp(np.mean(np.log(_ratios(rows, base, name)))))


def remark(rows: Sequence[LatencyRow], base: str) -> str:
    """What the other models of `rows` bring in speed over `base`, as one sentence.

    Names stand in it behind "the", such as "bit-true file". Where the ratio differs between batch
    sizes and numbers of threads, it tells the smallest and the largest.

    Raises:
        ValueError: `rows` do not hold `base` and another model.
    """
    names = [name for name in dict.fromkeys(row.name for row in rows) if name != base]
    if not names:
        raise ValueError(f"There is nothing to compare with {base}.")
    ratios = {name: _ratios(rows, base, name) for name in names}
    told = [_compared(name, base, ratios[name]) for name in names]
    if any(max(of_one) > 1 + _ALIKE for of_one in ratios.values()):
        reason = "fewer than 8 bits make smaller files, not faster ones"
    else:
        reason = "few bits bring size, not speed"
    sentence = f"{' and '.join(told)}: {reason}, since no kernel here computes below 8 bits."
    return sentence[0].upper() + sentence[1:]


def _check(what: str, numbers: Sequence[int]) -> None:
    wrong = [number for number in numbers if number < 1]
    if wrong or not numbers:
        given = wrong[0] if wrong else "none"
        raise InputError(f"The {what} is {given}; give whole numbers of at least 1.")


def _images(count: int, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((count, *shape), dtype=np.float32)


def _in_turns(
    sessions: Mapping[str, onnxruntime.InferenceSession],
    images: NDArray[np.float32],
    repetitions: int,
) -> dict[str, list[float]]:
    """Milliseconds of every timed batch of each model."""
    feeds = {name: _feed(name, session, images) for name, session in sessions.items()}
    for name, session in sessions.items():
        try:
            for _ in range(_WARM_UP):
                session.run(None, feeds[name])
        except Exception as error:
            raise RunFailed(
                f"onnxruntime cannot compute the {name} for {len(images)} images at once "
                f"({told_by_onnxruntime(error)}); measure smaller batches."
            ) from error
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(repetitions):
        for name, session in sessions.items():
            start = time.perf_counter()
            session.run(None, feeds[name])
            times[name].append(1000 * (time.perf_counter() - start))
    return times


def _feed(
    name: str, session: onnxruntime.InferenceSession, images: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    """The one input of the model."""
    inputs = session.get_inputs()
    expected = inputs[0].shape if len(inputs) == 1 else []
    fits = len(expected) == images.ndim and all(
        size == own for size, own in zip(expected, images.shape, strict=True) if type(size) is int
    )
    if not fits:
        takes = " and ".join(str(each.shape) for each in inputs) or "nothing"
        raise InputError(
            f"The {name} takes {takes}, not images of {list(images.shape)}; give a model of one "
            "input and the shape of its images."
        )
    return {inputs[0].name: images}


def _ratios(rows: Sequence[LatencyRow], base: str, name: str) -> list[float]:
    """How many times as fast as `base` the model `name` is, for every batch and thread count."""
    of_base = {(row.batch, row.threads): row.milliseconds for row in rows if row.name == base}
    found = [
        of_base[row.batch, row.threads] / row.milliseconds
        for row in rows
        if row.name == name and (row.batch, row.threads) in of_base
    ]
    if not found:
        raise ValueError(f"There is nothing to compare {name} with {base} by.")
    return found


def _compared(name: str, base: str, ratios: Sequence[float]) -> str:
    low, high = min(ratios), max(ratios)
    if low >= 1 - _ALIKE and high <= 1 + _ALIKE:
        return f"the {name} is about as fast as the {base}"
    direction = "slower" if high < 1 else "faster" if low > 1 else "slower or faster"
    times = " to ".join(dict.fromkeys([f"{low:.2g}", f"{high:.2g}"]))
    return f"the {name} is {direction} than the {base} ({times} times as fast)"
