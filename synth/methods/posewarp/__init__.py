"""PoseWarp: the method, its networks, and the limbs that it cuts a person into."""

from dancebench.synth.methods.posewarp.method import PoseWarp, PoseWarpConfig

__all__ = ["PoseWarp", "PoseWarpConfig"]
