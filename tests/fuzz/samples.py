"""Small valid files of every kind that the program reads, to be damaged."""

from __future__ import annotations

import gzip
import io
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from pyarrow import parquet
from safetensors.torch import save as safetensors_bytes
from torch import nn

from adadfq_core.settings import RunSettings
from adadfq_core.settings_file import to_yaml

SETTINGS = to_yaml(RunSettings(), "quick").encode()
POINTS = b"lambda_l,lambda_u\n0.1,0.8\n0.2,0.9\n"


def network() -> nn.Module:
    """A network of a few weights."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


def pickled(zipped: bool = True) -> bytes:
    """Weights as `torch.save` writes them."""
    buffer = io.BytesIO()
    content = {"epoch": 3, "state_dict": network().state_dict()}
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def safetensors() -> bytes:
    """Weights in the safetensors format."""
    return safetensors_bytes(dict(network().state_dict()))


def picture(kind: str = "PNG", size: tuple[int, int] = (5, 4)) -> bytes:
    """A coded picture."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 30, 99)).save(buffer, kind)
    return buffer.getvalue()


def idx(shape: tuple[int, ...], values: bytes) -> bytes:
    """An IDX file of unsigned bytes."""
    return b"\0\0\x08" + struct.pack(f">B{len(shape)}I", len(shape), *shape) + values


IDX_IMAGES = idx((3, 4, 4), bytes(range(48)))
IDX_LABELS = idx((3,), b"\0\1\2")


def parquet_bytes() -> bytes:
    """Three coded pictures with their labels."""
    table = pa.table({"image": [picture()] * 3, "label": [0, 1, 2]})
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    return buffer.getvalue()


def write_samples(folder: Path) -> None:
    """Write one file of each kind."""
    pictures = folder / "pictures"
    for name in ("cat", "dog", "fox"):
        (pictures / name).mkdir(parents=True)
        (pictures / name / "1.png").write_bytes(picture())
    idx_folder = folder / "idx"
    idx_folder.mkdir()
    (idx_folder / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(IDX_IMAGES, mtime=0))
    (idx_folder / "t10k-labels-idx1-ubyte").write_bytes(IDX_LABELS)
    noise = np.random.default_rng(0).bytes(3000)
    contents = {
        "settings.yaml": SETTINGS,
        "points.csv": POINTS,
        "weights.pth": pickled(),
        "weights.safetensors": safetensors(),
        "pictures.parquet": parquet_bytes(),
        "empty.pth": b"",
        **{f"noise{end}": noise for end in (".pth", ".onnx", ".safetensors", ".pt2", ".html")},
        **{f"noise{end}": noise for end in (".yaml", ".csv", ".zip", ".parquet", "")},
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
