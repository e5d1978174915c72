"""Declared picture sizes: the largest that is read, checked by the header alone before memory is taken for a picture.

A file of a kilobyte may declare pictures of gigabytes. No camera's video comes near the limits: the largest pictures
of H.264, HEVC and AV1 at level 6.2 have 36 megapixels.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Final

import PIL.Image

from dancebench.core.errors import BenchError

MAX_SIDE: Final = 16_384
"""Pixels of the longer side."""
MAX_PIXELS: Final = 8_192 * 8_192
"""Height times width: a picture takes about 15 bytes a pixel while it is converted."""
MAX_CLIP_SIDE: Final = 4_096
"""Pixels of the longer side of a prepared clip, and of the frames that a detector sees; the paper's have 1,024."""
_IMAGE_FORMATS: Final = ("PNG", "JPEG", "BMP", "WEBP")


class TooLargeError(BenchError):
    """The pictures of a file are larger than any that is read."""


def check_declared_size(path: Path, height: int, width: int) -> None:
    """Refuse pictures that are too large to be read.

    Raises:
        TooLargeError: A side is longer than `MAX_SIDE`, or there are more than `MAX_PIXELS`.
    """
    if max(height, width) > MAX_SIDE or height * width > MAX_PIXELS:
        raise _too_large_error(path, f"{height}x{width} (height x width)")


def check_image(path: Path, data: bytes) -> None:
    """Refuse by its header an image that is too large, or none of the formats that are read.

    Args:
        path: The image, for messages.
        data: Its content; what the suffix says is not asked.

    Raises:
        BenchError: As `check_declared_size`, or it cannot be decoded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of sizes below our limit
        try:
            with PIL.Image.open(io.BytesIO(data), formats=_IMAGE_FORMATS) as image:
                width, height = image.size
        except PIL.Image.DecompressionBombError as error:  # Pillow's own limit, beyond ours
            raise _too_large_error(path, f"more than {PIL.Image.MAX_IMAGE_PIXELS:,} pixels") from error
        except (OSError, ValueError, SyntaxError) as error:
            raise undecodable_image_error(path) from error
    check_declared_size(path, height, width)


def undecodable_image_error(path: Path) -> BenchError:
    """What is said of an image that cannot be decoded."""
    return BenchError(f"{path} cannot be decoded as an image.", hint="Replace it or remove it.")


def _too_large_error(path: Path, declared: str) -> TooLargeError:
    return TooLargeError(
        f"{path} declares pictures of {declared}; up to {MAX_SIDE:,} pixels a side and {MAX_PIXELS:,} in all are read.",
        hint="Scale it down. If it should be small, its header is damaged, or made to exhaust memory.",
    )
