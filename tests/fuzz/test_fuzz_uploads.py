"""Files from strangers: weights, runs, pictures, data sets and quantized networks, damaged."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from damage import damaged
from hostile import Hunt, Place, refusal, texts
from hypothesis import strategies as st
from safetensors.numpy import save as numpy_bytes
from samples import (
    IDX_IMAGES,
    IDX_LABELS,
    idx,
    network,
    parquet_bytes,
    pickled,
    picture,
    safetensors,
)
from streamlit.testing.v1 import AppTest

from adadfq_core import runs
from adadfq_core.errors import InputError
from adadfq_core.export.description import describe
from adadfq_core.export.frozen import freeze
from adadfq_core.export.opening import open_exported
from adadfq_core.export.torch_file import load_quantized, save_torch
from adadfq_core.inspection.samples import read_samples
from adadfq_core.quant import quantize
from adadfq_core.runs import RecordKind, history
from adadfq_core.runs.archive_format import COMMANDS, MANIFEST, RECORDS
from adadfq_core.settings import RunSettings
from adadfq_core.zoo.data.decoding import UnreadablePicture, decode
from adadfq_core.zoo.data.idx import open_folder, read_split
from adadfq_core.zoo.data.opening import open_data
from adadfq_core.zoo.data.scaling import fit
from adadfq_core.zoo.entry import ZooEntry
from adadfq_core.zoo.formats import ImageFormat
from adadfq_core.zoo.registry import find
from adadfq_core.zoo.uploads import keep_upload
from adadfq_core.zoo.weight_files import SUFFIXES
from adadfq_core.zoo.weights import load_weights
from app.run_view import RunView

MAIN = str(Path(__file__).resolve().parents[2] / "app" / "main.py")
IMAGES = ImageFormat((3, 4, 5), ("cat", "dog", "fox"), (0.5,) * 3, (0.5,) * 3)


# Weights


class _Call:
    """Pickled, it asks whoever reads it to call something."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.what = (function, arguments)

    def __reduce__(self) -> Any:
        return self.what


def _zip(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _header(content: dict[str, Any], tail: bytes = b"\0" * 64, length: int | None = None) -> bytes:
    text = json.dumps(content).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + tail


def _tensor(shape: list[int], begin: int, end: int, kind: str = "F32") -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}


def _packed_weights() -> bytes:
    """Weights of which most are zeros, which a zip file may pack small."""
    content = {"weight": torch.zeros(2_000_000)}
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with zipfile.ZipFile(buffer) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return _zip(members, zipfile.ZIP_DEFLATED)


HOSTILE_WEIGHTS = [
    ("a.pth", b""),
    ("a.pth", pickle.dumps(_Call(os.mkdir, "called"))),
    ("a.pth", pickle.dumps({"state_dict": _Call(exec, "import os; os.mkdir('called')")})),
    ("a.pth", _zip({"a/data.pkl": pickle.dumps(_Call(os.mkdir, "called")), "a/version": b"3"})),
    ("a.pth", _packed_weights()),
    ("a.pth", _zip({"../../x": b"1", "a/data.pkl": b"\x80\x02}q\0."})),
    ("a.pth", _zip({"/etc/x": b"1"})),
    ("a.pth", pickle.dumps({"." * 3000: 1, 3: 4, None: None})),
    ("a.pth", pickle.dumps([[[[]]]] * 3)),
    ("a.safetensors", _header({}, b"")),
    ("a.safetensors", _header({}, b"", 2**63)),
    ("a.safetensors", _header({}, b"", 10)),
    ("a.safetensors", _header({"a": _tensor([4], 0, 16), "b": _tensor([4], 8, 24)})),
    ("a.safetensors", _header({"a": _tensor([2**62, 4], 0, 16)})),
    ("a.safetensors", _header({"a": _tensor([16], 0, 64), "__metadata__": {"x": 1}})),
    ("a.safetensors", _header({"." * 2000: _tensor([16], 0, 64)})),
    ("a.safetensors", _header({"a." * 200_000 + "weight": _tensor([16], 0, 64)})),
    ("a.safetensors", _header({"0.weight": _tensor([16], 0, 64, "F64")})),
    ("a.safetensors", _header({"0.weight": _tensor([0], 0, 0)}, b"")),
    ("a.\0", b"x"),
    ("a.\ud800", b"x"),
    ("", b"x"),
    ("a" * 300 + ".pth", b"x"),
    ("../../a.pth", pickled()),
    ("a.pth/", pickled()),
    ("a." + "x" * 300, pickled()),
    ("a.pt/../x", safetensors()),
]


