"""Leak audit of a manifest: its rows in; nothing, or an error that names the leaking pairs of videos, out.

Splits are disjoint by person: whoever is seen in one split is in no other, and whoever drives or is seen in the
holdout does neither elsewhere; training and validation may share people who only drive. No file is in two splits,
no recording whose motion drives in the holdout drives elsewhere, and no frames of two splits are near-duplicates.
All clips have one size, since every clip that a detector sees is written from frames of one size.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dancebench.core.errors import BenchError
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.datasets.corpora.manifest import Split, VideoRow
from dancebench.datasets.video.clips import Frame, VideoReader
from dancebench.detect.inputs.near_duplicates import FRAMES, Fingerprint, compute_fingerprint, find_near_duplicates
from dancebench.detect.inputs.pairs import choose_pair_starts
from dancebench.detect.inputs.video_set import VideoSet

_SHOWN = 3
_BLACK = 24
"""Grey levels up to which a pixel may be of a border; compression lifts some of them a little."""


class LeakError(BenchError):
    """Two splits share what they may not."""


_HOLDOUT = "holdout"


def audit_leaks(rows: Sequence[VideoRow]) -> None:
    """Refuse a manifest that leaks people, files or driving motions between splits, according to its rows.

    Raises:
        BenchError: A person, a file, or a recording that drives is in two splits that may not share it;
            the message names the pairs of videos.
    """
    for leaks, hint in (
        (_find_shared_people(rows), "Give each person one split."),
        (_find_shared_groups(rows), "Give each group of clips one split."),
        (_find_shared_files(rows), "Give each video one split."),
        (_find_shared_motions(rows), "Let other recordings drive the held-out people."),
    ):
        _raise_leaks(leaks, hint)


def find_leaks(rows: Sequence[VideoRow]) -> list[str]:
    """What `audit_leaks` would refuse: a line for each person, group, file or motion that is in two splits."""
    found: dict[str, list[str]] = {}
    for find in (_find_shared_people, _find_shared_groups, _find_shared_files, _find_shared_motions):
        for leak in find(rows):
            found.setdefault(leak.partition(" is in ")[0], []).append(leak)
    return [f"{leaks[0]}{f', and {len(leaks) - 1} more' if len(leaks) > 1 else ''}" for leaks in found.values()]


def _find_shared_people(rows: Sequence[VideoRow]) -> list[str]:
    """People who are in two splits that may not share them, each with a pair of videos."""
    people = []
    for row in rows:
        drives_only: dict[str, bool] = {}
        for person in row.people:
            drives_only[person.id] = drives_only.get(person.id, True) and person.role == "driver"
        people += [(person, row, only) for person, only in drives_only.items()]
    return _find_shared("The person '{}'", people)


def _find_shared_groups(rows: Sequence[VideoRow]) -> list[str]:
    """Groups of clips whose people nobody knows."""
    groups = [(row.group, row, False) for row in rows if row.group is not None and not row.identified]
    return _find_shared("The clip group '{}'", groups)


def _find_shared_files(rows: Sequence[VideoRow]) -> list[str]:
    files = [(row.sha256, row, False) for row in rows if row.sha256 is not None]
    return _find_shared("The file with sha256 {:.12}…", files)


def _find_shared_motions(rows: Sequence[VideoRow]) -> list[str]:
    motions = [(row.motion_sha256, row, True) for row in rows if row.motion_sha256 is not None]
    return _find_shared("The motion with sha256 {:.12}…", motions)


def describe_shared_ancestors(rows: Sequence[VideoRow]) -> list[str]:
    """What marks a run whose training fakes and held-out fakes started from one ancestor: a sentence, or none.

    Its traces are in both, so that a detector may know the ancestor and not the method. Nothing leaks of people: the
    run is marked, not refused.
    """
    found = [(row.split, row.ancestor) for row in rows if row.ancestor is not None]
    held_out = {ancestor for split, ancestor in found if split == _HOLDOUT}
    shared = sorted({ancestor for split, ancestor in found if split == "train"} & held_out)
    named = ", ".join(f"{ancestor:.12}" for ancestor in shared)
    return [f"warm start: training and held-out fakes share an ancestor ({named})"] if shared else []


def audit_frames(videos: VideoSet, report: ReportProgress = ignore_progress) -> None:
    """Refuse a manifest in which clips of two splits show the same recording, whatever their rows say.

    Args:
        videos: Those of the manifest. One that cannot be read is skipped: training refuses it, scoring reports it.
        report: Progress.

    Raises:
        BenchError: Frames are near-duplicates across splits; the message names the pairs of videos.
    """
    audited: list[tuple[VideoRow, Fingerprint]] = []
    for done, row in enumerate(videos):
        report("comparing frames across splits", done, len(videos))
        if row.split is None:
            continue
        try:
            audited.append((row, _read_fingerprint(videos.path(row), bordered=row.view is not None)))
        except BenchError:
            continue
    report("comparing frames across splits", len(videos), len(videos))
    duplicates = find_near_duplicates([each for _, each in audited], [str(row.split) for row, _ in audited])
    leaks = [
        f"{_describe_pair(audited[pair.first][0], audited[pair.second][0])} show near-duplicate frames "
        f"({pair.bits} of 64 bits differ, correlation {pair.correlation:.3f})"
        for pair in duplicates
    ]
    _raise_leaks(leaks, "Leave one of the copies out, or give both one split.")


def require_one_size(rows: Sequence[VideoRow]) -> tuple[int, int]:
    """Return the (height, width) that all clips have.

    Raises:
        BenchError: There are none, or they have several sizes.
    """
    sizes = sorted({(row.height, row.width) for row in rows if row.height is not None and row.width is not None})
    if len(sizes) != 1:
        found = ", ".join(f"{height}x{width}" for height, width in sizes) or "none"
        raise BenchError(
            f"All clips of a manifest must have one size; found: {found} (height x width).",
            hint="Prepare all recordings to the same size.",
        )
    return sizes[0]


def _read_fingerprint(path: Path, *, bordered: bool) -> Fingerprint:
    """The fingerprint of a clip; of a view, which black may surround, of what it shows."""
    with VideoReader(path) as reader:
        frames = reader.read(choose_pair_starts(len(reader), FRAMES, window=1).tolist())
    return compute_fingerprint(list(_strip_borders(frames) if bordered else frames))


def _strip_borders(frames: Frame) -> Frame:
    """Frames uint8 (N, H, W, 3) without the rows and columns at their edges that are black in all of them.

    Any two pictures with the same black borders are alike, whatever they show.
    """
    brightest = frames.max(axis=(0, 3))  # (H, W)
    rows = np.flatnonzero(brightest.max(axis=1) > _BLACK)
    columns = np.flatnonzero(brightest.max(axis=0) > _BLACK)
    if len(rows) == 0:
        return frames
    return frames[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _find_shared(what: str, entries: Sequence[tuple[str, VideoRow, bool]]) -> list[str]:
    """Keys that occur in two splits that may not share them; entries say whether each only drives there."""
    seen: dict[str, dict[tuple[Split, bool], VideoRow]] = {}  # key -> (split, only drives) -> first row
    leaks = []
    for key, row, only_drives in entries:
        if row.split is None:
            continue
        occurrences = seen.setdefault(key, {})
        for (split, only_drove), first in occurrences.items():
            may_share = only_drove and only_drives and _HOLDOUT not in (split, row.split)
            if split != row.split and not may_share:
                leaks.append(f"{what.format(key)} is in {_describe_pair(first, row)}")
                break
        occurrences.setdefault((row.split, only_drives), row)
    return leaks


def _describe_pair(first: VideoRow, second: VideoRow) -> str:
    return f"{first.video_id} ({first.split}) and {second.video_id} ({second.split})"


def _raise_leaks(leaks: Sequence[str], hint: str) -> None:
    if leaks:
        more = f" and {len(leaks) - _SHOWN} more" if len(leaks) > _SHOWN else ""
        raise LeakError(f"Leak between splits: {'; '.join(leaks[:_SHOWN])}{more}.", hint=hint)
