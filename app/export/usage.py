"""Code that uses a file of Q, with the normalisation of its own network filled in."""

from __future__ import annotations

import shlex

from adadfq_core.export.description import Images


def normalisation(images: Images, library: str) -> str:
    """Lines that turn uint8 `pixels` `(B, C, H, W)` into `images` for the network.

    Args:
        library: "np" or "torch", as the code around names it.
    """
    make, cast = ("array", "astype(np.float32)") if library == "np" else ("tensor", "float()")
    kind = ", np.float32" if library == "np" else ""
    _, height, width = images.shape
    mean, std = ([[[value]] for value in values] for values in (images.mean, images.std))
    return (
        f"# pixels: uint8 (B, {images.shape[0]}, {height}, {width})\n"
        f"mean = {library}.{make}({mean}{kind})\n"
        f"std = {library}.{make}({std}{kind})\n"
        f"images = (pixels.{cast} / 255 - mean) / std"
    )


def onnx_code(name: str, images: Images) -> str:
    """Classify with onnxruntime, which is all that it needs beside NumPy."""
    return (
        "import numpy as np\nimport onnxruntime\n\n"
        f"session = onnxruntime.InferenceSession({name!r})\n"
        f"{normalisation(images, 'np')}\n"
        "logits = session.run(None, {session.get_inputs()[0].name: images})[0]\n"
        "classes = logits.argmax(1)"
    )


def torch_code(name: str, images: Images, network: str) -> str:
    """Classify in PyTorch with this project; `network` names P, in the zoo or `module:function`."""
    imported, architecture = "", ""
    if ":" in network:
        module, _, function = network.partition(":")
        imported, architecture = f"from {module} import {function}\n", f", {function}()"
    return (
        f"import torch\n\nfrom adadfq_core import load_quantized\n{imported}\n"
        f"network = load_quantized({name!r}{architecture})\n"
        f"{normalisation(images, 'torch')}\n"
        "classes = network(images).argmax(1)"
    )


def program_code(name: str, images: Images) -> str:
    """Classify in PyTorch without this project."""
    return (
        "import torch\n\n"
        f"network = torch.export.load({name!r}).module()\n"
        f"{normalisation(images, 'torch')}\n"
        "classes = network(images).argmax(1)"
    )


def eval_command(name: str, data: str) -> str:
    """Measure a file again from a shell, on the labelled images `data` ("" for none known)."""
    given = shlex.quote(data) if data else "DATA"
    return f"python -m adadfq_core eval {shlex.quote(name)} --data {given}"


def export_command(run_id: str, iteration: int) -> str:
    """Take Q of a run's checkpoint away whose network is code of its user's own."""
    return (
        f"python -m adadfq_core export {run_id} --iteration {iteration} --format onnx "
        f"--out {run_id}-{iteration}.onnx --own-code"
    )
