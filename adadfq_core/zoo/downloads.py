"""Fetching trained weights from the internet into `ADADFQ_HOME`, checked and resumable."""

from __future__ import annotations

import hashlib
import http.client
import shutil
import threading
import urllib.error
import urllib.request
import zipfile
import zlib
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Literal

import psutil

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.files import replace_atomically
from adadfq_core.home import home
from adadfq_core.zoo.entry import Progress, silent

TIMEOUT_SECONDS = 30.0
_CHUNK = 1 << 20
# One download at a time in this process; between processes the part files' names differ.
_DOWNLOADING = threading.Lock()


def models_folder() -> Path:
    """Where downloaded weights are kept."""
    return home() / "models"


@dataclass(frozen=True)
class Checksum:
    """The first hexadecimal digits, or all of them, of a file's hash."""

    algorithm: Literal["sha256", "sha1"]
    digits: str

    def matches(self, path: Path) -> bool:
        """Whether the file's hash starts with `digits`."""
        with path.open("rb") as handle:
            digest = hashlib.file_digest(handle, self.algorithm)
        return digest.hexdigest().startswith(self.digits)

    def __str__(self) -> str:
        names = {"sha256": "SHA-256", "sha1": "SHA-1"}
        return f"{names[self.algorithm]} {self.digits[:12]}..."


@dataclass(frozen=True)
class Download:
    """A file of weights at `url`, kept in `models_folder()` as `file_name`.

    Where `zipped`, `url` is a zip archive and `file_name` the member of it that is kept;
    `checksum` is that of the kept file.
    """

    url: str
    file_name: str
    checksum: Checksum
    zipped: bool = False

    @property
    def path(self) -> Path:
        """Where the file is, or will be."""
        return models_folder() / self.file_name

    def is_here(self) -> bool:
        """Whether the file was fetched, or put there by hand."""
        return self.path.is_file()

    def fetch(self, progress: Progress = silent) -> Path:
        """The file after its checksum was compared; it is downloaded where it is not here yet.

        A download that was cut off goes on where it stopped, if the server can do that.

        Raises:
            InputError: a file of that name is here, but it is another one.
            RunFailed: the download failed; the sentence says which file to put where instead.
        """
        with _DOWNLOADING:
            if self.is_here():
                return self._checked_in_place()
            try:
                self._download(progress)
            except _Unreachable as error:
                raise RunFailed(self._advice(str(error))) from error
            except http.client.HTTPException as error:
                raise RunFailed(self._advice(f"bad answer, {type(error).__name__}")) from error
            except OSError as error:
                raise RunFailed(self._advice(error.strerror or str(error))) from error
            return self.path

    def _checked_in_place(self) -> Path:
        try:
            matches = self.checksum.matches(self.path)
        except OSError as error:
            raise InputError(
                f"Cannot read {self.path} ({error.strerror}); make it readable or remove it."
            ) from error
        if not matches:
            raise InputError(
                f"{self.path} is not the file from {self.url} (expected {self.checksum}); replace "
                "it or remove it to download it again."
            )
        return self.path

    def _advice(self, reason: str) -> str:
        archive = "unpack it " if self.zipped else ""
        return (
            f"Could not download {self.url} ({reason}); try again, or get it in another way, "
            f"{archive}and put {self.file_name} into {self.path.parent}."
        )

    def _download(self, progress: Progress) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = _claim_part(self.path)
        resumed = part.exists()
        _stream(self.url, part, progress)
        if self._accept(part):
            return
        if resumed:
            # The first half may be of another version of the file, so it gets one fresh start.
            _stream(self.url, part, progress)
            if self._accept(part):
                return
        raise _Unreachable(
            f"what arrived is damaged or another file, expected {self.checksum}, and was deleted"
        )

    def _accept(self, part: Path) -> bool:
        """Move the complete `part` to its place if it is the expected file, else delete it."""
        try:
            with replace_atomically(self.path) as temporary:
                if self.zipped:
                    _extract(part, self.file_name, temporary)
                else:
                    part.rename(temporary)
                if not self.checksum.matches(temporary):
                    raise _WrongFile
        except _WrongFile:
            return False
        finally:
            part.unlink(missing_ok=True)
        return True


class _Unreachable(Exception):
    """The server did not send the whole file; says why."""


class _WrongFile(Exception):
    """The whole file arrived, but it is damaged or another one."""


def _claim_part(target: Path) -> Path:
    """Name of this process's unfinished download, to which a dead process's is renamed."""
    own = target.with_name(f".{target.name}.{psutil.Process().pid}.part")
    for part in target.parent.glob(f".{target.name}.*.part"):
        owner = part.suffixes[-2].removeprefix(".")
        if part != own and owner.isdigit() and not psutil.pid_exists(int(owner)):
            try:
                part.replace(own)
            except FileNotFoundError:  # another process claimed it first
                continue
    return own


def _stream(url: str, part: Path, progress: Progress) -> None:
    """Append the rest of `url` to `part`, or all of it where the server cannot continue."""
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            continues = response.status == HTTPStatus.PARTIAL_CONTENT and str(
                response.headers.get("Content-Range")
            ).startswith(f"bytes {done}-")
            done = done if continues else 0
            length = response.headers.get("Content-Length")
            total = done + int(length) if length is not None else None
            progress(done, total)
            with part.open("ab" if continues else "wb") as handle:
                while chunk := response.read(_CHUNK):
                    handle.write(chunk)
                    done += len(chunk)
                    progress(done, total)
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and done:
            return  # nothing is left to send: the checksum tells whether the part is the file
        raise _Unreachable(f"the server answered {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        reason = error.reason
        text = reason.strerror if isinstance(reason, OSError) else None
        raise _Unreachable(text or str(reason)) from error
    except TimeoutError as error:
        raise _Unreachable(f"nothing arrived for {TIMEOUT_SECONDS:g} s") from error
    if total is not None and done < total:
        raise _Unreachable(f"the connection ended after {done:,} of {total:,} bytes, kept")


def _extract(archive: Path, member: str, target: Path) -> None:
    """Write the one file `member` of a zip archive to `target`; no name in it is trusted."""
    try:
        with (
            zipfile.ZipFile(archive) as files,
            files.open(member) as source,
            target.open("wb") as handle,
        ):
            shutil.copyfileobj(source, handle, _CHUNK)
    except (zipfile.BadZipFile, KeyError, zlib.error, EOFError, RuntimeError) as error:
        raise _WrongFile from error
