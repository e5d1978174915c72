"""Videos that detectors are trained and tested on: manifests, and outside corpora that are read where they lie."""
