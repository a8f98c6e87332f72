from __future__ import annotations

import hashlib
import io
import os
import re
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.zoo import downloads
from adadfq_core.zoo.downloads import Checksum, Download, models_folder

CONTENT = np.random.default_rng(0).integers(0, 256, 3_000_000, dtype=np.uint8).tobytes()
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = "network-1234.pth"


class Server:
    """A local server of one file, and what was asked of it."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.honours_range = True
        self.states_length = True
        self.cut_after: int | None = None
        self.status = 200
        self.delay = 0.0
        self.ranges: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_arguments: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/{NAME}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        self.ranges.append(asked)
        time.sleep(self.delay)
        if self.status != 200:
            request.send_error(self.status)
            return
        start = 0
        if asked is not None and self.honours_range:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if start >= len(self.content):
                request.send_error(416)
                return
            request.send_response(206)
            total = len(self.content)
            request.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        else:
            request.send_response(200)
        body = self.content[start:]
        if self.states_length:
            request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body if self.cut_after is None else body[: self.cut_after])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "*")
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()


@pytest.fixture
def download(server: Server) -> Download:
    return Download(server.url, NAME, Checksum("sha256", SHA256[:8]))


def files() -> list[str]:
    return sorted(path.name for path in models_folder().iterdir())


def test_a_download_with_progress(server: Server, download: Download) -> None:
    seen: list[tuple[int, int | None]] = []
    assert not download.is_here()
    path = download.fetch(lambda done, total: seen.append((done, total)))
    assert path == models_folder() / NAME and path.read_bytes() == CONTENT
    assert download.is_here() and files() == [NAME]
    assert seen[0] == (0, len(CONTENT)) and seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(seen)


def test_a_file_that_is_here_is_not_fetched_again(server: Server, download: Download) -> None:
    models_folder().mkdir(parents=True)
    (models_folder() / NAME).write_bytes(CONTENT)
    assert download.fetch().read_bytes() == CONTENT
    assert server.ranges == []


def test_a_wrong_file_put_there_by_hand_is_named_and_kept(
    server: Server, download: Download
) -> None:
    models_folder().mkdir(parents=True)
    (models_folder() / NAME).write_bytes(b"another network")
    with pytest.raises(
        InputError, match=rf"is not the file from http.*expected SHA-256 {SHA256[:8]}.*remove it"
    ):
        download.fetch()
    assert (models_folder() / NAME).read_bytes() == b"another network" and server.ranges == []


@pytest.mark.parametrize("honours_range", [True, False])
def test_a_cut_off_download_goes_on(
    server: Server, download: Download, honours_range: bool
) -> None:
    server.cut_after = 2_000_000
    with pytest.raises(RunFailed, match=r"ended after 2,000,000 of 3,000,000 bytes, kept\); try"):
        download.fetch()
    assert not download.is_here() and len(files()) == 1
    server.cut_after = None
    server.honours_range = honours_range
    seen: list[int] = []
    assert download.fetch(lambda done, _: seen.append(done)).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=2000000-"]
    assert seen[0] == (2_000_000 if honours_range else 0) and files() == [NAME]


def test_a_part_that_is_complete_is_taken(server: Server, download: Download) -> None:
    models_folder().mkdir(parents=True)
    (models_folder() / f".{NAME}.{os.getpid()}.part").write_bytes(CONTENT)
    assert download.fetch().read_bytes() == CONTENT
    assert server.ranges == [f"bytes={len(CONTENT)}-"] and files() == [NAME]


@pytest.mark.parametrize("length", [1000, len(CONTENT), len(CONTENT) + 1000])
def test_a_part_of_another_file_is_replaced(
    server: Server, download: Download, length: int
) -> None:
    models_folder().mkdir(parents=True)
    (models_folder() / f".{NAME}.{os.getpid()}.part").write_bytes(b"x" * length)
    assert download.fetch().read_bytes() == CONTENT
    assert server.ranges == [f"bytes={length}-", None] and files() == [NAME]


def test_a_dead_process_s_part_is_claimed_and_a_living_one_s_is_not(
    server: Server, download: Download
) -> None:
    models_folder().mkdir(parents=True)
    living = f".{NAME}.{os.getppid()}.part"
    (models_folder() / living).write_bytes(b"x")
    (models_folder() / f".{NAME}.{2**22 + 1}.part").write_bytes(CONTENT[:1000])
    assert download.fetch().read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-"] and files() == [living, NAME]


def test_a_wrong_hash_deletes_the_file(server: Server, download: Download) -> None:
    server.content = CONTENT[:-1] + b"\0"
    with pytest.raises(
        RunFailed,
        match=rf"Could not download {server.url} \(.*another file, expected SHA-256 {SHA256[:8]}.*"
        rf"was deleted\); .*put {NAME} into .*models\.$",
    ):
        download.fetch()
    assert files() == []


def test_without_a_length_the_checksum_decides(server: Server, download: Download) -> None:
    server.states_length = False
    server.cut_after = 1000
    with pytest.raises(RunFailed, match="was deleted"):
        download.fetch()
    server.cut_after = None
    assert download.fetch().read_bytes() == CONTENT


@pytest.mark.parametrize(("status", "words"), [(404, "404 Not Found"), (503, "503 Service")])
def test_refusing_answers(server: Server, download: Download, status: int, words: str) -> None:
    server.status = status
    with pytest.raises(
        RunFailed, match=rf"Could not download {server.url} \(the server answered {words}.*\); try"
    ):
        download.fetch()
    assert files() == []


def test_a_refused_connection(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    missing = Download(f"http://127.0.0.1:{port}/{NAME}", NAME, Checksum("sha256", SHA256))
    with pytest.raises(RunFailed, match=rf"\(Connection refused\); try again, or .*put {NAME}"):
        missing.fetch()


def test_a_server_that_says_nothing(
    server: Server, download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "TIMEOUT_SECONDS", 0.1)
    server.delay = 0.5
    with pytest.raises(RunFailed, match=r"\((nothing arrived for 0\.1 s|timed out)\)"):
        download.fetch()


def test_a_disk_that_takes_no_more(server: Server, download: Download) -> None:
    resource = pytest.importorskip("resource", reason="no limit on a file's size here")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, before[1]))
    try:
        with pytest.raises(RunFailed, match=r"\(File too large\); try again"):
            download.fetch()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not download.is_here()
    assert download.fetch().read_bytes() == CONTENT


def test_a_home_that_is_a_file(
    download: Download, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path / "file"))
    with pytest.raises(RunFailed, match=r"\(Not a directory\)"):
        download.fetch()


def packed(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def zipped(server: Server) -> Download:
    return Download(
        server.url + ".zip", NAME, Checksum("sha1", hashlib.sha1(CONTENT).hexdigest()), zipped=True
    )


def test_an_archive(server: Server, zipped: Download, tmp_path: Path) -> None:
    server.content = packed({"../../escaped.txt": b"x", NAME: CONTENT, "other.pth": b"y"})
    assert zipped.fetch().read_bytes() == CONTENT
    assert files() == [NAME]
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [NAME]


@pytest.mark.parametrize(
    "damage",
    [
        lambda: packed({"other.pth": CONTENT}),
        lambda: packed({NAME: b"another network"}),
        lambda: b"no archive",
        lambda: packed({NAME: CONTENT})[:-5000],
        lambda: packed({NAME: CONTENT}).replace(CONTENT[:100], bytes(100)),
    ],
)
def test_a_damaged_archive(server: Server, zipped: Download, damage: Callable[[], bytes]) -> None:
    server.content = damage()
    with pytest.raises(RunFailed, match=r"expected SHA-1 .*was deleted\); .* unpack it and put"):
        zipped.fetch()
    assert files() == []


def test_two_threads_fetch_one_file_once(server: Server, download: Download) -> None:
    server.delay = 0.05
    threads = [threading.Thread(target=download.fetch) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.ranges == [None] and files() == [NAME]
