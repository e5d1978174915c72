"""The perceptual study: made from fakes, asked on a page, analysed, rehearsed."""
