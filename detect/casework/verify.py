"""Verification of a score report: a recorded report and the same files scored again in; what differs out.

Every field that scoring computes is compared, whatever is added to a score later. What depends on the network's
logits may differ by up to `TOLERANCE`: decoding, resizing and encoding are exact integer arithmetic for one set of
library versions, but the network sums float32 in an order that depends on batch, processor and GPU. Other batches
change logits by less than 1e-5 (tested). 1e-3 leaves room for other hardware, and is far below the differences
between pairs of one video. Other numbers may differ by rounding (`ROUNDING`), all else not at all.

Not compared: when the report was made and on which device, and which files it lists.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dancebench.core.schema import Strict
from dancebench.detect.casework.score import ScoreReport, VideoScore

TOLERANCE = 1e-3
"""Of what depends on logits: absolute, and relative above 1."""
ROUNDING = 1e-6
"""Of other numbers, relative."""

_OF_LOGITS = frozenset({"score", "llr", "unbounded_llr", "llr_without", "logit", "low", "high"})
_SINCE_VIEWS = ("view", "windows")
"""Fields of a score that earlier reports do not have."""
_TOLD_APART = frozenset({"path", "path_bytes", "sha256", "status"})
"""The path says which row it is, the others have own words."""
_SHOWN = 5


class VideoCheck(Strict):
    """A video of a report, scored again."""

    path: str
    differences: tuple[str, ...]
    """Each in words; empty if the scores agree."""


class Verification(Strict):
    """What differs between a report and the same files scored again."""

    versions: tuple[str, ...]
    """Of libraries and code. Changed versions explain differences, but alone do not fail the verification."""
    unverified: tuple[str, ...]
    """What is stated in the report and could not be checked, and why."""
    detector: tuple[str, ...]
    """Differences in what the report says of the detector and of the call."""
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
    return Verification(
        versions=tuple(versions),
        unverified=tuple(_list_unverified(recorded, again)),
        detector=tuple(_list_detector_differences(recorded, again)),
        videos=tuple(
            VideoCheck(path=first.path, differences=tuple(list_differences(first, second)))
            for first, second in zip(recorded.videos, again.videos, strict=True)
        ),
    )


def list_differences(recorded: VideoScore, again: VideoScore) -> Iterator[str]:
    """What differs between two scores of one video, in words; of another file, and of one that failed, no details."""
    if recorded.sha256 != again.sha256:
        missing = "the file is missing or cannot be read"
        yield missing if again.sha256 is None else "the file was changed: its SHA-256 differs"
    if recorded.status != again.status:
        reason = again.reason or "; ".join(again.abstained_because)
        yield f"status {recorded.status}, now {again.status}" + (f" ({reason})" if reason else "")
    if recorded.sha256 != again.sha256 or (recorded.status == "failed") != (again.status == "failed"):
        return
    before, now = (score.model_dump(exclude=set(_TOLD_APART)) for score in (recorded, again))
    for name in before:
        if before[name] is None and name in _SINCE_VIEWS:
            continue
        found = list(_compare_values(name, before[name], now[name]))
        yield from found[:_SHOWN]
        if len(found) > _SHOWN:
            yield f"{len(found) - _SHOWN} more differences in {name}"


def _compare_values(name: str, before: Any, now: Any) -> Iterator[str]:
    """What differs between two values of a field, in words; fields of fields are named `pairs.3.llr`."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in before:
            yield from _compare_values(f"{name}.{key}", before[key], now[key])
    elif isinstance(before, list | tuple) and isinstance(now, list | tuple) and len(before) == len(now):
        for index, (first, second) in enumerate(zip(before, now, strict=True)):
            yield from _compare_values(f"{name}.{index}", first, second)
    elif not _agree(name, before, now):
        if name == "n_pairs":
            yield f"{before} pairs, now {now}"
        else:
            yield f"{name} {_say(before)}, now {_say(now)}"


def _agree(name: str, before: Any, now: Any) -> bool:
    if isinstance(before, float) and isinstance(now, float):
        size = abs(before)
        tolerated = TOLERANCE * max(1.0, size) if name.rpartition(".")[2] in _OF_LOGITS else ROUNDING * size
        return abs(before - now) <= tolerated
    return type(before) is type(now) and bool(before == now)


def _say(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:+.4f}" if abs(value) >= 1e-3 else f"{value:+.4g}"
    if isinstance(value, list | tuple | dict):
        return f"of {len(value)} entries"
    return "none" if value is None else str(value)


def _list_detector_differences(recorded: ScoreReport, again: ScoreReport) -> Iterator[str]:
    if recorded.weights_sha256 != again.weights_sha256:
        yield "the detector has other weights"
    if recorded.card_sha256 != again.card_sha256:
        yield "the detector's card was changed: its calibration or thresholds may differ"
    yield from _compare_values("name", recorded.detector, again.detector)
    ratios = (None if each.ratios is None else each.ratios.model_dump() for each in (recorded, again))
    yield from _compare_values("ratios", *ratios)
    yield from _compare_values("settings", recorded.settings.model_dump(), again.settings.model_dump())
    references = (None if each.reference is None else each.reference.model_dump() for each in (recorded, again))
    yield from _compare_values("reference", *references)
    if again.dataset is not None:
        yield from _compare_values("dataset", recorded.dataset, again.dataset)


def _list_unverified(recorded: ScoreReport, again: ScoreReport) -> Iterator[str]:
    if recorded.dataset is not None and again.dataset is None:
        yield f"dataset {recorded.dataset}: the record of the run that trained the detector is not in this workspace"
    if any(None in (video.view, video.windows) for video in recorded.videos if video.status != "failed"):
        yield "what was looked at, and in how many windows: reports from before views do not say it"
    if recorded.reference is not None:
        count = recorded.reference.recordings
        yield f"the scores of the {count} recordings of the reference: they are not scored again"
    if recorded.passed_over:
        yield f"what was passed over ({len(recorded.passed_over)} files or folders): folders are not searched again"


def _list_code_versions(report: ScoreReport) -> dict[str, str]:
    versions = report.versions | {"dancebench": report.dancebench, "device": report.device}
    return versions | {"git": f"{report.git_sha}{' with changes' if report.dirty else ''}"}
