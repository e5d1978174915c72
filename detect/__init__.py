"""Frame pairs to real or synthesized: detectors, aggregation, evaluation, scoring."""
