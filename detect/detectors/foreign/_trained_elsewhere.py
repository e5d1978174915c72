"""What detectors from elsewhere share: they are never trained here, and what they return is checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dancebench.core.errors import BenchError
from dancebench.core.progress import ReportProgress
from dancebench.detect.detectors.base import Detector, Logits
from dancebench.detect.inputs.pairs import PairPool


class ForeignDetector(Detector):
    """A detector that was trained elsewhere; which people it has seen is not known here."""

    LEARNS: ClassVar[bool] = False

    def fit(self, pool: PairPool, state: Path, report: ReportProgress) -> None:
        raise ValueError("a detector from elsewhere is not trained here")


def check_logits(values: Any, count: int, source: str) -> Logits:
    """Convert what foreign code returned into logits float32 (count,).

    Args:
        values: Anything that NumPy makes an array of.
        count: Number of windows that it was given.
        source: What returned them, for messages.

    Raises:
        BenchError: It is not one finite number for each window.
    """
    hint = f"Each of the {count} windows needs one finite number; higher = more likely fake."
    try:
        logits = np.asarray(values, np.float32)
    except (TypeError, ValueError) as error:
        raise BenchError(f"{source} returned no numbers.", hint=hint) from error
    if logits.shape != (count,):
        raise BenchError(f"{source} returned an array of shape {logits.shape}.", hint=hint)
    if not np.isfinite(logits).all():
        raise BenchError(f"{source} returned values that are not finite.", hint=hint)
    return logits
