"""Deep reading of a corpus: every file is hashed and decoded, and its frames are compared across groups.

It takes hours for a large corpus and goes on where it was interrupted: what was read of a file is kept by its size and
time of change.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_file
from dancebench.core.progress import ReportProgress
from dancebench.datasets.corpora.file_facts import FileFacts, FileFactsRecord
from dancebench.datasets.corpora.manifest import Crop, VideoRow
from dancebench.datasets.video.frames import FrameSource, open_source
from dancebench.datasets.video.upright import Frame
from dancebench.detect.inputs.near_duplicates import (
    FRAMES,
    Fingerprint,
    compute_fingerprint,
    find_near_duplicates,
    list_candidates,
    read_hashes,
    write_hashes,
)
from dancebench.detect.inputs.pairs import choose_pair_starts

_SAVE_EVERY: Final = 60.0
"""Seconds between two writings of what was read."""


def read_deeply(
    root: Path, rows: Sequence[VideoRow], files: Mapping[str, FileFacts], cache: Path, report: ReportProgress
) -> dict[str, FileFacts]:
    """Hash and decode all files that were not yet.

    Args:
        root: What the rows' paths are relative to.
        rows: The videos.
        files: What was read of their files, by path.
        cache: `files.json`, which is written now and then.
        report: Progress.

    Returns:
        By path; a file that cannot be decoded has a reason.
    """
    found = dict(files)
    parts: dict[str, list[VideoRow]] = {}
    for row in rows:
        parts.setdefault(row.path, []).append(row)
    paths = sorted(parts)
    saved = time.monotonic()
    for done, path in enumerate(paths):
        report("hashing and decoding", done, len(paths))
        if not {_name_part(row.crop) for row in parts[path]} <= found[path].fingerprints.keys():
            found[path] = _read_file(root / path, found[path], [row.crop for row in parts[path]])
        if time.monotonic() - saved > _SAVE_EVERY:
            FileFactsRecord(files=found).save(cache)
            saved = time.monotonic()
    report("hashing and decoding", len(paths), len(paths))
    return found


def list_near_duplicates(root: Path, rows: Sequence[VideoRow], files: Mapping[str, FileFacts]) -> list[str]:
    """Videos of different groups that show one recording, a line for each pair.

    Hashes of all frames are compared; the few videos whose hashes are close are read once more to be sure.

    Args:
        root: What the rows' paths are relative to.
        rows: The videos, with their groups.
        files: What `read_deeply` found.
    """
    known = {row.video_id: files[row.path].fingerprints.get(_name_part(row.crop), ()) for row in rows}
    shown = [row for row in rows if known[row.video_id]]
    hashes = [read_hashes(known[row.video_id]) for row in shown]
    close = [shown[index] for index in list_candidates(hashes, [str(row.group) for row in shown])]
    fingerprints = [_take_fingerprints(open_source(root / row.path), [row.crop])[_name_part(row.crop)] for row in close]
    return [
        f"{close[pair.first].video_id} and {close[pair.second].video_id} show near-duplicate frames "
        f"({pair.bits} of 64 bits differ, correlation {pair.correlation:.3f})"
        for pair in find_near_duplicates(fingerprints, [str(row.group) for row in close])
    ]


def list_changed(rows: Sequence[VideoRow]) -> list[str]:
    """Videos whose bytes are not those that their list names, in words."""
    return [
        f"{row.video_id}: its SHA-256 is {row.sha256[:12]}…, the list says {listed[:12]}…"
        for row in rows
        if (listed := row.attributes.get("listed_sha256")) and row.sha256 is not None and row.sha256 != listed
    ]


def _read_file(path: Path, facts: FileFacts, crops: Sequence[Crop | None]) -> FileFacts:
    try:
        source = open_source(path)
        fingerprints = {part: write_hashes(found) for part, found in _take_fingerprints(source, crops).items()}
    except BenchError as error:
        reason = error.message.replace(f"{path} ", "", 1)
        sha256 = sha256_file(path) if path.is_file() else None
        nothing: dict[str, tuple[str, ...]] = {_name_part(crop): () for crop in crops}
        return facts.model_copy(update={"reason": reason, "sha256": sha256, "fingerprints": nothing})
    measured = {"width": source.width, "height": source.height, "n_frames": source.n_frames}
    rate = {} if path.is_dir() else {"fps": source.fps}
    return facts.model_copy(
        update={
            "header": facts.header | measured | rate,
            "sha256": source.sha256,
            "fingerprints": fingerprints,
            "decoded": True,
        }
    )


def _take_fingerprints(source: FrameSource, crops: Sequence[Crop | None]) -> dict[str, Fingerprint]:
    """Of a few evenly placed frames, for each part of the picture."""
    wanted = set(choose_pair_starts(source.n_frames, FRAMES, window=1).tolist())
    frames = [frame for index, (_, frame) in enumerate(source.frames()) if index in wanted]
    return {_name_part(crop): compute_fingerprint([_cut_out(frame, crop) for frame in frames]) for crop in crops}


def _cut_out(frame: Frame, crop: Crop | None) -> Frame:
    """The part of a frame uint8 (H, W, 3) that is the video; the whole frame where the part lies outside of it."""
    if crop is None or crop.top >= frame.shape[0] or crop.left >= frame.shape[1]:
        return frame
    return frame[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]


def _name_part(crop: Crop | None) -> str:
    return "whole" if crop is None else f"{crop.left},{crop.top},{crop.width},{crop.height}"
