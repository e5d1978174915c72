"""Metrics of a fake clip against the real one: pictures, poses, flicker and motion, one row per frame."""
