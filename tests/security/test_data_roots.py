"""Files of a shared server that a visitor may not name."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet
from safetensors.torch import save_file

from adadfq_core.errors import InputError
from adadfq_core.home import uploads_folder
from adadfq_core.server_options import DATA_ROOTS, check_readable, data_roots
from adadfq_core.settings import RunSettings
from adadfq_core.zoo.data import open_data
from adadfq_core.zoo.data.idx import read_idx
from adadfq_core.zoo.data.parquet import MOST_ROWS
from adadfq_core.zoo.formats import ImageFormat
from adadfq_core.zoo.loading import check_files, load_float_network
from adadfq_core.zoo.registry import find
from adadfq_core.zoo.uploads import keep_upload

GREY = ImageFormat((1, 4, 4), ("a", "b"), (0.0,), (1.0,))
REFUSED = r"lies outside the folders that this server reads .*; put it into one of them, or let"


def picture() -> bytes:
    coded = io.BytesIO()
    Image.new("L", (4, 4), 128).save(coded, "PNG")
    return coded.getvalue()


def class_folders(root: Path) -> Path:
    for name in GREY.classes:
        (root / name).mkdir(parents=True)
        (root / name / "1.png").write_bytes(picture())
    return root


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder that may be read."""
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(DATA_ROOTS, str(allowed))
    return allowed


def test_data_within_the_root_is_read_and_any_other_is_not(root: Path, tmp_path: Path) -> None:
    inside = class_folders(root / "pictures")
    outside = class_folders(tmp_path / "outside")
    assert len(open_data(str(inside), GREY).labels) == 2
    (root / "link").symlink_to(outside)
    for path in (outside, root / "link", root / ".." / "outside", tmp_path / "nothing", "/", "~"):
        with pytest.raises(InputError, match=REFUSED):
            open_data(str(path), GREY)


def test_a_neighbour_with_the_same_beginning_is_outside(root: Path) -> None:
    with pytest.raises(InputError, match=REFUSED):
        check_readable(f"{root}-other/pictures")
    check_readable(root / "anything")


@pytest.mark.parametrize("path", ["bad\0path", "", "."])
def test_odd_paths_are_outside(root: Path, path: str) -> None:
    with pytest.raises(InputError, match=REFUSED):
        check_readable(path)


def test_a_link_within_a_data_set_leads_nowhere_else(root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(picture())
    data = class_folders(root / "pictures")
    (data / "a" / "2.png").symlink_to(secret)
    found = open_data(str(data), GREY)
    assert len(found.labels) == 2
    assert len(found.skipped) == 1 and "lies outside" in found.skipped[0]


def test_paths_within_a_parquet_file_lead_nowhere_else(root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(picture())
    (root / "own.png").write_bytes(picture())
    cells = ["own.png", str(secret), "../secret.png", "own.png"]
    table = pa.table({"image": cells, "label": [0, 0, 1, 1]})
    parquet.write_table(table, root / "pictures.parquet")
    found = open_data(str(root / "pictures.parquet"), GREY)
    assert len(found.labels) == 2
    assert len(found.skipped) == 2
    assert all("lies outside" in reason for reason in found.skipped)


def test_a_linked_idx_file_leads_nowhere_else(root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret-idx1-ubyte"
    secret.write_bytes(b"\0\0\x08\x01" + struct.pack(">I", 1) + b"x")
    (root / "t10k-labels-idx1-ubyte").symlink_to(secret)
    with pytest.raises(InputError, match=REFUSED):
        read_idx(root / "t10k-labels-idx1-ubyte")


def test_weights_elsewhere_are_refused_but_uploads_are_not(root: Path, tmp_path: Path) -> None:
    entry = find("fashion-resnet20")
    outside = tmp_path / "mine.safetensors"
    save_file(entry.build().state_dict(), outside)
    settings = RunSettings(network=entry.name, weights=str(outside), data="none")
    for check in (check_files, load_float_network):
        with pytest.raises(InputError, match=REFUSED):
            check(settings)
    uploaded = keep_upload(outside.name, outside.read_bytes(), entry)
    assert uploaded.is_relative_to(uploads_folder())
    allowed = settings.model_copy(update={"weights": str(uploaded)})
    check_files(allowed)
    load_float_network(allowed)


def test_the_bundled_network_and_named_data_need_no_root(root: Path) -> None:
    check_files(RunSettings())
    check_files(RunSettings(data="fashion-mnist"))
    check_files(RunSettings(data="none"))
    load_float_network(RunSettings())
    images = find("fashion-resnet20").images
    assert len(open_data("fashion-mnist", images, limit=20).labels) == 20
    with pytest.raises(InputError, match=REFUSED):
        check_files(RunSettings(data="./cifar10"))


@pytest.mark.parametrize("value", ["relative", "/no/such/folder/at/all", __file__])
def test_a_root_that_is_no_folder_is_told(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(DATA_ROOTS, value)
    with pytest.raises(InputError, match=r"ADADFQ_DATA_ROOTS names '.*no folder or no absolute"):
        data_roots()


def test_without_roots_everything_may_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATA_ROOTS, raising=False)
    assert data_roots() is None
    check_readable("/anything")


def test_many_roots(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    monkeypatch.setenv(DATA_ROOTS, os.pathsep.join(map(str, folders)))
    for folder in folders:
        check_readable(folder / "x")
    with pytest.raises(InputError, match=REFUSED):
        check_readable(tmp_path / "three")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_no_picture(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "pictures")
    os.mkfifo(data / "a" / "2.png")
    found = open_data(str(data), GREY)
    assert len(found.skipped) == 1 and "a device or a pipe" in found.skipped[0]


def test_a_packed_file_unpacks_no_further_than_its_header_says(tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "t10k-labels-idx1-ubyte.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"\0\0\x08\x01" + struct.pack(">I", 3) + bytes(100 * 2**20))
    with pytest.raises(InputError, match=r"holds \d+ values where its header states 3;") as told:
        read_idx(path)
    assert int(str(told.value).split("holds ")[1].split()[0]) < 5000


def test_a_header_that_states_more_than_the_memory_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t10k-images-idx3-ubyte"
    path.write_bytes(b"\0\0\x08\x03" + struct.pack(">III", 2**31, 2**31, 2**31) + b"x")
    with pytest.raises(InputError, match=r"states .* values, and .* bytes of memory are free"):
        read_idx(path)


def test_a_parquet_file_of_too_many_rows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adadfq_core.zoo.data.parquet.MOST_ROWS", 3)
    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.table({"image": [picture()] * 4, "label": [0, 1, 0, 1]}), path)
    with pytest.raises(InputError, match=r"has 4 rows; at most 3 can be read"):
        open_data(str(path), GREY)
    assert MOST_ROWS > 10**6
