"""The commands of `bench study`."""
