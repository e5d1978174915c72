"""What detectors see: frame pairs of a manifest's videos, perturbations, audits for leaks."""
