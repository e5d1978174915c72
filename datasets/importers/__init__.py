"""Layouts of other projects that `bench data import` reads, one module each."""
