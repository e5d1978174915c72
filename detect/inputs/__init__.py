"""Inputs of detectors: frame pairs of a manifest's videos, perturbations, leak audits, near-duplicates."""
