"""Floor 2: pose to person video: networks, losses, training and one module per method."""
