"""The commands of `python -m adadfq_core`."""
