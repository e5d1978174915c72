"""Video files: decoding, random access, encoding, resizing and resampling of frames."""
