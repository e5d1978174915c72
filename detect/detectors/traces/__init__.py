"""`traces`: what the last stages of generators leave in texture, learned from reals and the same through such stages."""

from dancebench.detect.detectors.traces import detector

__all__ = ["detector"]
