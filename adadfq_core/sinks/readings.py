"""What outlets show of a run's records, under the same names in every tool."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from adadfq_core.errors import RunFailed
from adadfq_core.inspection.contact_sheet import contact_sheet
from adadfq_core.runs import arrays
from adadfq_core.runs.records import Record, RecordKind
from adadfq_core.settings import RunSettings

H_PRIME_ENDS = (
    "H', the normalised entropy: near 1 P and Q agree on a sample (low adaptability), near 0 they "
    "disagree sharply (high adaptability)."
)

_STEP_NAMES = {
    "loss_g": "loss/L_G",
    "loss_margin": "loss/L_margin",
    "loss_ds": "loss/L_ds",
    "loss_as": "loss/L_as",
    "loss_bns": "loss/L_BNS",
    "loss_q": "loss/L_Q",
    "h_prime_mean": "h_prime/mean",
    "grad_norm_g": "gradient_norm/G",
    "grad_norm_q": "gradient_norm/Q",
    "lr_g": "rate/lr_g",
    "lr_q": "rate/lr_q",
    "ms": "speed/ms_per_iteration",
}
_NO_HYPERPARAMETERS = {
    "code_folder",
    "slow_motion",
    "evaluate_every",
    "value_every",
    "snapshot_every",
    "embed_every",
    "checkpoint_every",
    "threads",
}
"""Settings of how a run is watched and kept, which do not change what it learns."""
_SHEET_COLUMNS = 8


def scalars(record: Record) -> dict[str, float]:
    """The numbers of `record` by name; a slash parts a group from a name in it.

    Losses in nats, accuracies in percent; `setting/...` holds from the next iteration on.
    """
    data = record.data
    if record.kind == RecordKind.STEP:
        return {name: data[key] for key, name in _STEP_NAMES.items() if key in data}
    if record.kind == RecordKind.EVALUATION:
        found = {f"accuracy/top1_{data['network']}": data["top1"]}
        if "loss_q" in data:
            found["loss/L_Q_test"] = data["loss_q"]
        return found
    if record.kind == RecordKind.VALUE:
        return {f"game_value/{when}": value for when, value in data.items()}
    if record.kind == RecordKind.PARAMETERS:
        # Whatever can change while a run trains is a number.
        return {f"setting/{name}": float(value) for name, value in data["changes"].items()}
    return {}


def texts(record: Record) -> dict[str, str]:
    """The sentences of `record` by name: notices, states and changes of settings."""
    data = record.data
    if record.kind == RecordKind.NOTICE:
        return {"notices": data["text"]}
    if record.kind == RecordKind.STATUS:
        return {"status": ": ".join(filter(None, (data["status"], data["reason"])))}
    if record.kind == RecordKind.PARAMETERS:
        changes = (f"{name} = {value}" for name, value in data["changes"].items())
        return {"changes": ", ".join(changes)}
    return {}


def dated(records: Iterable[Record], seconds: float) -> Iterator[tuple[Record, float]]:
    """Each record with the seconds that the run had been at work when it was logged.

    Not every kind of record tells; such a one gets those of the record before it, and `seconds`
    before the first. Being a function of the log alone, they are the same if a record is written
    again, by which tools that were interrupted recognise it.
    """
    for record in records:
        seconds = record.data.get("seconds", seconds)
        yield record, seconds


def hyperparameters(settings: RunSettings) -> dict[str, bool | int | float | str]:
    """The settings that change what a run learns, as values that tables of runs compare."""
    return {
        name: value if isinstance(value, bool | int | float | str) else spelled(value)
        for name, value in settings
        if name not in _NO_HYPERPARAMETERS
    }


def spelled(value: object) -> str:
    """A setting's value as the shell reads it; empty for one that is not given."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "" if value is None else str(value)


def sheet_picture(root: Path, sheet: Record) -> bytes:
    """PNG of an image sheet, each image above its class's number and its H'.

    Raises:
        InputError: the images are neither grey nor in colour.
        RunFailed: the sheet's file is missing or damaged, or lacks what is shown.
    """
    held = arrays(root, sheet)
    missing = {"pixels", "labels", "h_prime"} - held.keys()
    if missing:  # a run that came as a file, with no word on its network, may lack some
        raise RunFailed(f"The sheet of iteration {sheet.iteration} has no {min(missing)}.")
    captions = [
        f"{label}: H' {h_prime:.2f}"
        for label, h_prime in zip(held["labels"], held["h_prime"], strict=True)
    ]
    return contact_sheet(held["pixels"], captions, _SHEET_COLUMNS)
