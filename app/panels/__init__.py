"""Live panels of a page."""
