"""Scoring of outside videos: a video in, its likelihood ratio with error rates out. A score is not a verdict.

    prepare → pairs → logits → score (by the card's rule) → log likelihood ratio, fake : real
                  └→ out-of-distribution distance of the clip from the training clips

All likelihood ratios are natural logarithms. A video that is out of distribution is scored too, and marked as
abstained with the reasons; one that cannot be scored is a row with its reason.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from dancebench.core.errors import BenchError, replace_undecodable
from dancebench.core.files import explain_read_error, sha256_file
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.core.schema import Document, Strict
from dancebench.datasets.corpora.manifest import ViewFacts
from dancebench.datasets.video.decoding import Inspection, survey
from dancebench.datasets.video.frames import refuse_single_picture
from dancebench.datasets.video.notes import list_decode_warnings
from dancebench.detect.casework.abstention import list_reasons_to_abstain
from dancebench.detect.casework.content_credentials import Credentials, read_credentials
from dancebench.detect.casework.file_names import PassedOver, PathBytes, describe_path
from dancebench.detect.casework.prepare import (
    Crop,
    PreparedVideo,
    find_person,
    prepare_video,
)
from dancebench.detect.casework.ratio import (
    CalibrationFacts,
    ScoreInterval,
    describe_calibration,
    measure_ratio,
    tell_bounds,
)
from dancebench.detect.casework.reference import (
    ReferenceEffect,
    ReferenceFacts,
    compute_clip_fingerprint,
    measure_again,
)
from dancebench.detect.casework.suspicious_pairs import SuspiciousPair, SuspiciousPairImage, describe_windows
from dancebench.detect.casework.uncertainty import find_most_suspicious
from dancebench.detect.evaluation.likelihood_ratios.bounds import Bound, Bounds
from dancebench.detect.evaluation.likelihood_ratios.measures import LikelihoodRatioFigures
from dancebench.detect.evaluation.metrics import ErrorRates
from dancebench.detect.evaluation.training_domain import OutOfDistribution, measure_clip
from dancebench.detect.inputs.near_duplicates import Fingerprint
from dancebench.detect.protocol.card import ClipFormat, DetectorCard, LoadedDetector

_RENAMED = {"domain": "out_of_distribution", "moments": "suspicious_pairs", "notes": "decode_warnings"}
"""Fields of a video's score, since version 2 of a report."""


class ScoreSettings(Strict):
    """How videos are scored; recorded, so that a report can be verified."""

    pairs: Annotated[int, Field(ge=1)] | Literal["all"] | None = None
    """How many evenly placed pairs; None: the number in the detector's config."""
    person_crop: bool = False
    """Score only the part of the frame in which the person moves."""
    frames_per_second: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Rate of folders of images, each of which is a clip; None: their images are passed over."""

    def count(self, default: int | None) -> int | None:
        """How many pairs, None for all, where the detector's own number is `default`."""
        if self.pairs is None:
            return default
        return None if self.pairs == "all" else self.pairs


class PairScore(Strict):
    """One pair of consecutive frames."""

    t: float
    """When its first frame is shown, in seconds from the first frame of the video on, without gaps of its clock."""
    pts: int | None
    """That frame's raw stamp in the video's own time base; None where it is missing or repeated."""
    logit: float
    llr: float


class VideoScore(Strict):
    """A detector's score of one video, and what is needed to interpret it.

    A likelihood ratio compares how probable such a score is for a fake by any method and for a real video, both of the
    detector's own kind. It is not the probability that the video is fake: that would also need to know how many fakes
    there are where it comes from. Content credentials are reported beside it and are not part of it.
    """

    path: str
    """As text: a byte of it that is not UTF-8 is a replacement sign."""
    path_bytes: PathBytes | None = None
    """Where `path` is not what the file system knows."""
    sha256: str | None = None
    """None where the file cannot be read; of a folder of images, of the images' names and hashes."""
    bytes: int | None = None
    status: Literal["ok", "abstained", "failed"]
    reason: str | None = None
    """Why it failed."""
    abstained_because: tuple[str, ...] = ()
    """Why the likelihood ratio should not be relied on, though there is one."""

    container: str | None = None
    codec: str | None = None
    width: int | None = None
    height: int | None = None
    """Of the upright frame."""
    fps: float | None = None
    n_frames: int | None = None
    """Frames that the decoder gave, not the header's count."""
    duration_s: float | None = None
    """Sum of the segments' lengths."""
    start_s: float | None = None
    """Stamp of the first frame by the file's own clock, in seconds, from which times count. None where it has none,
    and in reports before version 3, whose times are by that clock."""
    decode_warnings: tuple[str, ...] = ()
    """Properties of the file, and conversions of its frames, that no training clip has."""
    crop: Crop | None = None
    view: ViewFacts | None = None
    """What of the frames was looked at. None where the video could not be made into a clip, and in reports before
    views."""

    score: float | None = None
    """Higher = more likely synthesized, in the detector's own units."""
    llr: float | None = None
    """Natural logarithm of the likelihood ratio, fake : real."""
    unbounded_llr: float | None = None
    """The same before bounds."""
    bound: Bound | None = None
    """The bound that the ratio lies at; None for one between them."""
    bounds: Bounds
    llr_interval: ScoreInterval | None = None
    """From the variation between the video's own pairs."""
    llr_interval_reason: str | None = None
    """Why there is none."""
    calibration_interval: ScoreInterval | None = None
    """From the uncertainty of the calibration: other people, another method."""
    calibration_interval_reason: str | None = None
    """Why there is none; None of a video without a score."""
    aggregator: str
    threshold: float
    """On the score; frozen on the validation set."""
    above_threshold: bool | None = None
    error_rates: ErrorRates
    """False positive and false negative rate of that threshold on held-out people."""
    calibration: CalibrationFacts
    reference: ReferenceEffect | None = None
    """What known reals of the case's conditions changed; None where none were given."""
    out_of_distribution: OutOfDistribution | None = None
    windows: int | Literal["all"] | None = None
    """How many evenly placed windows were asked for; None in reports before views."""
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
            raise ValueError("a video has either a score or a reason why it failed")
        if abstained != bool(self.abstained_because):
            raise ValueError("a video is abstained from if and only if there are reasons to abstain")
        return self


