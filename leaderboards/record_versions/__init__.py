"""Run records of earlier schema versions: what of them is read in which way."""
