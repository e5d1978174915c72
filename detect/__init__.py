"""Floor 2: frame pairs to real or synthesized: detectors, aggregation, evaluation, scoring."""
