"""Fréchet distances between sets of fakes and reals (FID, FID-VID, FVD), by networks whose weights a user names."""
