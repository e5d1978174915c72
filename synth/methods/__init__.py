"""One module or package per method; each registers itself."""
