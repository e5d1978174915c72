"""Layouts of outside corpora: one module each."""
