"""`bench score --reference`: a folder of known reals in; what they are worth as a reference, and scores by it, out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dancebench.benchmark.casework.scoring import ScoringSetup, score_files
from dancebench.benchmark.casework.search import find_files
from dancebench.core.errors import BenchError
from dancebench.core.progress import ReportProgress
from dancebench.detect.casework.file_names import PassedOver, make_passed_over
from dancebench.detect.casework.reference import (
    ReferenceFacts,
    ReferenceVideo,
    describe_reference,
    load_items,
    recalibrate,
    select_recordings,
)
from dancebench.detect.casework.score import ScoredVideo, apply_reference
from dancebench.detect.protocol.card import CARD, DetectorCard


@dataclass(frozen=True)
class ReferenceFolder:
    """The videos of a folder of known reals, scored.

    Attributes:
        folder: Where they lie.
        videos: Those with a score.
        left_out: What else lies there, and why it does not count.
    """

    folder: Path
    videos: tuple[ReferenceVideo, ...]
    left_out: tuple[PassedOver, ...]


def score_reference(folder: Path, how: ScoringSetup, workers: int, report: ReportProgress) -> ReferenceFolder:
    """Score the known reals in a folder.

    Raises:
        BenchError: It is no folder, or the detector does not hold the scores of its calibration.
    """
    if not folder.is_dir():
        raise BenchError(f"{folder} is not a folder.", hint="Name a folder with recordings that are known to be real.")
    load_items(how.folder)  # refused before anything is scored
    found = find_files([str(folder)])
    paths, left_out = list(found.paths), list(found.passed_over)
    videos = []
    setup = replace(how, pictures=False, fingerprints=True)
    scored = score_files(paths, setup, searched=found.searched, workers=workers, report=report) if paths else ()
    for index, each in sorted(scored, key=lambda entry: entry[0]):
        if isinstance(each, PassedOver):
            left_out.append(each)
        elif (video := _make_video(paths[index], each)) is None:
            left_out.append(make_passed_over(paths[index], each.record.reason or "it has no score"))
        else:
            videos.append(video)
    return ReferenceFolder(folder, tuple(videos), tuple(left_out))


def _make_video(path: Path, scored: ScoredVideo) -> ReferenceVideo | None:
    record = scored.record
    if record.sha256 is None or record.score is None or scored.fingerprint is None:
        return None
    return ReferenceVideo(path, record.sha256, record.score, scored.fingerprint)


def leave_out_repeated(reference: ReferenceFolder, questioned: Sequence[tuple[Path, ScoredVideo]]) -> ReferenceFolder:
    """The reference with the recordings that count: each once, and no questioned video."""
    known = [video for path, scored in questioned if (video := _make_video(path, scored)) is not None]
    counted, repeated = select_recordings(reference.videos, known)
    left_out = (*reference.left_out, *(make_passed_over(path, reason) for path, reason in repeated))
    return replace(reference, videos=tuple(counted), left_out=left_out)


def apply_folder(
    reference: ReferenceFolder, questioned: Sequence[ScoredVideo], how: ScoringSetup
) -> tuple[ReferenceFacts, list[ScoredVideo]]:
    """Calibrate by the recordings of a reference, all of which count, and score the questioned videos by that.

    Raises:
        BenchError: They are too few.
    """
    card, items = DetectorCard.load(how.folder / CARD), load_items(how.folder)
    facts = describe_reference(reference.videos, reference.left_out, reference.folder, items)
    recalibrated = recalibrate(card, items, facts)
    return facts, [
        replace(scored, record=apply_reference(scored.record, recalibrated, facts.recordings)) for scored in questioned
    ]
