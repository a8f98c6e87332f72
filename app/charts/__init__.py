"""Pure charts: data in, figure out."""
