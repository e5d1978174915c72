"""Layouts that any corpus may be brought into: a table, folders of images, the lists of DeepfakeBench."""

from dancebench.datasets.corpora.layouts.generic import csv_table, deepfakebench, frames

__all__ = ["csv_table", "deepfakebench", "frames"]
