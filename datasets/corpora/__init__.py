"""Videos that detectors are trained and tested on, as manifests."""
