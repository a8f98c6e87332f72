"""Fashion-MNIST (Xiao et al., arXiv 1708.07747): its classes, and where its files are."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from adadfq_core.errors import InputError
from adadfq_core.zoo.data.idx import read_split

__all__ = ["CLASS_NAMES", "MEAN", "STD", "find_training_images", "read_split"]

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
