"""The integer check: an exported network computed again with integers alone, in numpy."""
