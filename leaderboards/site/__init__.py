"""The report: run records to a static site that needs no server and no other file than those beside it."""
