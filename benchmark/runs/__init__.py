"""Benchmark runs: what ties the stages together, and the records that they leave."""
