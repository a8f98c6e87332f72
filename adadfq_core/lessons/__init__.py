"""What the lessons' touchable models compute, with the engine's own functions."""
