"""People in the data: their records, permissions, preparation, datasets and real clips."""