def _entry() -> ZooEntry:
    bundled = find("fashion-resnet20")
    return ZooEntry(**{**vars(bundled), "build": network})


def _try_as_a_file(name: str, content: bytes) -> None:
    """As the shell does: refused weights leave a network as it was."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / name[:200]
        with contextlib.suppress(OSError, UnicodeEncodeError):  # no name of a file
            file.write_bytes(content)
        fresh, before = network(), network().state_dict()
        if refusal(lambda: load_weights(fresh, file)) is not None:
            found = fresh.state_dict()
            assert all(torch.equal(found[name], before[name]) for name in before)


def test_any_weights(place: Place, hunt: Hunt) -> None:
    """Through what the page calls: refused weights leave no file."""
    entry = _entry()
    contents = (
        damaged(pickled())
        | damaged(pickled(False))
        | damaged(safetensors())
        | st.binary(max_size=99)
    )
    names = st.sampled_from([f"a{suffix}" for suffix in SUFFIXES]) | texts(20)
    uploads = place.home / "uploads"

    def check(upload: tuple[str, bytes]) -> None:
        told = refusal(lambda: keep_upload(*upload, entry))
        if "/" not in upload[0] and "\0" not in upload[0]:
            _try_as_a_file(*upload)
        kept = list(uploads.iterdir()) if uploads.exists() else []
        assert not kept if told is not None else len(kept) == 1
        assert not (place.here / "called").exists()
        shutil.rmtree(uploads, ignore_errors=True)
        assert place.unchanged()

    hunt(check, st.tuples(names, contents), 150, HOSTILE_WEIGHTS)


def test_weights_that_unpack_to_more_than_their_size(place: Place) -> None:
    with pytest.raises(InputError, match=r"a\.pth unpacks to more than its own size"):
        keep_upload("a.pth", _packed_weights(), _entry())
    assert place.unchanged()


# Runs


def _members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _sealed(members: dict[str, bytes], changed: dict[str, Any]) -> bytes:
    """An archive whose manifest, with `changed` in its run's row, agrees with its members."""
    members = dict(members)
    manifest = json.loads(members.pop(MANIFEST))
    manifest["run"] |= changed
    manifest["files"] = {
        name: {"sha256": sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in members.items()
    }
    return _zip({**members, MANIFEST: json.dumps(manifest).encode()}, zipfile.ZIP_DEFLATED)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts(8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(5), inner, max_size=3),
    max_leaves=6,
)
record_names = st.sampled_from(
    [
        *("network", "top1", "seconds", "ms", "h_prime", "changes", "status", "reason", "source"),
        *("classes", "coverage", "data", "text", "player", "value_before", "value_after", "before"),
        *("sha256", "l_g", "lr_q", "iteration"),
    ]
)
record_lines = st.fixed_dictionaries(
    {
        "iteration": st.integers(0, 7) | json_values,
        "kind": st.sampled_from([kind.value for kind in RecordKind]),
        "data": st.dictionaries(record_names | texts(5), json_values, max_size=4),
        "file": st.none() | st.just("arrays/1.safetensors") | texts(10),
    }
)
command_lines = st.fixed_dictionaries(
    {
        "created": st.just(1.0) | json_values,
        "kind": st.sampled_from(["parameters", "stop", "step", "nope"]),
        "payload": st.dictionaries(st.sampled_from(["changes", "iterations"]), json_values),
        "applied_iteration": st.just(1) | json_values,
        "error": st.none() | texts(10),
    }
)
row_changes = st.dictionaries(
    st.sampled_from(["created", "settings", "preset", "status", "reason", "iteration", "tags"])
    | st.sampled_from(["note", "updated", "run_id"]),
    json_values | st.dictionaries(st.sampled_from(list(RunSettings.model_fields)), json_values),
    max_size=2,
)


def _line(line: dict[str, Any]) -> bytes:
    return json.dumps(line).encode() + b"\n"


@st.composite
def archives(draw: st.DrawFn, members: dict[str, bytes], whole: bytes) -> bytes:
    """Archives that are damaged, or whole but for what they say."""
    kind = draw(st.sampled_from(["damaged", "row", "records", "records", "commands", "names"]))
    if kind == "damaged":
        return draw(damaged(whole))
    changed = dict(members)
    if kind == "records":
        new = [_line(line) for line in draw(st.lists(record_lines, min_size=1, max_size=3))]
        lines = members[RECORDS].splitlines(keepends=True)
        at = draw(st.integers(0, len(lines)))
        changed[RECORDS] = b"".join([*lines[:at], *new, *lines[at:]])
    elif kind == "commands":
        changed[COMMANDS] += b"".join(map(_line, draw(st.lists(command_lines, max_size=2))))
    elif kind == "names":
        names = st.sampled_from(["../x", "/x", "arrays/../x", "runs.db", "arrays/a.safetensors"])
        others = texts(20).map(lambda name: name.encode("utf-8", "replace").decode() or "x")
        changed[draw(names | others)] = draw(st.binary(max_size=30))
    return _sealed(changed, draw(row_changes) if kind == "row" else {})


