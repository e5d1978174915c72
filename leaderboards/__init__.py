"""Run records, and the tables rebuilt from them."""
