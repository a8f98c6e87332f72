"""Ways for a worker to come to grief at an exact point, which are put around the program's own
functions from outside: the program knows nothing of them.

A fault is written `point:count`: it strikes when the point is passed for the `count`-th time.
"""

from __future__ import annotations

import errno
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from adadfq_core.runs import writer as writer_module
from adadfq_core.runs.store import RunStore
from adadfq_core.training import checkpoints
from adadfq_core.training.trainer import Trainer


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_soon() -> None:
    """Die at a random moment within the next 0.4 ms, wherever this process is by then."""
    parent, wait = os.getpid(), random.random() * 4e-4
    if not os.fork():
        time.sleep(wait)
        os.kill(parent, signal.SIGKILL)
        os._exit(0)


def _around(
    owner: Any,
    name: str,
    count: int,
    *,
    instead: Callable[..., Any] | None = None,
    after: Callable[[], None] | None = None,
) -> None:
    """Let the `count`-th call of `owner.name` do `instead`, or `after` when it is done."""
    original = getattr(owner, name)
    calls = 0

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count and instead is not None:
            return instead(*args, **kwargs)
        answer = original(*args, **kwargs)
        if calls == count and after is not None:
            after()
        return answer

    setattr(owner, name, wrapped)


def _half_a_checkpoint(state: dict[str, Any], path: Path) -> None:
    _save(state, path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    _die()


def _in_commit(count: int, before: Callable[[], None] | None, after: bool) -> None:
    """Let `before` happen when the `count`-th transaction is about to commit, or die after it."""
    original = writer_module.transaction
    calls = 0

    @contextmanager
    def wrapped(*args: Any, **kwargs: Any) -> Iterator[None]:
        nonlocal calls
        calls += 1
        with original(*args, **kwargs):
            yield
            if calls == count and before is not None:
                before()
        if calls == count and after:
            _die()

    writer_module.transaction = wrapped


def _half_the_arrays(count: int) -> None:
    original = Path.write_bytes
    calls = 0

    def wrapped(path: Path, content: bytes) -> int:
        nonlocal calls
        calls += ".safetensors." in path.name
        if calls < count:
            return original(path, content)
        original(path, content[: len(content) // 2])
        _die()
        return 0

    Path.write_bytes = wrapped


def _refusing(number: int) -> Callable[..., None]:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


def _small_files(count: int) -> None:
    """Once the `count`-th checkpoint is written, let no file but a log grow any more."""
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))

    _around(checkpoints, "save", count, after=limit)


def _poison(part: str, count: int) -> None:
    """Make a number infinite after iteration `count` whose losses were all finite."""
    original = Trainer._end

    def wrapped(trainer: Trainer, *seen: Any) -> None:
        original(trainer, *seen)
        if trainer.iteration != count:
            return
        players = trainer.players
        network = players.generator if part == "generator" else players.q
        values = network.named_buffers() if part == "range" else network.named_parameters()
        with torch.no_grad():
            wanted = "average_max" if part == "range" else ""
            next(value for name, value in values if wanted in name).fill_(float("inf"))

    Trainer._end = wrapped


def _set_clock(seconds: float, count: int) -> None:
    """From the `count`-th time on, let the system's clock be `seconds` ahead."""
    original = time.time
    calls = 0

    def wrapped() -> float:
        nonlocal calls
        calls += 1
        return original() + seconds * (calls >= count)

    time.time = wrapped


_save = torch.save
_POINTS: dict[str, Callable[[int], None]] = {
    "checkpoint half": lambda n: _around(torch, "save", n, instead=_half_a_checkpoint),
    "checkpoint unnamed": lambda n: _around(checkpoints, "save", n, after=_die),
    "commit before": lambda n: _in_commit(n, _die, False),
    "commit within": lambda n: _in_commit(n, _die_soon, False),
    "commit after": lambda n: _in_commit(n, None, True),
    "arrays half": _half_the_arrays,
    "prune half": lambda n: _around(RunStore, "forget", n, after=_die),
    "checkpoint full": lambda n: _around(torch, "save", n, instead=_refusing(errno.ENOSPC)),
    "checkpoint readonly": lambda n: _around(torch, "save", n, instead=_refusing(errno.EROFS)),
    "files full": _small_files,
    "weight": lambda n: _poison("weight", n),
    "range": lambda n: _poison("range", n),
    "generator": lambda n: _poison("generator", n),
    "clock back": lambda n: _set_clock(-86_400.0, n),
    "clock ahead": lambda n: _set_clock(86_400.0, n),
}


def arm(fault: str) -> None:
    """Set up `fault` in this process."""
    point, count = fault.replace("-", " ").split(":")
    _POINTS[point](int(count))
