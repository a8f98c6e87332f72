"""What a network costs before and after quantization: bytes of its weights, operations an image."""

from __future__ import annotations

from dataclasses import dataclass

FLOAT_BITS = 32


@dataclass(frozen=True)
class LayerCost:
    """One layer with weights.

    Attributes:
        name: the layer's own.
        weights: how many.
        weight_bits: of each.
        input_bits: of each input value: those of the activations it reads, or `FLOAT_BITS`.
        operations: multiply-accumulates an image.
    """

    name: str
    weights: int
    weight_bits: int
    input_bits: int
    operations: int


@dataclass(frozen=True)
class Cost:
    """All layers with weights, and the parameters that stay in float.

    Attributes:
        others: parameters that stay in float, as biases, steps and BatchNorm do: 4 bytes each.
    """

    layers: tuple[LayerCost, ...]
    others: int

    def _bytes(self, *bits: int) -> int:
        coded = sum(
            (layer.weights * b + 7) // 8 for layer, b in zip(self.layers, bits, strict=True)
        )
        return coded + 4 * self.others

    @property
    def float_bytes(self) -> int:
        """With weights of 32 bits."""
        return self._bytes(*[FLOAT_BITS] * len(self.layers))

    @property
    def byte_bytes(self) -> int:
        """With a byte a weight: what a runtime holds that knows no narrower type."""
        return self._bytes(*[8] * len(self.layers))

    @property
    def packed_bytes(self) -> int:
        """With weights at their true bits, as the packed file holds them."""
        return self._bytes(*[layer.weight_bits for layer in self.layers])

    @property
    def operations(self) -> int:
        """Multiply-accumulates an image."""
        return sum(layer.operations for layer in self.layers)

    @property
    def float_bit_operations(self) -> int:
        """Operations times the bits of both factors, all in float."""
        return self.operations * FLOAT_BITS * FLOAT_BITS

    @property
    def bit_operations(self) -> int:
        """Operations times the bits of both factors, as quantized."""
        return sum(layer.operations * layer.weight_bits * layer.input_bits for layer in self.layers)
