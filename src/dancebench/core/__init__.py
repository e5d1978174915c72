"""Floor 0: what every other folder needs and nothing more. It imports none of the others."""
