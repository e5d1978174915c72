"""`typicality`: how typical a clip is of a population of real recordings; no fake is needed to learn it."""

from dancebench.detect.detectors.typicality import detector

__all__ = ["detector"]
