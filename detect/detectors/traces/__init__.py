"""`traces`: what the last stages of generators leave in texture, learned from reals and what these become."""

from dancebench.detect.detectors.traces import detector

__all__ = ["detector"]
