"""One module per detector; the registry finds them here."""
