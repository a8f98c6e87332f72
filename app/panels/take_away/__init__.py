"""The parts of the Take away page."""
