"""Fake quantization, ranges, and turning a float network into a quantized one."""

from adadfq_core.quant.convert import quantize
from adadfq_core.quant.fake_quant import fake_quantize

__all__ = ["fake_quantize", "quantize"]
