"""Addresses of Ray clusters, and what is said where none answers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adadfq_core.ablation.executors.ray_connection import Door, connected, door_of, import_ray
from adadfq_core.errors import InputError, RunFailed

PROJECT = Path(__file__).parents[2]


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("address", "door"),
    [
        ("10.0.0.7:6379", Door("10.0.0.7", 6379)),
        ("ray://head.example:10001", Door("head.example", 10001)),
        ("[::1]:6379", Door("::1", 6379)),
    ],
)
def test_an_address_names_host_and_port(address: str, door: Door) -> None:
    assert door_of(address) == door


@pytest.mark.parametrize(
    "address",
    [
        "",
        "local",
        "host",
        "host:",
        "host:x",
        "host:99999",
        "host:1/path",
        "ray://",
        "http://host:1",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match=f"'{address}' is not the address of a Ray cluster; use"):
        door_of(address)


def test_ray_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"need the package ray; run 'pip install -r requirements"):
        import_ray()


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nothing_listens_is_told_at_once(scheme: str) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed (requirements-ray.txt)")
    address = f"{scheme}127.0.0.1:{_closed_port()}"
    began = time.monotonic()
    with pytest.raises(RunFailed, match=f"'{address}' cannot be used .nothing answers there.; "):
        connected(ray, address)
    assert time.monotonic() - began < 10


NOT_RAY = """
import sys
import ray
from adadfq_core.ablation.executors import ray_connection
from adadfq_core.errors import RunFailed

ray_connection.CONNECT_SECONDS = 3.0
try:
    ray_connection.connected(ray, sys.argv[1])
except RunFailed as error:
    print(error, flush=True)
"""


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_something_else_that_listens_is_told_in_time(scheme: str) -> None:
    pytest.importorskip("ray", reason="Ray is not installed (requirements-ray.txt)")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"{scheme}127.0.0.1:{silent.getsockname()[1]}"
        # In a process of its own, as Ray goes on trying.
        done = subprocess.run(
            [sys.executable, "-c", NOT_RAY, address],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            timeout=60,
            check=True,
        )
    assert f"'{address}' cannot be used (no answer of Ray within 3 s); check" in done.stdout


def test_auto_needs_a_cluster_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed (requirements-ray.txt)")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(RunFailed, match="The Ray cluster at 'auto' cannot be used"):
        connected(ray, "auto")
    address = f"127.0.0.1:{_closed_port()}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(RunFailed, match=f"The Ray cluster at '{address}' cannot be used"):
        connected(ray, "auto")
