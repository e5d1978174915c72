"""Pairs of a real folder and a fake folder: clips of one name, and whether the two can be compared.

A clip's name is its path within its folder without the suffix: `anna/walk.mp4` and `anna/walk.avi` are a pair. Where
all real clips lie in folders, the first folder is the person that they show; else nobody is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dancebench.benchmark.casework.search import VIDEO_SUFFIXES
from dancebench.benchmark.metrics.frechet.distance import ClipFiles
from dancebench.core.errors import BenchError, replace_undecodable
from dancebench.datasets.pose.face_crop import MIN_SIDE
from dancebench.datasets.video.decoding import inspect

SAME_RATE: Final = 1.005
"""Factor within which two rates are the same: 29.97 and 30 are."""


@dataclass(frozen=True)
class Folder:
    """The clips of a folder, and what else lies in it.

    Attributes:
        clips: By name, in order.
        others: Files that no suffix marks as videos.
    """

    path: Path
    clips: dict[str, Path]
    others: tuple[str, ...]

    @property
    def people(self) -> dict[str, str] | None:
        """The person of each clip; None where a clip does not lie in a folder."""
        found = {name: name.partition("/") for name in self.clips}
        return {name: parts[0] for name, parts in found.items()} if all(parts[1] for parts in found.values()) else None


def list_clips(path: Path) -> Folder:
    """The clips of a folder and of the folders in it.

    Raises:
        BenchError: It is no folder or holds no clip, or two clips have one name.
    """
    if not path.is_dir():
        raise BenchError(f"{path} is not a folder.", hint="Name a folder of clips.")
    clips: dict[str, Path] = {}
    others = []
    for file in sorted(path.rglob("*")):
        relative = file.relative_to(path)
        if not file.is_file() or any(part.startswith(".") for part in relative.parts):
            continue
        if file.suffix.lower() not in VIDEO_SUFFIXES:
            others.append(replace_undecodable(relative.as_posix()))
            continue
        name = replace_undecodable(relative.with_suffix("").as_posix())
        if name in clips:
            raise BenchError(
                f"{path} holds two clips of the name '{name}': {clips[name].name} and {file.name}.",
                hint="Clips are paired by their names without suffix: rename or remove one.",
            )
        clips[name] = file
    if not clips:
        raise BenchError(
            f"{path} holds no clip.", hint="Clips are video files (mp4, avi, mov, mkv, webm …), in folders too."
        )
    return Folder(path, clips, tuple(others))


def compare_clips(fake: Path, real: Path) -> ClipFiles:
    """Open both clips and check that they can be compared frame by frame.

    Raises:
        BenchError: One of them cannot be decoded, they are too small, or differ in frames, rate or size.
    """
    found, theirs = inspect(real), inspect(fake).info
    size = found.info.height, found.info.width
    problems = describe_differences(
        (theirs.n_frames, theirs.fps, (theirs.height, theirs.width)), (found.info.n_frames, found.info.fps, size)
    )
    if problems:
        raise BenchError(f"the fake has {'; '.join(problems)}.", hint="It must show the same frames at the same size.")
    if min(size) < MIN_SIDE:
        raise BenchError(
            "the clips have {}x{} pixels.".format(*size), hint=f"Metrics need {MIN_SIDE} pixels on each side."
        )
    return ClipFiles(fake, real, found.info.n_frames, found.info.fps, size, tuple(found.timeline.breaks))


def describe_differences(
    has: tuple[int, float | None, tuple[int, int]], wanted: tuple[int, float, tuple[int, int]]
) -> list[str]:
    """What of (frames, frames per second, (height, width)) differs, in words; a rate of None is any rate."""
    frames, rate, size = has
    n_frames, fps, expected = wanted
    problems = []
    if frames != n_frames:
        problems.append(f"{frames} frames, not {n_frames}")
    if rate is not None and max(rate, fps) > min(rate, fps) * SAME_RATE:
        problems.append(f"{rate:.6g} frames per second, not {fps:.6g}")
    if size != expected:
        problems.append("{}x{} pixels (height x width), not {}x{}".format(*size, *expected))
    return problems
