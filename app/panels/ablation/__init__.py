"""The parts of the Ablation page."""
