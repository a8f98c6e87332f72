"""The program's command line within the process of a test, where no command starts a process."""

from __future__ import annotations

import io
import sys
from functools import cache
from typing import Any

import pytest
import torch
from hostile import Place

from adadfq_core import runs
from adadfq_core.__main__ import main
from adadfq_core.ablation import control as sweeps
from adadfq_core.ablation import probe
from adadfq_core.ablation.control import MOST_WORKERS
from adadfq_core.ablation.estimate import Pace
from adadfq_core.errors import RunFailed
from adadfq_core.export import preparing
from adadfq_core.runs import control
from adadfq_core.training import bundling
from adadfq_core.zoo import evaluation_data

RUN, SWEEP, FILES = "RUN", "SWEEP", "FILES"
"""Stand for names that are known only when a command is tried."""


class Shell:
    """The program's command line in this process, and what it stands on."""

    def __init__(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place, self.monkeypatch = place, monkeypatch
        infos = sorted(runs.list_runs(place.root), key=lambda info: info.created)
        (sweep,) = sweeps.list_sweeps(place.root)
        names = {f"{RUN}{number}": info.run_id for number, info in enumerate(infos)}
        self.names = {**names, SWEEP: sweep.sweep_id}

    def words(self, line: list[str]) -> list[str]:
        """`line` with the names that stand for others put in."""
        files = str(self.place.home / "files")
        return [
            self.names.get(word, files + word[len(FILES) :] if word.startswith(FILES) else word)
            for word in line
        ]

    def __call__(self, *line: str) -> tuple[int, str, str]:
        """Exit code and what was printed; errors that `main` does not know come through."""
        streams = [
            io.TextIOWrapper(io.BytesIO(), "utf-8", errors)
            for errors in ("strict", "backslashreplace")
        ]
        with self.monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["adadfq_core", *self.words(list(line))])
            patch.setattr(sys, "stdin", io.StringIO())
            patch.setattr(sys, "stdout", streams[0])
            patch.setattr(sys, "stderr", streams[1])
            try:
                main()
                code: Any = 0
            except SystemExit as end:
                code = end.code or 0
            finally:
                printed = []
                for stream in streams:
                    stream.flush()
                    printed.append(stream.buffer.getvalue().decode())  # type: ignore[attr-defined]
        return code, printed[0], printed[1]


def refuse_to_start(*_: object, **__: object) -> int:
    """In place of what starts a process."""
    raise RunFailed("Nothing is started in this test.")


def _pace(_: object, workers: int) -> Pace:
    assert 1 <= workers <= MOST_WORKERS, "so many processes would be started to measure"
    return Pace(10.0, 100.0, 5.0, "nothing", 1e6, 1e5)


def _zeros(_: object, images: Any) -> torch.Tensor:
    return torch.zeros(len(images), 10)


def start_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands go as far as to where they would start a process or look through a network."""
    monkeypatch.setattr(control, "spawn_worker", refuse_to_start)
    monkeypatch.setattr(sweeps, "spawn_detached", refuse_to_start)
    monkeypatch.setattr(probe, "probe", _pace)
    monkeypatch.setattr(bundling, "pretrain", refuse_to_start)
    monkeypatch.setattr(bundling, "find_training_images", refuse_to_start)
    monkeypatch.setattr(preparing, "logits_of", _zeros)
    known = cache(evaluation_data.load_evaluation_data)
    monkeypatch.setattr(evaluation_data, "load_evaluation_data", known)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("COLUMNS", "200")
