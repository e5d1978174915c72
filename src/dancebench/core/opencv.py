"""OpenCV's `cv2`, or an error that says what is missing.

`from dancebench.core.opencv import cv2` instead of `import cv2`: on slim Linux images the wheel installs and
then fails to import because system libraries are missing. OpenCV uses one thread: work is spread over processes.
"""

from __future__ import annotations

import multiprocessing
import sys

from dancebench.core.environment import describe_opencv_conflict, suggest_opencv
from dancebench.core.errors import BenchError

try:
    import cv2
except ImportError as error:
    library = ".so" in str(error)
    raise BenchError(
        f"OpenCV does not load: {error}.",
        hint="apt-get install libgl1 libglib2.0-0 (Debian, Ubuntu) brings the missing system libraries."
        if library
        else f"pip install {suggest_opencv()}, and no other OpenCV package beside it.",
    ) from error

cv2.setNumThreads(1)
if multiprocessing.parent_process() is None:  # worker processes stay silent
    sys.stderr.writelines(f"warning: {cause} {hint}\n" for cause, hint in describe_opencv_conflict())

__all__ = ["cv2"]
