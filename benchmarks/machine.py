"""What every measurement depends on beside the project."""

from __future__ import annotations

import os
import platform
from importlib import metadata

PACKAGES = ("torch", "torchvision", "streamlit", "onnxruntime", "umap-learn")


def machine() -> dict[str, str]:
    """Platform, cores and versions, by name; a package that is not installed is left out."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "platform": platform.platform(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        **versions,
    }


def machine_line() -> str:
    """The same in one line."""
    return ", ".join(f"{name} {value}" for name, value in machine().items())
