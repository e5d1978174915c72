"""Scoring videos from outside: preparation, likelihood ratio, uncertainty, content credentials, verification."""
