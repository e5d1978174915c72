"""Metrics of a fake clip against the real one: images, poses, flicker and motion, one row per frame."""
