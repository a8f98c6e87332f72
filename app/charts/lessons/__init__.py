"""Figures of the lessons' touchable models; their words are given to them."""
