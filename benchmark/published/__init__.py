"""Published results: their tables in documents, the list of their runs, what differs when they are repeated."""
