"""Files that leave the page."""
