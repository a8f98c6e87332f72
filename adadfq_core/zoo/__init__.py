"""Named full-precision networks P and data sets."""
