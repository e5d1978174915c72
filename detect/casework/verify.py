"""Verification of a score report: a recorded report and the same files scored again in; what differs out.

Scores may differ by up to `TOLERANCE`. Decoding, resizing and encoding are exact integer arithmetic for one set
of library versions; the network sums float32 in an order that depends on batch, processor and GPU. Other batches
change logits by less than 1e-5 (tested). 1e-3 leaves room for other hardware, and is far below the differences
between pairs of one video.
"""

from __future__ import annotations

from collections.abc import Iterator

from dancebench.core.schema import Strict
from dancebench.detect.casework.score import ScoreReport, VideoScore

TOLERANCE = 1e-3
"""Absolute, and relative above 1."""


class VideoCheck(Strict):
    """A video of a report, scored again."""

    path: str
    differences: tuple[str, ...]
    """Each in words; empty if the scores agree."""


class Verification(Strict):
    """What differs between a report and the same files scored again."""

    versions: tuple[str, ...]
    """Of libraries and code. Changed versions explain differences, but alone do not fail the verification."""
    detector: tuple[str, ...]
    videos: tuple[VideoCheck, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing but versions differs."""
        return not self.detector and not any(video.differences for video in self.videos)


def compare_reports(recorded: ScoreReport, again: ScoreReport) -> Verification:
    """Compare two reports on the same videos, in the same order.

    Args:
        recorded: The report to verify.
        again: Its videos, scored anew by its settings.
    """
    before, now = _list_code_versions(recorded), _list_code_versions(again)
    versions = [
        f"{name}: {before.get(name, 'not recorded')}, now {now.get(name, 'not recorded')}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]
    detector = []
    if recorded.weights_sha256 != again.weights_sha256:
        detector.append("the detector has other weights")
    if recorded.card_sha256 != again.card_sha256:
        detector.append("the detector's card was changed: its calibration or thresholds may differ")
    return Verification(
        versions=tuple(versions),
        detector=tuple(detector),
        videos=tuple(
            VideoCheck(path=first.path, differences=tuple(list_differences(first, second)))
            for first, second in zip(recorded.videos, again.videos, strict=True)
        ),
    )


def list_differences(recorded: VideoScore, again: VideoScore) -> Iterator[str]:
    """What differs between two scores of one video, in words."""
    if recorded.sha256 != again.sha256:
        missing = "the file is missing or cannot be read"
        yield missing if again.sha256 is None else "the file was changed: its SHA-256 differs"
    if recorded.status != again.status:
        reason = again.reason or "; ".join(again.abstained_because)
        yield f"status {recorded.status}, now {again.status}" + (f" ({reason})" if reason else "")
    for name in ("score", "llr"):
        before, now = getattr(recorded, name), getattr(again, name)
        if before is not None and now is not None and abs(before - now) > TOLERANCE * max(1.0, abs(before)):
            yield f"{name} {before:+.4f}, now {now:+.4f}"
    if None not in (recorded.score, again.score) and recorded.n_pairs != again.n_pairs:
        yield f"{recorded.n_pairs} pairs, now {again.n_pairs}"


def _list_code_versions(report: ScoreReport) -> dict[str, str]:
    versions = report.versions | {"dancebench": report.dancebench, "device": report.device}
    return versions | {"git": f"{report.git_sha}{' with changes' if report.dirty else ''}"}
