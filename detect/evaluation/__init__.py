"""Evaluation of detectors: score tables, metrics, aggregation, calibration, negative controls, robustness, plots."""
