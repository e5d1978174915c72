"""Floor 2: run records, and the tables rebuilt from them."""
