"""What every other package needs and nothing more. It imports none of the others."""
