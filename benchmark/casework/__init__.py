"""Outside videos: scoring in worker processes, the case page and the tables of `bench score`."""
