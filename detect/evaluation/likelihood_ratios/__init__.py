"""Likelihood ratios of a calibration: where they end, how uncertain they are, and how well they held."""
