"""Connecting this process to a Ray cluster, and telling whether the cluster is still there."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import adadfq_core
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.home import ASSETS

AUTO = "auto"
"""The address of the cluster that this machine is part of."""
CONNECT_SECONDS = 20.0

_PROBE_SECONDS = 3.0
_CLIENT = "ray://"
_MISSING = (
    "Sweeps on a Ray cluster need the package ray; run 'pip install -r requirements-ray.txt'."
)


class Door(NamedTuple):
    """Where a cluster answers."""

    host: str
    port: int

    def opens(self) -> bool:
        """Whether something answers there."""
        try:
            socket.create_connection(self, timeout=_PROBE_SECONDS).close()
        except OSError:
            return False
        return True


def door_of(address: str) -> Door:
    """Host and port of a Ray address other than `AUTO`.

    Raises:
        InputError: it is no Ray address.
    """
    place = address.removeprefix(_CLIENT)
    try:
        parts = urlsplit(f"//{place}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.netloc != place:
        raise InputError(
            f"'{address}' is not the address of a Ray cluster; use auto, host:port (port 6379 "
            "unless the cluster was started with another) or ray://host:port (10001)."
        )
    return Door(host, port)


def import_ray() -> Any:
    """The package ray, which is an extra.

    Raises:
        InputError: it is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise InputError(_MISSING) from error
    return ray


def connected(ray: Any, address: str) -> Door:
    """Connect this process to the cluster at `address`, with the program for its machines.

    Raises:
        InputError: `address` is no Ray address.
        RunFailed: no cluster answers there within `CONNECT_SECONDS`, or it refuses.
    """
    if address == AUTO:
        address = os.environ.get("RAY_ADDRESS") or AUTO  # as Ray itself takes it
    door = None if address == AUTO else door_of(address)
    if door is not None and not door.opens():
        raise _unusable(address, "nothing answers there")
    failures: list[Exception] = []

    def connect() -> None:
        try:
            _initialise(ray, address)
        except Exception as error:
            failures.append(error)

    # In a thread, since Ray tries for minutes where something else listens, and replaces the main
    # thread's handler of SIGTERM.
    thread = threading.Thread(target=connect, name="ray-connect", daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    if thread.is_alive():
        raise _unusable(address, f"no answer of Ray within {CONNECT_SECONDS:g} s")
    if failures:
        raise _unusable(address, " ".join(str(failures[0]).split())) from failures[0]
    return door or door_of(ray.get_runtime_context().gcs_address)


def _initialise(ray: Any, address: str) -> None:
    compiled = shutil.ignore_patterns("__pycache__")
    with tempfile.TemporaryDirectory(prefix="adadfq-program-") as folder:
        for part in (Path(adadfq_core.__file__).absolute().parent, ASSETS):
            shutil.copytree(part, Path(folder) / part.name, ignore=compiled)
        ray.init(
            address=address,
            runtime_env={"working_dir": folder},
            log_to_driver=False,
            logging_level="ERROR",
        )


def _unusable(address: str, why: str) -> RunFailed:
    return RunFailed(
        f"The Ray cluster at '{address}' cannot be used ({why.rstrip('.')}); check the address, or "
        "start a cluster with 'ray start --head'."
    )
