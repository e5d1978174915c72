"""Pose to person video: networks, losses, training and one module per method."""