def _named_archives(members: dict[str, bytes]) -> list[bytes]:
    empty = [_line({"iteration": 1, "kind": kind, "data": {}, "file": None}) for kind in RecordKind]
    bomb = {**members, "arrays/1.safetensors": b"\0" * 3_000_000}
    kept = json.loads(members[MANIFEST])["run"]
    return [
        *(_sealed({**members, RECORDS: members[RECORDS] + line}, {}) for line in empty),
        _sealed(bomb, {}),
        _sealed(members, {"settings": {**kept["settings"], "seed": 10**4000}}),
        _sealed(members, {"settings": {**kept["settings"], "weights": "a\0b"}}),
        _sealed(members, {"settings": {**kept["settings"], "data": {"a": [1] * 999}}}),
        _sealed(members, {"created": 1e308}),
        _sealed(members, {"iteration": 2**70}),
        _sealed(members, {"tags": ["\ud800"]}),
        _sealed(members, {"note": "[" * 90_000}),
        _zip({MANIFEST: b"[" * 200_000, RECORDS: b"", COMMANDS: b""}),
        _zip({MANIFEST: b'{"format": 1e999}', RECORDS: b"", COMMANDS: b""}),
        _zip({}),
        b"PK\5\6" + b"\0" * 18,
    ]


def look(root: Path, run_id: str) -> None:
    """Read a run as the pages do."""
    view = RunView.attach(root, run_id)
    view.summary(), view.top1_q(), view.seconds_left(), view.frame_at(3)
    runs.summaries(root)
    runs.facts(runs.info(root, run_id), runs.summaries(root)[run_id])
    read_samples(root, run_id)
    history.moments(root, run_id)
    history.at(root, run_id, 4)
    runs.current_settings(root, run_id)


def test_any_archive_of_a_run(place: Place, hunt: Hunt) -> None:
    """Refused with nothing stored, or taken in and shown like any other."""
    path = place.home / "files" / "run.adadfq.zip"
    members = _members(path)

    def check(content: bytes) -> None:
        source = io.BytesIO(content)
        source.name = "run.zip"  # type: ignore[attr-defined]  # as an upload has one
        known = {info.run_id for info in runs.list_runs(place.root)}
        found: list[str] = []
        if refusal(lambda: found.append(runs.import_run(place.root, source))) is not None:
            assert place.unchanged()
            return
        refusal(lambda: look(place.root, found[0]))
        if found[0] not in known:
            runs.delete_runs(place.root, found)
        place.restore()

    hunt(check, archives(members, path.read_bytes()), 80, _named_archives(members))


def test_any_archive_that_was_taken_in_is_shown(place: Place, hunt: Hunt, offline: None) -> None:
    """Through the Play page; what it cannot show of a run it says in a sentence."""
    path = place.home / "files" / "run.adadfq.zip"
    members = _members(path)

    def check(content: bytes) -> None:
        source = io.BytesIO(content)
        source.name = "run.zip"  # type: ignore[attr-defined]
        found: list[str] = []
        if refusal(lambda: found.append(runs.import_run(place.root, source))) is None:
            page = AppTest.from_file(MAIN, default_timeout=120)
            page.query_params["run"] = found[0]
            page.run()
            assert not page.exception, page.exception
        place.restore()

    hunt(check, archives(members, path.read_bytes()), 6, long=20)


SAMPLES: dict[str, Any] = {
    "labels": np.array([0, 1]),
    "pixels": np.zeros((2, 1, 4, 4), np.uint8),
    "h_prime": np.array([0.2, 0.9], np.float32),
    "p_logits": np.eye(2, dtype=np.float32),
    "q_logits": np.eye(2, dtype=np.float32),
}
ARRAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "images": ({}, SAMPLES),
    "half": (
        {"player": "q", "value_before": 0.5, "value_after": 0.4},
        {"labels": SAMPLES["labels"]}
        | {f"{name}_before": array for name, array in SAMPLES.items() if name != "labels"}
        | {f"{name}_after": array for name, array in SAMPLES.items() if name != "labels"},
    ),
    "embedding": (
        {"source": "synthetic"},
        {
            "labels": SAMPLES["labels"],
            "positions": np.zeros((2, 2), np.float32),
            "adaptability": np.zeros(2, np.float32),
        },
    ),
}


