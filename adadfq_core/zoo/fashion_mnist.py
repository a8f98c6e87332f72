"""Fashion-MNIST (Xiao et al., arXiv 1708.07747): where its IDX files are, how they are read."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from adadfq_core.errors import InputError

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
# Mean and standard deviation of the 60,000 training images scaled to [0, 1].
MEAN = (0.2860,)
STD = (0.3530,)

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
_IDX_UNSIGNED_BYTE = 0x08


def read_idx(path: Path) -> np.ndarray:
    """Read one gzip-compressed IDX file of unsigned bytes.

    Returns:
        uint8 array with the shape that the file's header states.

    Raises:
        InputError: the file is absent, not gzip, not IDX of unsigned bytes, or truncated.
    """
    try:
        raw = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"Cannot read {path}: {error}; restore the file and try again.") from error
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != _IDX_UNSIGNED_BYTE:
        raise InputError(f"{path} is not an IDX file of unsigned bytes; restore the original file.")
    rank = raw[3]
    header = 4 + 4 * rank
    if len(raw) < header:
        raise InputError(f"{path} is cut off inside its header; restore the original file.")
    shape = struct.unpack(f">{rank}I", raw[4:header])
    expected = int(np.prod(shape, dtype=np.int64))
    if len(raw) - header != expected:
        raise InputError(
            f"{path} holds {len(raw) - header} values where its header states {expected}; "
            "restore the original file."
        )
    return np.frombuffer(raw, dtype=np.uint8, offset=header).reshape(shape)


def read_split(folder: Path, prefix: str) -> tuple[Tensor, Tensor]:
    """Images `(N, 1, 28, 28)` uint8 and labels `(N,)` int64 of split `prefix` ("train", "t10k")."""
    images = read_idx(folder / f"{prefix}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz")
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise InputError(
            f"{folder} holds images of shape {images.shape} and labels of shape {labels.shape}; "
            "they must be (N, H, W) and (N,)."
        )
    return torch.from_numpy(images.copy()).unsqueeze(1), torch.from_numpy(labels.astype(np.int64))


def find_training_images(download_folder: Path) -> tuple[Tensor, Tensor]:
    """The 60,000 training images, from Debian's package or from torchvision's download.

    Raises:
        InputError: neither is there and the download failed.
    """
    if (DEBIAN_FOLDER / "train-images-idx3-ubyte.gz").exists():
        return read_split(DEBIAN_FOLDER, "train")
    from torchvision.datasets import FashionMNIST  # slow import, needed only here

    try:
        data = FashionMNIST(str(download_folder), train=True, download=True)
    except (RuntimeError, OSError) as error:
        raise InputError(
            "Fashion-MNIST's training images are neither in "
            f"{DEBIAN_FOLDER} nor could they be downloaded ({error}); install the Debian package "
            "dataset-fashion-mnist or connect to the internet."
        ) from error
    return data.data.unsqueeze(1), data.targets
