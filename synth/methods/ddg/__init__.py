"""Dance Dance Generation: the methods, their networks, and the body parts that they move."""

from dancebench.synth.methods.ddg.method import Ddg, DdgBaseline, DdgConfig

__all__ = ["Ddg", "DdgBaseline", "DdgConfig"]
