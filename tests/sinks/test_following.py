from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from logged_runs import log_step, new_run

from adadfq_core.errors import InputError
from adadfq_core.runs.records import RecordKind, RunInfo, RunStatus, Update
from adadfq_core.runs.writer import RunWriter
from adadfq_core.sinks import follow, following


class ListSink:
    """Keeps the iterations of steps; `after` is called after each write."""

    def __init__(self, after: Callable[[int], None] = lambda writes: None) -> None:
        self.cursor = 0
        self.iterations: list[int] = []
        self.writes = 0
        self.settled: list[RunStatus] = []
        self._after = after

    def write(self, update: Update) -> None:
        steps = (record for record in update.records if record.kind == RecordKind.STEP)
        self.iterations += [record.iteration for record in steps]
        self.cursor = update.cursor
        self.writes += 1
        self._after(self.writes)

    def settle(self, info: RunInfo) -> None:
        self.settled.append(info.status)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "POLL_SECONDS", 0)


@pytest.mark.parametrize("at_once", [1, 2, 3, 1000])
def test_a_long_log_is_taken_in_parts(
    root: Path, writer: RunWriter, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "RECORDS_AT_ONCE", at_once)
    for iteration in range(1, 6):
        log_step(writer, iteration)
    writer.set_status(RunStatus.FINISHED)
    sink = ListSink()
    assert follow(root, {writer.run_id: sink}, until_end=False)
    assert sink.iterations == [1, 2, 3, 4, 5]
    assert sink.settled == [RunStatus.FINISHED]


def test_a_run_that_is_going_is_left_unless_it_is_followed(root: Path, writer: RunWriter) -> None:
    writer.set_status(RunStatus.RUNNING)
    log_step(writer, 1)
    writer.flush()

    def play_on(writes: int) -> None:
        if writes in (2, 4):
            log_step(writer, writes)
            writer.flush()
        if writes == 6:
            log_step(writer, writes)
            writer.set_status(RunStatus.STOPPED)

    sink = ListSink(play_on)
    assert not follow(root, {writer.run_id: sink}, until_end=False)
    assert (sink.iterations, sink.settled) == ([1], [RunStatus.RUNNING])
    assert follow(root, {writer.run_id: sink}, until_end=True)
    assert sink.iterations == [1, 2, 4, 6], "what the run wrote last is not missed"
    assert sink.settled == [RunStatus.RUNNING, RunStatus.STOPPED]


def test_a_run_that_ended_does_not_wait_for_another(root: Path, writer: RunWriter) -> None:
    with new_run(root) as other:
        other.set_status(RunStatus.FINISHED)
        ended = ListSink()
        seen: list[int] = []

        def end(writes: int) -> None:
            seen.append(len(ended.settled))
            if writes == 3:
                writer.set_status(RunStatus.FINISHED)

        going = ListSink(end)
        assert follow(root, {writer.run_id: going, other.run_id: ended}, until_end=True)
    assert seen[:3] == [0, 1, 1]
    assert ended.writes == 1


def test_an_unknown_run_is_named(root: Path) -> None:
    with pytest.raises(InputError, match="There is no run 'nope'"):
        follow(root, {"nope": ListSink()}, until_end=True)
