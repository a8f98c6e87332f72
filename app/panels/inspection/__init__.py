"""Panels of the Inspect page."""
