"""The demo dancers: procedurally drawn people, and the catalogue of demo datasets."""
