"""Model cards of detectors, from their run records alone."""
