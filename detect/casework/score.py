"""Outside videos in, a likelihood ratio each out, with the error rates that belong to it. A score is not a verdict.

    prepare → pairs → logits → score (by the card's rule) → log likelihood ratio, fake : real
                  └→ how far the clip lies from what the detector learned from

All likelihood ratios are natural logarithms. A video that is unlike the training clips is scored too, and marked
as abstained with the reasons; one that cannot be scored is a row with its reason.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_file
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.core.schema import Document, Strict
from dancebench.datasets.video.decoding import Inspection, inspect
from dancebench.datasets.video.frames import Letterbox
from dancebench.detect.casework.content_credentials import Credentials, read_credentials
from dancebench.detect.casework.prepare import (
    Crop,
    PreparedVideo,
    cropped_size,
    find_person,
    list_decode_warnings,
    prepare_video,
)
from dancebench.detect.casework.uncertainty import MIN_BLOCKS, block_jackknife, count_blocks, find_most_suspicious
from dancebench.detect.evaluation.metrics import ErrorRates
from dancebench.detect.evaluation.training_domain import OutOfDistribution, measure_clip
from dancebench.detect.protocol.card import DetectorCard, LoadedDetector

MIN_PAIRS = 4
"""With fewer pairs a score rests on a handful of frames."""
SLOW = 0.5
"""Share of the slowest training rate below which neighbouring frames differ by more than the detector learned."""

_RENAMED = {"domain": "out_of_distribution", "moments": "suspicious_pairs", "notes": "decode_warnings"}
"""Fields of a video's score, since version 2 of a report."""


class ScoreSettings(Strict):
    """How videos are scored; recorded, so that a report can be verified."""

    pairs: Annotated[int, Field(ge=1)] | Literal["all"] | None = None
    """How many evenly placed pairs; None: as the detector was trained to be asked."""
    person_crop: bool = False
    """Score the part of the picture in which the person moves."""

    def count(self, default: int | None) -> int | None:
        """How many pairs, None for all, where the detector's own number is `default`."""
        if self.pairs is None:
            return default
        return None if self.pairs == "all" else self.pairs


class PairScore(Strict):
    """One pair of consecutive frames."""

    t: float
    """When its first frame is shown, in seconds by the video's own clock."""
    pts: int | None
    """The same in the video's own time base; None where its stamps are missing or repeated."""
    logit: float
    llr: float


class SuspiciousPair(Strict):
    """A pair that speaks most for a fake."""

    t: float
    llr: float


class ScoreInterval(Strict):
    """How far a video's likelihood ratio moves with its own pairs: 95%."""

    low: float
    high: float
    method: str


class CalibrationFacts(Strict):
    """What stands behind the likelihood ratio."""

    temperature: float
    offset: float
    subjects: int
    """Validation people it was fitted on."""
    separable: bool
    caution: str | None
    """What cannot be excluded where those people were told apart without error."""


class VideoScore(Strict):
    """What a detector says of one video.

    A likelihood ratio compares how probable such a score is for a fake and for a real video of the detector's
    own kind. It is not the probability that the video is fake: that would also need to know how many fakes
    there are where it comes from. Content credentials stand beside it and are no part of it.
    """

    path: str
    sha256: str | None = None
    """None where the file cannot be read."""
    bytes: int | None = None
    status: Literal["ok", "abstained", "failed"]
    reason: str | None = None
    """Why it failed."""
    abstained_because: tuple[str, ...] = ()
    """Why the number should not be relied on, though there is one."""

    container: str | None = None
    codec: str | None = None
    width: int | None = None
    height: int | None = None
    """Of the upright picture."""
    fps: float | None = None
    n_frames: int | None = None
    """Counted, not claimed."""
    duration_s: float | None = None
    decode_warnings: tuple[str, ...] = ()
    """What was done to its frames that no training clip needs."""
    crop: Crop | None = None

    score: float | None = None
    """Higher = more likely synthesized, in the detector's own units."""
    llr: float | None = None
    """Natural logarithm of the likelihood ratio, fake : real."""
    llr_interval: ScoreInterval | None = None
    llr_interval_reason: str | None = None
    """Why there is none."""
    aggregator: str
    threshold: float
    """On the score; chosen on validation people."""
    above_threshold: bool | None = None
    error_rates: ErrorRates
    """Of that threshold, on held-out people."""
    calibration: CalibrationFacts
    out_of_distribution: OutOfDistribution | None = None
    n_pairs: int = 0
    pairs: tuple[PairScore, ...] = ()
    suspicious_pairs: tuple[SuspiciousPair, ...] = ()
    credentials: Credentials | None = None

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        failed, abstained = self.status == "failed", self.status == "abstained"
        if failed != (self.reason is not None) or any(
            failed != (value is None) for value in (self.score, self.llr, self.above_threshold)
        ):
            raise ValueError("a video has a score, or failed for a reason")
        if abstained != bool(self.abstained_because):
            raise ValueError("who abstains says why, and who says why abstains")
        return self


