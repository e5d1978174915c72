"""Files that carry a frame's number in their name, as frame000123.png or 000123_keypoints.json do.

The number is the last group of digits in the stem. Frames are consecutive where their numbers are one stride apart;
any other step is a gap in time, and no pair of frames may straddle it. The stride is the most common step: 1, or 4
where a recording of 120 frames per second was thinned to 30 and its frames kept their numbers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from dancebench.core.errors import BenchError
from dancebench.datasets.video.frames import IMAGE_SUFFIXES, FolderSource, open_source

_DIGITS = re.compile(r"[0-9]+")


def list_numbered_files(
    folder: Path, suffixes: Collection[str] = IMAGE_SUFFIXES, *, ending: str = ""
) -> dict[int, Path]:
    """The files of a folder by the number in their names, ascending.

    Args:
        folder: Folder to list; hidden files are skipped.
        suffixes: File suffixes to accept, in lower case.
        ending: Text after the number, at the end of their stems.

    Raises:
        BenchError: No folder, no such file in it, a name without a number, or two with the same.
    """
    wanted = " or ".join(f"*{ending}{suffix}" for suffix in sorted(suffixes))
    if not folder.is_dir():
        raise BenchError(f"{folder} is not a folder.", hint=f"Expected a folder of {wanted}.")
    files: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in suffixes or not path.stem.endswith(ending) or path.name.startswith("."):
            continue
        digits = _DIGITS.findall(path.stem.removesuffix(ending))
        if not digits:
            raise BenchError(f"{path} has no number in its name.", hint="Number the frames in their names.")
        number = int(digits[-1])
        if number in files:
            raise BenchError(
                f"{path} and {files[number].name} carry the same frame number, {number}.",
                hint="The last group of digits in a name is the frame's number; keep one file per number.",
            )
        files[number] = path
    if not files:
        raise BenchError(f"{folder} holds no {wanted}.", hint="Check the folder and the --layout.")
    return dict(sorted(files.items()))


def find_stride(numbers: Sequence[int]) -> int:
    """The most common step between `numbers` (ascending), the smallest of several.

    1 where every step is another one: such frames follow each other only where their numbers do.
    """
    steps = Counter(b - a for a, b in pairwise(numbers))
    if not steps or (len(steps) > 1 and max(steps.values()) == 1):
        return 1
    return min(steps, key=lambda step: (-steps[step], step))


def split_segments(numbers: Sequence[int]) -> list[range]:
    """Segments: positions in `numbers` (ascending) of the maximal ranges whose numbers are one stride apart."""
    stride = find_stride(numbers)
    cuts = [k for k in range(1, len(numbers)) if numbers[k] != numbers[k - 1] + stride]
    return [range(a, b) for a, b in zip([0, *cuts], [*cuts, len(numbers)], strict=True)]


def open_images(images: dict[int, Path], fps: float) -> FolderSource:
    """The images of one folder, all that `list_numbered_files` found in it, in the order of their numbers.

    Raises:
        BenchError: As `open_source`.
    """
    paths = tuple(images.values())
    source = open_source(paths[0].parent, fps=fps)
    if not isinstance(source, FolderSource):
        raise TypeError(f"{paths[0].parent} is not a folder of images")
    return replace(source, images=paths)


def select_images(source: FolderSource, where: range) -> FolderSource:
    """The images at consecutive positions of a folder."""
    return replace(source, images=source.images[where.start : where.stop], n_frames=len(where))
