"""Ablation: designs over settings, sweeps that survive their process, result tables."""