def _with_arrays(members: dict[str, bytes], kind: str, arrays: dict[str, Any]) -> io.BytesIO:
    """The archive of a run with one record of `kind`, whose network has two classes."""
    about = {"classes": ["a", "b"], "coverage": [], "data": None}
    file = "arrays/00000009-x.safetensors"
    lines = [line for line in members[RECORDS].splitlines(True) if b"safetensors" not in line]
    lines += [
        _line({"iteration": 0, "kind": "network", "data": about, "file": None}),
        _line({"iteration": 6, "kind": kind, "data": ARRAYS[kind][0], "file": file}),
    ]
    kept = {name: content for name, content in members.items() if "safetensors" not in name}
    content = numpy_bytes({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    source = io.BytesIO(_sealed({**kept, RECORDS: b"".join(lines), file: content}, {}))
    source.name = "run.zip"  # type: ignore[attr-defined]
    return source


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_that_are_not_as_the_program_writes_them(
    kind: str, place: Place, offline: None
) -> None:
    """Pages draw from the arrays of a run: it comes in with whole ones alone, and they show it."""
    members = _members(place.home / "files" / "run.adadfq.zip")
    whole = ARRAYS[kind][1]
    for name, array in whole.items():
        others: list[Any] = [array[:1], array[..., None], None]
        others += [array + 2, array - 1] if name == "labels" else [array.astype(np.int64)]
        others += [array[:, :1].repeat(5, axis=1)] if array.ndim > 1 else []
        for other in others:
            changed = {each: value for each, value in whole.items() if each != name}
            if other is not None:
                changed[name] = other
            source = _with_arrays(members, kind, changed)
            with pytest.raises(InputError, match=r"is not as it should be \(the array"):
                runs.import_run(place.root, source)
            assert place.unchanged()
    page = AppTest.from_file(MAIN, default_timeout=120)
    page.query_params["run"] = runs.import_run(place.root, _with_arrays(members, kind, whole))
    page.run()
    assert not page.exception and not page.error


# Pictures and data sets


PICTURES = {kind: picture(kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")}
HOSTILE_PICTURES = [
    b"",
    b"GIF89a" + b"\0" * 7 + b";",
    b"GIF89a\0\0\0\0\0\0\0,\0\0\0\0\0\0\0\0\0\2\0;",
    b"P6\n0 0\n255\n",
    b"P6\n0 5\n255\n",
    b"P6\n99999999999 1\n255\n",
    b"P6\n1 1\n0\n\0\0\0",
    b"P5\n1 1\n65535\n\0\0",
    b"Pf\n1 1\n-1.0\n\0\0\xc0\x7f",
    b"BM" + b"\xff" * 60,
    b"%!PS-Adobe-3.0 EPSF-3.0\n",
    picture(size=(1, 3000)),
    picture(size=(3000, 1)),
]


def test_any_picture(hunt: Hunt) -> None:
    def check(content: bytes) -> None:
        for channels, shape in ((1, (1, 4, 5)), (3, (3, 4, 5))):
            images = ImageFormat(shape, (), (0.5,) * channels, (0.5,) * channels)
            try:
                fitted = fit(decode(content, channels), images)
            except UnreadablePicture as error:
                assert str(error) and "\n" not in str(error)
            else:
                assert fitted.shape == shape and fitted.dtype == torch.uint8

    kinds = st.sampled_from(list(PICTURES.values())).flatmap(damaged)
    hunt(check, kinds | st.binary(max_size=60), 300, HOSTILE_PICTURES)


HOSTILE_IDX = [
    idx((1,) * 100, b"\1"),
    idx((1,) * 255, b"\1"),
    idx((0, 2**32 - 1, 2**32 - 1), b""),
    idx((2**32 - 1,) * 3, b""),
    idx((3, 0, 4), b""),
    idx((), b"\1"),
    idx((2**16, 2**16, 2**16, 2**16), b""),
    b"\0\0\x08\x03",
    b"\0\0\x0d\x01\0\0\0\1\0",
]


def test_any_idx_files(tmp_path: Path, hunt: Hunt) -> None:
    images, labels = tmp_path / "t10k-images-idx3-ubyte", tmp_path / "t10k-labels-idx1-ubyte"

    def check(contents: tuple[bytes, bytes]) -> None:
        images.write_bytes(contents[0])
        labels.write_bytes(contents[1])
        refusal(lambda: open_data(str(tmp_path), IMAGES))
        told = refusal(lambda: open_folder(tmp_path, {"t10k"}))
        assert (refusal(lambda: read_split(tmp_path, "t10k")) is None) == (told is None)

    pairs = st.tuples(damaged(IDX_IMAGES), damaged(IDX_LABELS))
    named = [(each, IDX_LABELS) for each in HOSTILE_IDX] + [(IDX_IMAGES, x) for x in HOSTILE_IDX]
    hunt(check, pairs, 150, named)


def _table(**columns: Any) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    buffer = io.BytesIO()
    parquet.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def _hostile_tables() -> list[bytes]:
    import pyarrow as pa

    coded = [picture()] * 3
    words = pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), pa.array(["a", "b"]))
    return [
        _table(image=coded, label=words),
        _table(image=coded, label=["9" * 5000, "1", "2"]),
        _table(image=coded, label=["", "0", "1"]),
        _table(image=coded, label=pa.array([0, 1, 2**64 - 1], pa.uint64())),
        _table(image=coded, label=[0, -1, 1]),
        _table(image=coded, label=[0, 1, 2**40]),
        _table(image=coded, label=[0.0, 1.0, 2.0]),
        _table(image=[{"bytes": None, "path": None}] * 3, label=[0, 1, 2]),
        _table(image=[{"bytes": 3, "path": 4}] * 3, label=[0, 1, 2]),
        _table(image=[{"path": "../../../etc/passwd\0"}] * 3, label=[0, 1, 2]),
        _table(image=["\0", "x" * 5000, "/dev/zero"], label=[0, 1, 2]),
        _table(image=[None] * 3, label=[0, 1, 2]),
        _table(image=pa.array([], pa.binary()), label=pa.array([], pa.int64())),
        _table(label=[0, 1, 2]),
    ]


def test_any_parquet_file(tmp_path: Path, hunt: Hunt) -> None:
    file = tmp_path / "a.parquet"

    def check(content: bytes) -> None:
        file.write_bytes(content)
        refusal(lambda: open_data(str(file), IMAGES))

    hunt(check, damaged(parquet_bytes()), 150, _hostile_tables())


def test_any_name_of_a_data_set(place: Place, hunt: Hunt, offline: None) -> None:
    def check(name: str) -> None:
        assert refusal(lambda: open_data(name, IMAGES)) is not None

    hunt(check, texts(), 80, ["\0", "a\0.parquet", "\ud800", "~nobody-of-this-name"])


# Quantized networks


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A quantized network in the formats that are read without running code."""
    from adadfq_core.export.onnx_file import save_onnx

    folder = tmp_path_factory.mktemp("exported")
    images = ImageFormat((1, 4, 4), ("a", "b", "c"), (0.5,), (0.5,))
    example = torch.linspace(-1, 1, 32).view(2, 1, 4, 4)
    quantized = quantize(network().eval(), 3, 3, example)
    with quantized.observing_ranges(), torch.no_grad():
        quantized(example)
    frozen = freeze(quantized)
    settings = RunSettings(network="net.py:build", weight_bits=3, activation_bits=3)
    description = describe(settings, images, None, "a-run", 7)
    packed = description.model_copy(update={"packed": True})
    save_torch(frozen, description, folder / "a.safetensors")
    save_torch(frozen, packed, folder / "b.safetensors")
    save_onnx(frozen, description, folder / "c.onnx")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_any_quantized_network(exported: dict[str, bytes], tmp_path: Path, hunt: Hunt) -> None:
    x = torch.zeros(2, 1, 4, 4)

    def check(file: tuple[str, bytes]) -> None:
        path = tmp_path / file[0]
        path.write_bytes(file[1])
        opened: list[Any] = []
        told = refusal(lambda: opened.append(open_exported(path, network())))
        if path.suffix == ".safetensors":
            again = refusal(lambda: load_quantized(path, network()))
            assert (again is None) == (told is None)
        if opened:
            refusal(lambda: opened[0].predict(x))

    files = st.sampled_from(sorted(exported.items())).flatmap(
        lambda item: st.tuples(st.just(item[0]), damaged(item[1]))
    )
    others = st.tuples(
        st.sampled_from(["d.safetensors", "d.onnx", "d.html", "d.pt2", "d.bin"]),
        st.binary(max_size=80),
    )
    hunt(check, files | others, 60)


def test_no_name_of_a_quantized_network_is_a_fault(hunt: Hunt) -> None:
    def check(name: str) -> None:
        for read in (open_exported, load_quantized):
            with pytest.raises(InputError):
                read(Path(name))

    hunt(check, texts(), 60, ["~nobody-of-this-name/a.onnx", "\0", "a\0.onnx", "x" * 300 + ".onnx"])
