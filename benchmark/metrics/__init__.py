"""Image metrics of a fake clip against the real one, frame by frame, in three regions."""
