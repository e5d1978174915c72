"""Detectors from elsewhere: a Python factory, an ONNX file; and our own networks as ONNX files for elsewhere."""

from dancebench.detect.detectors.foreign import onnx_file

__all__ = ["onnx_file"]
