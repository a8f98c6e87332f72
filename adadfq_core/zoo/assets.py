"""The bundled files, and whether they are as they were shipped."""

from __future__ import annotations

from pathlib import Path

from adadfq_core.errors import InputError
from adadfq_core.files import replace_atomically, sha256
from adadfq_core.home import ASSETS

CHECKSUMS = "SHA256SUMS"


def recorded_checksums(assets: Path = ASSETS) -> dict[str, str]:
    """Relative path and SHA-256 of every bundled file, as `sha256sum` writes them.

    Raises:
        InputError: the list is missing or has a line that is not a checksum and a path.
    """
    listing = assets / CHECKSUMS
    try:
        lines = listing.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(
            f"Cannot read {listing} ({error.strerror}); restore it with 'git checkout assets'."
        ) from error
    checksums = {}
    for line in lines:
        digest, separator, name = line.partition("  ")
        if not separator or len(digest) != 64:
            raise InputError(
                f"{listing} has the line '{line}', which is not a SHA-256 and a path; restore it "
                "with 'git checkout assets'."
            )
        checksums[name] = digest
    return checksums


def record_checksums(names: list[str], assets: Path = ASSETS) -> None:
    """Set the checksums of the bundled files `names` (relative paths) to those of their bytes."""
    known = recorded_checksums(assets) if (assets / CHECKSUMS).exists() else {}
    known.update({name: sha256(assets / name) for name in names})
    with replace_atomically(assets / CHECKSUMS) as temporary:
        lines = [f"{digest}  {name}\n" for name, digest in sorted(known.items())]
        temporary.write_text("".join(lines), encoding="utf-8")


def verified(name: str, assets: Path = ASSETS) -> Path:
    """Path of the bundled file `name` after its checksum was compared.

    Raises:
        InputError: the file is missing, unlisted or altered.
    """
    path = assets / name
    expected = recorded_checksums(assets).get(name)
    if expected is None:
        raise InputError(f"{name} is not listed in {assets / CHECKSUMS}; restore that file.")
    if not path.is_file():
        raise InputError(
            f"The bundled file {path} is missing; restore it with 'git checkout assets/{name}'."
        )
    if sha256(path) != expected:
        raise InputError(
            f"The bundled file {path} was altered (its SHA-256 is not {expected[:12]}...); restore "
            f"it with 'git checkout assets/{name}'."
        )
    return path


def faults(assets: Path = ASSETS) -> list[str]:
    """One sentence for each bundled file that is missing or altered; empty if all are intact."""
    try:
        names = recorded_checksums(assets)
    except InputError as error:
        return [str(error)]
    found = []
    for name in names:
        try:
            verified(name, assets)
        except InputError as error:
            found.append(str(error))
    return found
