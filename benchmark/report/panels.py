"""Panels for people to look at: images in, side by side under their labels, out. Exports, never evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from dancebench.core.opencv import cv2
from dancebench.datasets.video.upright import Frame

SYNTHETIC: Final = {"comment": "Synthetic: made by dancebench."}
"""Metadata of every exported video."""
HEIGHT: Final = 256
"""Height of each panel in pixels, whatever the synthesis size."""
_BAND: Final = 24
_TEXT: Final = (235, 235, 235)


def join_panels(panels: Sequence[Frame], labels: Sequence[str], height: int = HEIGHT) -> Frame:
    """Join images uint8 [H, W, 3] side by side, each under its label and `height` pixels high."""
    return np.hstack([_make_panel(image, label, height) for image, label in zip(panels, labels, strict=True)])


def _make_panel(image: Frame, label: str, height: int) -> Frame:
    """The image at the panel height under a band with its label; both sides even, as the encoder requires."""
    width = round(image.shape[1] * height / image.shape[0] / 2) * 2
    shown = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
    band = np.zeros((_BAND, width, 3), np.uint8)
    scale = 0.5
    written, _ = cv2.getTextSize(label, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    scale *= min(1.0, (width - 8) / max(1, written[0]))  # a long label is written smaller, not cut off
    cv2.putText(band, label, (4, _BAND - 7), cv2.FONT_HERSHEY_SIMPLEX, scale, _TEXT, 1, cv2.LINE_AA)
    return np.vstack([band, shown])
