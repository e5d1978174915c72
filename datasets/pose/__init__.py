"""Keypoints of a person: extraction, stick figures, distance, global pose normalisation, face crop."""
