"""dancebench: a forensics-first benchmark of synthesized videos of people."""

__version__ = "0.1.0"