@dataclass(frozen=True)
class SuspiciousPairImage:
    """What a suspicious moment looks like to the detector."""

    t: float
    llr: float
    frame: npt.NDArray[np.uint8]
    """(H, W, 3) RGB, the first of its pair, at the detector's own size."""
    saliency: npt.NDArray[np.float32] | None
    """(H, W) in [0, 1]; None where the detector cannot say where."""


@dataclass(frozen=True)
class ScoredVideo:
    """A score, and pictures of its moments where they were asked for."""

    record: VideoScore
    pictures: list[SuspiciousPairImage] = field(default_factory=list)


class ScoreReport(Document):
    """Scores of a call, with all that is needed to make them again."""

    SCHEMA_VERSION: ClassVar[int] = 2
    schema_version: int = 2

    dancebench: str
    git_sha: str | None
    dirty: bool | None
    versions: dict[str, str]
    detector: str
    weights_sha256: str
    card_sha256: str
    settings: ScoreSettings
    device: str
    dataset: str | None
    """That the detector learned from, where its record is at hand."""
    created: str
    """UTC, ISO 8601."""
    videos: tuple[VideoScore, ...]

    @classmethod
    def upgrade(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Rename the fields of the videos of version 1."""
        renamed = [{_RENAMED.get(name, name): value for name, value in video.items()} for video in data["videos"]]
        return data | {"videos": renamed}


def score_video(
    path: Path,
    loaded: LoadedDetector,
    settings: ScoreSettings | None = None,
    report: ReportProgress = ignore_progress,
    *,
    pictures: bool = False,
    scratch: Path | None = None,
) -> ScoredVideo:
    """Score a video from outside; one that cannot be scored comes back with its reason.

    Args:
        path: Any video file that PyAV reads.
        loaded: A trained detector with its card.
        settings: How.
        report: Progress.
        pictures: Keep what the most suspicious moments look like.
        scratch: Folder for temporary files; None: the system's.
    """
    how = settings or ScoreSettings()
    facts: dict[str, Any] = describe_decision(path, loaded.card)
    try:
        if path.is_file():
            facts |= {"sha256": sha256_file(path), "bytes": path.stat().st_size}
        found = inspect(path)
        facts |= _describe_file(found) | {"credentials": read_credentials(path)}
        clips = loaded.card.clip_format
        if how.person_crop:
            facts["crop"] = find_person(found, clips.clip_width / clips.clip_height)
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            prepared = prepare_video(found, clips, facts.get("crop"), Path(folder), report)
            told, shown = _score_prepared(prepared, loaded, how.count(loaded.detector.config.count), pictures)
        reasons = _list_reasons_to_abstain(
            found, facts.get("crop"), loaded, told["n_pairs"], told["out_of_distribution"]
        )
        status = "abstained" if reasons else "ok"
        return ScoredVideo(VideoScore(**facts, **told, status=status, abstained_because=tuple(reasons)), shown)
    except (BenchError, OSError) as error:
        return ScoredVideo(VideoScore(**facts, status="failed", reason=str(error)))


def make_failed_score(path: Path, card: DetectorCard, reason: str) -> VideoScore:
    """The row of a video that could not be scored."""
    return VideoScore(**describe_decision(path, card), status="failed", reason=reason)


def describe_decision(path: Path, card: DetectorCard) -> dict[str, Any]:
    """What is known before the file is opened."""
    found = card.calibration.video
    caution = "the validation people were told apart without error: over-confidence cannot be excluded"
    return {
        "path": str(path),
        "aggregator": card.aggregator,
        "threshold": card.thresholds.video,
        "error_rates": card.error_rates,
        "calibration": CalibrationFacts(
            temperature=found.temperature,
            offset=found.offset,
            subjects=found.subjects,
            separable=found.separable,
            caution=caution if found.separable else None,
        ),
    }


def _describe_file(found: Inspection) -> dict[str, Any]:
    names = ("container", "codec", "width", "height", "fps", "n_frames", "duration_s")
    return {name: getattr(found.info, name) for name in names} | {"decode_warnings": tuple(list_decode_warnings(found))}


def _score_prepared(
    prepared: PreparedVideo, loaded: LoadedDetector, k: int | None, pictures: bool
) -> tuple[dict[str, Any], list[SuspiciousPairImage]]:
    """What the detector says of a prepared clip, and pictures of its moments."""
    detector, card = loaded.detector, loaded.card
    size, window = detector.config.size, detector.window
    starts = prepared.choose_starts(k, window)
    batches = prepared.read_windows(starts, size, window)
    logits = np.concatenate([detector.logits(pairs) for pairs in batches]).astype(np.float64)  # (N,)
    times, llrs = prepared.times[starts], card.calibration.pair.llr(logits)
    moments = find_most_suspicious(times, llrs, window / prepared.fps)
    pts = [None] * len(starts) if prepared.pts is None else prepared.pts[starts].tolist()
    told = _summarise_video(logits, card) | {
        "n_pairs": len(logits),
        "out_of_distribution": card.training_domain.compare(measure_clip(prepared.frames(), prepared.fps)),
        "pairs": tuple(
            PairScore(t=t, pts=stamp, logit=logit, llr=llr)
            for t, stamp, logit, llr in zip(times.tolist(), pts, logits.tolist(), llrs.tolist(), strict=True)
        ),
        "suspicious_pairs": tuple(SuspiciousPair(t=float(times[index]), llr=float(llrs[index])) for index in moments),
    }
    if not pictures:
        return told, []
    seen = next(prepared.read_windows(starts[moments], size, window))  # (M, window, H, W, 3)
    saliency = detector.saliency(seen)
    return told, [
        SuspiciousPairImage(moment.t, moment.llr, seen[place, 0], None if saliency is None else saliency[place])
        for place, moment in enumerate(told["suspicious_pairs"])
    ]


def _summarise_video(logits: npt.NDArray[np.float64], card: DetectorCard) -> dict[str, Any]:
    """Score and likelihood ratio, from the logits of its pairs in order of time (N,)."""
    calibration = card.calibration.video
    score = card.rule(logits)
    spread = block_jackknife(card.rule, logits)
    interval, reason = None, None
    if spread is None:
        reason = f"{len(logits)} pairs make {count_blocks(len(logits))} blocks of time, {MIN_BLOCKS} are needed"
    else:
        low, high = calibration.llr([spread.low, spread.high]).tolist()
        method = f"delete-block jackknife, {spread.blocks} blocks of time, Student t"
        interval = ScoreInterval(low=low, high=high, method=method)
    return {
        "score": score,
        "llr": float(calibration.llr([score])[0]),
        "llr_interval": interval,
        "llr_interval_reason": reason,
        "above_threshold": score > card.thresholds.video,
    }


def _list_reasons_to_abstain(
    found: Inspection, crop: Crop | None, loaded: LoadedDetector, n_pairs: int, distance: OutOfDistribution
) -> list[str]:
    """Why the number should not be relied on, in words; none for a video like the detector's own."""
    clips, size = loaded.card.clip_format, loaded.detector.config.size
    reasons = []
    if distance.outside:
        named = ", ".join(deviation.feature.replace("_", " ") for deviation in distance.furthest)
        reasons.append(
            f"it is unlike the videos that the detector learned from: distance {distance.distance:.3g}, "
            f"limit {distance.limit:.3g}; furthest in {named}"
        )
    if n_pairs < MIN_PAIRS:
        reasons.append(f"only {n_pairs} pairs of frames were scored, fewer than {MIN_PAIRS}")
    if found.info.fps < SLOW * clips.fps_min:
        reasons.append(
            f"its {found.info.fps:.3g} frames per second are far below the {clips.fps_min:.3g} of training: "
            "neighbouring frames are not what the detector learned"
        )
    shown = cropped_size(found, crop)
    inner = Letterbox(shown, size).inner
    if inner[0] > shown[0] or inner[1] > shown[1]:
        reasons.append(
            f"its picture of {shown[1]}x{shown[0]} is smaller than the detector's frames of {size[1]}x{size[0]}: "
            "what is seen is enlarged"
        )
    return reasons
