"""The zero-sum game between the generator G and the quantized network Q (paper, section 3)."""
