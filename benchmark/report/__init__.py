"""What `bench leaderboard` writes beside the tables: the site with what a workspace shows of its runs."""
