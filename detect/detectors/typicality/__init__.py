"""`typicality`: how typical a clip is of a population of real recordings; no fake is needed to learn it."""

from dancebench.detect.detectors.typicality import detector
from dancebench.detect.detectors.typicality._looks import Look, Part

__all__ = ["Look", "Part", "detector"]
