"""Taking Q away: files of a quantized network that run elsewhere, and what shows they are right."""
