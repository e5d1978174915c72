"""How well a detector does: score tables, metrics, aggregation, calibration, negative controls, plots."""
