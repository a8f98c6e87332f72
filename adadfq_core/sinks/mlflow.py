"""A run as one of an MLflow tracking server."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.runs import latest
from adadfq_core.runs.records import Record, RecordKind, RunInfo, RunStatus, Update
from adadfq_core.settings_file import to_yaml
from adadfq_core.sinks.readings import dated, scalars, sheet_picture, spelled

METRICS_A_BATCH = 900
"""A request may hold 1000 metrics and tags together, and a million bytes."""

_RUN_ID, _SWEEP_ID = "adadfq.run_id", "adadfq.sweep"
_CURSOR, _SECONDS = "adadfq.cursor", "adadfq.seconds"
_PARENT, _NOTE = "mlflow.parentRunId", "mlflow.note.content"
_SOURCE = {"mlflow.source.name": "AdaDFQ Playground", "mlflow.source.type": "LOCAL"}
_STATUS = {
    RunStatus.QUEUED: "SCHEDULED",
    RunStatus.STARTING: "SCHEDULED",
    RunStatus.RUNNING: "RUNNING",
    RunStatus.PAUSED: "RUNNING",
    RunStatus.FINISHED: "FINISHED",
    RunStatus.STOPPED: "KILLED",
    RunStatus.FAILED: "FAILED",
    RunStatus.LOST: "FAILED",
}
_AGAIN = "then give the same command again: nothing is written twice"


class Position(NamedTuple):
    """The last record that was taken, and the run's seconds at work by then."""

    cursor: int
    seconds: float


def batches(
    records: Iterable[Record], created: float, start: Position
) -> Iterator[tuple[list[Metric], Position]]:
    """The metrics of `records` in requests of at most `METRICS_A_BATCH`, each with its end.

    A record is never parted. Timestamps are `created`, seconds since 1970, plus the run's time
    at work: those of a request that is sent again are the same, and a server that keeps its
    metrics in a database drops what it has.
    """
    metrics: list[Metric] = []
    position = start
    for record, seconds in dated(records, start.seconds):
        timestamp = int((created + seconds) * 1000)
        new = [
            Metric(name, value, timestamp, record.iteration)
            for name, value in scalars(record).items()
        ]
        if len(metrics) + len(new) > METRICS_A_BATCH:
            yield metrics, position
            metrics = []
        metrics += new
        position = Position(record.seq, seconds)
    if position != start:
        yield metrics, position


def _public(text: str) -> str:
    """`text` without the users' names and passwords of the addresses in it."""
    return re.sub(r"//[^/@\s]+@", "//", text)


def _reason(error: Exception) -> str:
    """The first sentence of an error's message."""
    return _public(re.split(r"(?<=\w)\.\s|\n", str(error).strip())[0].rstrip("."))[:300]


def _explain(error: Exception, address: str) -> InputError | RunFailed:
    code = getattr(error, "error_code", None)
    # Python's own word on an address that cannot be parsed gets through the client.
    malformed = isinstance(error, ValueError) and not isinstance(error, OSError)
    if malformed or code == "INVALID_PARAMETER_VALUE":
        return InputError(
            f"MLflow refuses the tracking URI '{address}' or the experiment's name "
            f"({_reason(error)}); give the address of a server, such as http://localhost:5000, "
            "and a plain name."
        )
    # The client wraps the errors of its connection in its own.
    if isinstance(error.__context__, OSError) and "://" in address:
        return RunFailed(
            f"The MLflow server at {address} does not answer, or with errors only; start it or "
            f"correct the address, {_AGAIN}."
        )
    return RunFailed(
        f"MLflow at {address} did not take what was sent ({_reason(error)}); put that right, "
        f"{_AGAIN}."
    )


@contextmanager
def _explained(address: str) -> Iterator[None]:
    """Turn errors of MLflow's client into one sentence."""
    try:
        yield
    except (InputError, RunFailed):
        raise  # Of the run's store, and told already.
    except (MlflowException, OSError, ValueError) as error:
        raise _explain(error, address) from error


