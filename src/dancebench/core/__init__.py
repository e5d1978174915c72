"""The lowest layer (floor 0): what every other package needs and nothing more. It imports none of the others."""
