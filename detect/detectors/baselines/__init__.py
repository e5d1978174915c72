"""Published detectors of single frames, written anew: a fixed transform of the picture, and a small network on it."""

from dancebench.detect.detectors.baselines import npr, spsl, srm

__all__ = ["npr", "spsl", "srm"]
