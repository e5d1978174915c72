"""Which rows of a leaderboard are told apart: paired differences on the same videos, with the person as the unit."""
