"""`python -m adadfq_core doctor`: is everything here that a run needs?"""

from __future__ import annotations

import importlib.metadata
import platform

import typer

PACKAGES = (
    "torch",
    "torchvision",
    "streamlit",
    "plotly",
    "umap-learn",
    "pandas",
    "pydantic",
    "typer",
    "safetensors",
    "psutil",
)


def doctor() -> None:
    """Tell what is installed, which device is used, and whether the bundled files are intact."""
    from adadfq_core.errors import InputError, RunFailed
    from adadfq_core.server_options import data_roots, max_active
    from adadfq_core.zoo.assets import faults

    problems = []
    typer.echo(f"python\t{platform.python_version()}")
    for package in PACKAGES:
        try:
            typer.echo(f"{package}\t{importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            problems.append(f"{package} is not installed; run 'pip install -r requirements.txt'.")
    try:
        import torch
    except ImportError as error:
        problems.append(f"torch cannot be imported ({error}); reinstall it.")
    else:
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
        typer.echo(f"device\t{device}, {torch.get_num_threads()} threads")
    try:
        typer.echo(f"runs at once\t{max_active()}")
        roots = data_roots()
        shown = "any folder" if roots is None else ", ".join(map(str, roots))
        typer.echo(f"images and weights from\t{shown}")
    except InputError as error:
        problems.append(str(error))
    problems += faults()
    typer.echo(f"bundled files\t{'altered or missing' if faults() else 'intact'}")
    if problems:
        raise RunFailed(" ".join(problems))
