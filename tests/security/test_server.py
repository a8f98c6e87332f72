"""What the server listens to, and what it refuses, with the project's own configuration."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60


def test_the_configuration_says_so() -> None:
    server = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["server"]
    assert server["address"] == "localhost"
    assert server["enableXsrfProtection"] is True and server["enableCORS"] is True
    assert server["maxUploadSize"] <= 500


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def listening(home: Path, *options: str) -> Iterator[set[str]]:
    """The addresses at which the app's server listens, started as the README says."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app/main.py"]
    command += ["--server.port", str(port), "--server.headless", "true", *options]
    environment = {**os.environ, "ADADFQ_HOME": str(home)}
    server = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        found: set[str] = set()
        deadline = time.monotonic() + SECONDS
        while not found:
            assert server.poll() is None and time.monotonic() < deadline
            connections = psutil.Process(server.pid).net_connections("tcp")
            found = {
                connection.laddr.ip
                for connection in connections
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            }
            time.sleep(0.1)
        yield found
    finally:
        server.kill()
        server.wait(SECONDS)


def test_it_is_reached_from_this_machine_alone(tmp_path: Path) -> None:
    with listening(tmp_path) as addresses:
        assert addresses <= {"127.0.0.1", "::1"}


@pytest.mark.slow
def test_others_reach_it_when_that_is_asked_for(tmp_path: Path) -> None:
    with listening(tmp_path, "--server.address", "0.0.0.0") as addresses:
        assert addresses == {"0.0.0.0"}
