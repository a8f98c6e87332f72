"""Engine of AdaDFQ Playground: adaptive data-free quantization without any user interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adadfq_core.export.torch_file import load_quantized

__all__ = ["load_quantized"]


def __getattr__(name: str) -> Any:
    # Only when asked for: importing PyTorch takes a shell's command over a second.
    if name == "load_quantized":
        from adadfq_core.export.torch_file import load_quantized

        return load_quantized
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
