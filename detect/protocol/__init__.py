"""The holdout protocol, the detector card, and submitted scores of other systems."""
