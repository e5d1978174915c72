"""Benchmark runs: the code that connects the stages, and the records that they write."""