@dataclass(frozen=True)
class ScoredVideo:
    """A score, and images of its suspicious pairs and its fingerprint if they were requested."""

    record: VideoScore
    pictures: list[SuspiciousPairImage] = field(default_factory=list)
    fingerprint: Fingerprint | None = None


class ScoreReport(Document):
    """Scores of one call, with all that is needed to reproduce them."""

    SCHEMA_VERSION: ClassVar[int] = 5
    schema_version: int = 5

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
    """Dataset that the detector was trained on, if its record is found."""
    created: str
    """UTC, ISO 8601."""
    ratios: LikelihoodRatioFigures | None = None
    """How well the detector's likelihood ratios held on held-out people; None where its card does not tell."""
    reference: ReferenceFacts | None = None
    """Known reals of the case's conditions that the likelihood ratios are calibrated on, where some were given."""
    videos: tuple[VideoScore, ...]
    passed_over: tuple[PassedOver, ...] = ()
    """What lay in the searched folders and is no video."""

    @classmethod
    def upgrade(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Rename the fields of the videos of version 1; add the bounds of ratios before version 4.

        Version 2 lacks `start_s` and names that are not UTF-8; before version 5 there was no reference.
        """
        if data["schema_version"] > 3:
            return data
        videos = data["videos"]
        if data["schema_version"] < 2:
            videos = [{_RENAMED.get(name, name): value for name, value in video.items()} for video in videos]
        return data | {"videos": [tell_bounds(video) for video in videos]}


def score_video(
    path: Path,
    loaded: LoadedDetector,
    settings: ScoreSettings | None = None,
    report: ReportProgress = ignore_progress,
    *,
    pictures: bool = False,
    fingerprint: bool = False,
    scratch: Path | None = None,
) -> ScoredVideo:
    """Score a video from outside; one that cannot be scored comes back with its reason.

    Args:
        path: Any video file that PyAV reads.
        loaded: A trained detector with its card.
        settings: How the video is scored; None: the defaults.
        report: Progress.
        pictures: Keep images of the most suspicious pairs.
        fingerprint: Compute that of its frames, by which videos of one recording are found.
        scratch: Folder for temporary files; None: the system's.

    >>> from dancebench import load_detector, score_video
    >>> score = score_video(video, load_detector(folder)).record
    >>> score.status in ("ok", "abstained"), score.n_pairs > 0
    (True, True)
    """
    settings = settings or ScoreSettings()
    fields: dict[str, Any] = describe_decision(path, loaded.card)
    try:
        identity = _identify(path) if path.is_file() else None
        fields |= {"sha256": identity.sha256, "bytes": identity.bytes} if identity else {}
        refuse_single_picture(path)
        surveyed = survey(path)
        fields |= _describe_file(surveyed) | {"credentials": read_credentials(path)}
        clips = loaded.card.clip_format
        if settings.person_crop:
            _require_whole_frames(clips)
            fields["crop"] = find_person(surveyed, clips.clip_width / clips.clip_height)
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            prepared = prepare_video(surveyed, clips, fields.get("crop"), Path(folder), report)
            fields |= _describe_file(prepared.found) | {"decode_warnings": prepared.decode_warnings}
            count = settings.count(loaded.detector.config.count)
            fields |= {"view": prepared.facts, "windows": "all" if count is None else count}
            scores, images = _score_prepared(prepared, loaded, count, pictures)
            print_of_clip = compute_clip_fingerprint(prepared.frames()) if fingerprint else None
        reasons = list_reasons_to_abstain(prepared, loaded, scores["n_pairs"], scores["out_of_distribution"])
        if identity is not None and _identify(path) != identity:
            raise BenchError(f"{path} was changed while it was scored.", hint="Score a copy that nothing writes to.")
        status = "abstained" if reasons else "ok"
        record = VideoScore(**fields, **scores, status=status, abstained_because=tuple(reasons))
        return ScoredVideo(record, images, print_of_clip)
    except BenchError as error:
        return ScoredVideo(VideoScore(**fields, status="failed", reason=error.message))
    except OSError as error:
        return ScoredVideo(VideoScore(**fields, status="failed", reason=explain_read_error(path, error).message))


def _require_whole_frames(clips: ClipFormat) -> None:
    if not clips.looks_at.is_whole:
        raise BenchError(
            f"This detector looks at the {clips.view} by itself.", hint="Leave --person-crop out: its view is cut out."
        )


class _FileIdentity(NamedTuple):
    """By which file and content a score is vouched for: equal before and after, the same was read in between."""

    sha256: str
    bytes: int
    inode: int
    changed_ns: int


def _identify(path: Path) -> _FileIdentity:
    found = path.stat()
    return _FileIdentity(sha256_file(path), found.st_size, found.st_ino, found.st_mtime_ns)


def make_failed_score(path: Path, card: DetectorCard, reason: str) -> VideoScore:
    """Make the row of a video that could not be scored."""
    return VideoScore(**describe_decision(path, card), status="failed", reason=replace_undecodable(reason))


def apply_reference(record: VideoScore, card: DetectorCard, recordings: int) -> VideoScore:
    """The score of a video by a card that was calibrated for a reference of so many recordings; of a failed one as is.

    Pairs keep their ratios: a reference calibrates those of videos.
    """
    if record.llr is None:
        return record
    fields = {name: getattr(record, name) for name in VideoScore.model_fields}
    return VideoScore(**fields | measure_again([pair.logit for pair in record.pairs], record.llr, card, recordings))


def describe_decision(path: Path, card: DetectorCard) -> dict[str, Any]:
    """Fields that are known before the file is opened: threshold, error rates and calibration."""
    return describe_path(path) | {
        "aggregator": card.aggregator,
        "threshold": card.thresholds.video,
        "error_rates": card.error_rates,
        "calibration": describe_calibration(card.calibration.video),
        "bounds": card.calibration.video.bounds,
    }


def _describe_file(inspection: Inspection) -> dict[str, Any]:
    names = ("container", "codec", "width", "height", "fps", "n_frames", "duration_s", "start_s")
    return {name: getattr(inspection.info, name) for name in names} | {
        "decode_warnings": tuple(list_decode_warnings(inspection))
    }


def _score_prepared(
    prepared: PreparedVideo, loaded: LoadedDetector, k: int | None, pictures: bool
) -> tuple[dict[str, Any], list[SuspiciousPairImage]]:
    """Score a prepared clip: fields of its `VideoScore`, and images of its suspicious pairs."""
    detector, card = loaded.detector, loaded.card
    size, window = detector.config.size, detector.window
    starts = prepared.choose_starts(k, window)
    batches = prepared.read_windows(starts, size, window)
    logits = np.concatenate([detector.logits(pairs) for pairs in batches]).astype(np.float64)  # (N,)
    times, llrs = prepared.times[starts], card.calibration.pair.llr(logits)
    chosen = find_most_suspicious(times, llrs, window / prepared.fps)
    pts = [prepared.pts[start] for start in starts]
    found = list(describe_windows(prepared, loaded, starts[chosen], pictures))
    suspicious = tuple(
        SuspiciousPair(t=float(times[index]), llr=float(llrs[index]), what=each.what)
        for index, each in zip(chosen, found, strict=True)
    )
    scores = measure_ratio(logits, card) | {
        "n_pairs": len(logits),
        "out_of_distribution": _measure_distance(prepared, card),
        "pairs": tuple(
            PairScore(t=t, pts=stamp, logit=logit, llr=llr)
            for t, stamp, logit, llr in zip(times.tolist(), pts, logits.tolist(), llrs.tolist(), strict=True)
        ),
        "suspicious_pairs": suspicious,
    }
    shown = zip(suspicious, found, strict=True) if pictures else ()
    return scores, [SuspiciousPairImage(pair.t, pair.llr, *each) for pair, each in shown]


def _measure_distance(prepared: PreparedVideo, card: DetectorCard) -> OutOfDistribution | None:
    features = measure_clip(prepared.frames())
    return None if card.training_domain is None else card.training_domain.compare(features)