class MlflowTracking:
    """An experiment of a tracking server; see `opening.mlflow_tracking`."""

    def __init__(self, uri: str, experiment: str) -> None:
        self._address = _public(uri)
        with _explained(self._address):
            self._client = MlflowClient(uri)
            found = self._client.get_experiment_by_name(experiment)
            self._experiment_id: str = (
                found.experiment_id if found else self._client.create_experiment(experiment)
            )

    def _run(self, tag: str, value: str, created: float, tags: dict[str, str]) -> Any:
        """MLflow's run with `value` for its `tag`; a new one of that name if there is none."""
        found = self._client.search_runs(
            [self._experiment_id], f"tags.`{tag}` = '{value}'", max_results=1
        )
        if found:
            for key, text in tags.items():
                self._client.set_tag(found[0].info.run_id, key, text)
            return found[0]
        given = {**_SOURCE, tag: value, **tags}
        return self._client.create_run(self._experiment_id, int(created * 1000), given, value)

    def parent(self, sweep: str, created: float) -> str:
        """MLflow's id of the run that holds the runs of `sweep`; it is made if there is none.

        Args:
            created: seconds since 1970, for a new one.

        Raises:
            InputError: a name with other characters than letters, digits, spaces and `._:-`.
            RunFailed: the server does not answer or refuses.
        """
        if not re.fullmatch(r"[\w .:-]+", sweep):
            raise InputError(
                f"The sweep's name {sweep!r} is not allowed; use letters, digits, spaces and ._:-."
            )
        with _explained(self._address):
            run_id: str = self._run(_SWEEP_ID, sweep, created, {}).info.run_id
        return run_id

    def settle_parent(self, parent: str, *, ended: bool) -> None:
        """Show whether all runs below `parent` have ended.

        Raises:
            RunFailed: the server does not answer or refuses.
        """
        with _explained(self._address):
            if ended:
                self._client.set_terminated(parent)
            else:
                self._client.update_run(parent, "RUNNING")

    def sink(self, root: Path, info: RunInfo, parent: str | None = None) -> MlflowSink:
        """The outlet of a run of store `root`, below the run `parent` if that is given.

        Raises:
            RunFailed: the server does not answer or refuses.
        """
        tags = {} if parent is None else {_PARENT: parent}
        with _explained(self._address):
            run = self._run(_RUN_ID, info.run_id, info.created, tags)
        return MlflowSink(self._client, self._address, root, run)


class MlflowSink:
    """Logs a run to `run`, the one of MLflow that `MlflowTracking` found or made for it."""

    def __init__(self, client: MlflowClient, address: str, root: Path, run: Any) -> None:
        self._client = client
        self._address = address
        self._root = root
        self._status: str = run.info.status
        self.mlflow_run_id: str = run.info.run_id
        tags = run.data.tags
        self._position = Position(int(tags.get(_CURSOR, 0)), float(tags.get(_SECONDS, 0.0)))

    @property
    def cursor(self) -> int:
        return self._position.cursor

    def write(self, update: Update) -> None:
        with _explained(self._address):
            if self.cursor == 0:
                # MLflow takes the same values again, should this process not come any further.
                params = [Param(name, spelled(value)) for name, value in update.info.settings]
                params.append(Param("preset", update.info.preset))
                self._client.log_batch(self.mlflow_run_id, params=params)
            for metrics, position in batches(update.records, update.info.created, self._position):
                tags = [
                    RunTag(_CURSOR, str(position.cursor)),
                    RunTag(_SECONDS, repr(position.seconds)),
                ]
                self._client.log_batch(self.mlflow_run_id, metrics, tags=tags)
                self._position = position
            if not update.info.ended:
                self._show_status(update.info)

    def _show_status(self, info: RunInfo) -> None:
        status = _STATUS[info.status]
        if status == self._status:
            return
        if not info.ended:
            self._client.update_run(self.mlflow_run_id, status)
        else:
            ended = int(info.updated * 1000)
            self._client.set_terminated(self.mlflow_run_id, status, ended)
        self._status = status

    def settle(self, info: RunInfo) -> None:
        said = {_NOTE: info.note, "adadfq.tags": ", ".join(info.tags)}
        said = {name: text for name, text in said.items() if text}
        said |= {"adadfq.status": info.status, "adadfq.reason": info.reason}
        with _explained(self._address):
            tags = [RunTag(name, text) for name, text in said.items()]
            self._client.log_batch(self.mlflow_run_id, tags=tags)
            self._show_status(info)
            # Last, as some servers take all but files.
            self._log_files(info)

    def _log_files(self, info: RunInfo) -> None:
        """Log the settings at the start and the last sheet of images; both replace older ones."""
        settings = to_yaml(info.settings, info.preset)
        self._client.log_text(self.mlflow_run_id, settings, "settings.yaml")
        sheet = latest(self._root, info.run_id, RecordKind.IMAGES)
        if sheet is None:
            return
        try:
            png = sheet_picture(self._root, sheet)
        except (InputError, RunFailed):
            return  # The run itself is whole without its picture.
        with tempfile.TemporaryDirectory() as folder:
            picture = Path(folder, "last_sheet.png")
            picture.write_bytes(png)
            self._client.log_artifact(self.mlflow_run_id, str(picture), "images")
