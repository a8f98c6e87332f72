"""What the data and the arrays of a record hold, so that a page finds all that it shows of a run.

The program's own records always do. A run that comes as a file from anyone is checked against
this before it is taken in. Fields that are not named here may be there and hold anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adadfq_core.runs.records import RecordKind, RunStatus
from adadfq_core.settings import LIVE_SETTINGS

_Number = Annotated[float, Field(strict=True)] | Literal["NaN", "Infinity", "-Infinity"]
"""As `records.encode` spells it."""


class _Data(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Numbers(_Data):
    __pydantic_extra__: dict[str, _Number]


class _Step(_Numbers):
    h_prime: list[_Number] = []


class _Evaluation(_Data):
    network: Literal["p", "q_calibrated", "q"]
    top1: _Number
    seconds: _Number
    loss_q: _Number | None = None


class _Parameters(_Data):
    changes: dict[str, Any]


class _Status(_Data):
    status: RunStatus
    reason: str


class _Embedding(_Data):
    source: Literal["real", "synthetic"]


class _Notice(_Data):
    text: str


class _CoverageRow(_Data):
    name: str
    operation: str
    part: Literal["weights", "activation", "input"]
    bits: int | None
    reason: str


class _Measured(_Data):
    spec: str
    images: int


class _Network(_Data):
    classes: list[str] = Field(min_length=1)
    coverage: list[_CoverageRow]
    data: _Measured | None


class _Half(_Data):
    player: Literal["g", "q"]
    value_before: _Number
    value_after: _Number


class _Value(_Numbers):
    before: _Number


class _Checkpoint(_Data):
    sha256: str


_CONTENT: dict[RecordKind, type[_Data]] = {
    RecordKind.STEP: _Step,
    RecordKind.EVALUATION: _Evaluation,
    RecordKind.PARAMETERS: _Parameters,
    RecordKind.STATUS: _Status,
    RecordKind.EMBEDDING: _Embedding,
    RecordKind.NOTICE: _Notice,
    RecordKind.NETWORK: _Network,
    RecordKind.HALF: _Half,
    RecordKind.VALUE: _Value,
    RecordKind.CHECKPOINT: _Checkpoint,
}


def check_content(kind: RecordKind, data: dict[str, Any]) -> None:
    """Check the data of a record as it is stored.

    Raises:
        ValueError: says which field is not as the program writes it.
    """
    model = _CONTENT.get(kind)
    if model is None:
        return
    try:
        model.model_validate(data)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, ("data", *problem["loc"])))
        raise ValueError(f"{place}: {problem['msg']}") from None
    if kind is RecordKind.PARAMETERS:
        fixed = [name for name in data["changes"] if name not in LIVE_SETTINGS]
        if fixed:
            raise ValueError(f"data.changes: {fixed[0]!a} does not change while a run goes")


_OF_A_SAMPLE = ("pixels", "h_prime", "p_logits", "q_logits")
_ARRAYS: dict[RecordKind, tuple[str, ...]] = {
    RecordKind.IMAGES: ("labels", *_OF_A_SAMPLE),
    RecordKind.HALF: (
        "labels",
        *(f"{name}_{when}" for when in ("before", "after") for name in _OF_A_SAMPLE),
    ),
    RecordKind.EMBEDDING: ("labels", "positions"),
}
_DIMENSIONS = {"labels": 1, "h_prime": 1, "adaptability": 1, "p_logits": 2, "q_logits": 2}
_DIMENSIONS |= {"positions": 2, "pixels": 4}


def check_arrays(
    kind: RecordKind, data: dict[str, Any], arrays: Mapping[str, np.ndarray], classes: int
) -> None:
    """Check the arrays of a record of a run whose network has so many `classes`.

    Raises:
        ValueError: says which array is not as the program writes it.
    """
    names = _ARRAYS.get(kind, ())
    if data.get("source") == "synthetic":
        names = (*names, "adaptability")
    count = len(arrays["labels"]) if arrays.get("labels", np.empty(())).ndim else 0
    for name in names:
        array = arrays.get(name)
        if array is None:
            raise ValueError(f"the array '{name}' is missing")
        what = name.removesuffix("_before").removesuffix("_after")
        if array.ndim != _DIMENSIONS[what] or len(array) != count:
            raise ValueError(f"the array '{name}' has the shape {array.shape}")
        if not _is_sound(what, array, classes):
            raise ValueError(
                f"the array '{name}' ({array.dtype}, {array.shape}) holds other values"
            )


def _is_sound(what: str, array: np.ndarray, classes: int) -> bool:
    if what == "labels":
        return array.dtype.kind in "iu" and bool(((array >= 0) & (array < classes)).all())
    if what == "pixels":
        return array.dtype == np.uint8 and array.shape[1] in (1, 3) and array.size > 0
    width = {"p_logits": classes, "q_logits": classes, "positions": 2}.get(what)
    return array.dtype.kind == "f" and (width is None or array.shape[1] == width)
