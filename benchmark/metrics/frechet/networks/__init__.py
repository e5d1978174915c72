"""Feature networks, one module a family."""
