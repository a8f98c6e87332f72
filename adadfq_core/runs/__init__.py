"""Runs: background processes that train, their log on disk, and the commands sent to them."""

from adadfq_core.runs.archive import export_run, import_run
from adadfq_core.runs.comparison import Difference, differences
from adadfq_core.runs.control import (
    arrays,
    command,
    current_settings,
    info,
    latest,
    list_runs,
    pause,
    read,
    refresh,
    resume,
    set_parameters,
    start,
    step,
    step_half,
    stop,
)
from adadfq_core.runs.deletion import clean, delete_runs, disk_use
from adadfq_core.runs.labels import set_labels
from adadfq_core.runs.overview import cell_counts, facts, summaries, sweeps_of_runs
from adadfq_core.runs.records import (
    ACTIVE,
    Command,
    CommandKind,
    Record,
    RecordKind,
    RunInfo,
    RunStatus,
    Update,
)

__all__ = [
    "ACTIVE",
    "Command",
    "CommandKind",
    "Difference",
    "Record",
    "RecordKind",
    "RunInfo",
    "RunStatus",
    "Update",
    "arrays",
    "cell_counts",
    "clean",
    "command",
    "current_settings",
    "delete_runs",
    "differences",
    "disk_use",
    "export_run",
    "facts",
    "import_run",
    "info",
    "latest",
    "list_runs",
    "pause",
    "read",
    "refresh",
    "resume",
    "set_labels",
    "set_parameters",
    "start",
    "step",
    "step_half",
    "stop",
    "summaries",
    "sweeps_of_runs",
]
