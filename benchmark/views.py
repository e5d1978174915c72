"""What detectors of a run look at: the view of each, its configuration, and the views of the videos."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dancebench.benchmark.jobs import Job, require_all, run_jobs
from dancebench.benchmark.presets import find_preset
from dancebench.core.errors import BenchError
from dancebench.core.metric import Metric
from dancebench.core.progress import ReportProgress
from dancebench.core.schema import set_fields
from dancebench.core.workspace import Workspace
from dancebench.datasets.corpora.manifest import Split
from dancebench.detect.detectors.base import DetectorConfig, configure_detector, find_detector_class
from dancebench.detect.detectors.foreign.onnx_export import make_onnx
from dancebench.detect.evaluation.controls import NULL_SHIFT_LIMIT
from dancebench.detect.inputs.video_set import VideoSet
from dancebench.detect.inputs.view import STANDARD_SIZES, View, ViewRequest
from dancebench.detect.inputs.view_cache import ViewOrder, choose_rate, prepare_views
from dancebench.leaderboards import records

_SET_ELSEWHERE: Final = {
    "seed": "--seed", "pairs": "--pairs", "view": "--view", "height": "--view and the size of the fakes",
    "width": "--view and the size of the fakes",
}  # fmt: skip
_PARTS: Final = 4
"""Of a set, for each worker: so that one with short videos does not wait for another."""


def choose_view(request: ViewRequest | None, detector: str, preset: str, *, as_they_are: bool) -> View | None:
    """What a detector looks at: what was asked for, else what it says itself.

    Args:
        request: What was asked for.
        detector: Its name.
        preset: Of its settings.
        as_they_are: Whether the videos are clips of one size already, so that whole frames need no view.

    Returns:
        The view; None: the clips as they are.
    """
    own = configure_detector(detector, find_preset(preset).detector_config(detector))
    if not find_detector_class(detector).LEARNS:
        return _choose_fixed_view(request, own.looks_at, detector, as_they_are=as_they_are)
    name = own.view if request is None else request.name
    size = None if request is None else request.size
    if size is None and name == "frame":
        return None if as_they_are else View(name, *STANDARD_SIZES[name])
    if size is None:
        size = own.size if own.view == name else STANDARD_SIZES[name]
    return View(name, *size)


def _choose_fixed_view(request: ViewRequest | None, own: View, detector: str, *, as_they_are: bool) -> View | None:
    """The view of a detector that was trained elsewhere: its own alone."""
    if request is not None and (request.name, request.size or own.size) != (own.name, own.size):
        raise BenchError(
            f"'{detector}' was trained elsewhere and looks at {own} alone.", hint="Leave --view out, or ask for that."
        )
    return None if as_they_are and own.name == "frame" else own


def configure_for_run(
    detector: str, preset: str, view: View, seed: int, settings: Mapping[str, Any], fields: Mapping[str, Any]
) -> DetectorConfig:
    """The configuration of a detector: its preset's, with the view and the seed of the run, and what `--set` changes.

    Raises:
        UnknownNameError: There is no such field.
        BenchError: The value of a field is refused.
    """
    standard = find_preset(preset).detector_config(detector)
    looks_at = {"height": view.height, "width": view.width, "view": view.name}
    told = looks_at if find_detector_class(detector).LEARNS else {}  # one from elsewhere has a view of its own
    config = configure_detector(detector, standard, **told, seed=seed, **settings)
    return apply_fields(detector, config, fields)


def check_configuration(detector: str, fields: Mapping[str, Any], *, export: bool = False) -> None:
    """Refuse what a detector cannot be set to, or, where it is asked for, one that has no ONNX file: at once.

    Raises:
        UnknownNameError: There is no such detector or field.
        BenchError: As `apply_fields` and `make_onnx`.
    """
    config = apply_fields(detector, configure_detector(detector), fields)
    if export:
        make_onnx(find_detector_class(detector)(config))


def apply_fields(detector: str, config: DetectorConfig, fields: Mapping[str, Any]) -> DetectorConfig:
    """The configuration with what `--set` changes in it.

    Raises:
        UnknownNameError: There is no such field.
        BenchError: The value of a field is refused, or an option sets it.
    """
    detector_class = find_detector_class(detector)
    if fields and not detector_class.LEARNS:
        raise BenchError(
            f"'{detector}' was trained elsewhere and has no settings here.",
            hint="What an ONNX file takes stands in the TOML beside it; a factory's scorer has its own config.",
        )
    variant = detector_class.VARIANT
    return set_fields(detector, config, fields, _SET_ELSEWHERE | ({variant: "the detector's name"} if variant else {}))


def view_videos(
    videos: VideoSet,
    view: View,
    workspace: Workspace,
    *,
    fps: float | None = None,
    workers: int,
    report: ReportProgress,
) -> VideoSet:
    """Make the missing views of a set of videos; existing ones are reused.

    Args:
        videos: All splits.
        view: What is looked at.
        workspace: Where views are kept.
        fps: Frames per second; None: chosen by the set's training videos.
        workers: Number of worker processes.
        report: Progress.

    Returns:
        The views in the order of the videos; where none can be made, the row has the reason.

    Raises:
        BenchError: Of no real or no fake of the training or validation videos a view can be made.
    """
    rate = choose_rate(videos) if fps is None else fps
    count = max(1, min(len(videos), _PARTS * workers if workers > 1 else 1))
    parts = [VideoSet(videos.root, videos.rows[first::count]) for first in range(count)]
    jobs = [Job(f"views ({view})", prepare_views, ViewOrder(part, view, rate, workspace)) for part in parts]
    outcomes = run_jobs(jobs, workers=workers, report=report)
    made = require_all(outcomes)
    rows = [made[index % count].rows[index // count] for index in range(len(videos))]
    views = VideoSet(workspace.root, tuple(rows))
    _require_views(views, view)
    return views


def _require_views(videos: VideoSet, view: View) -> None:
    splits: tuple[Split, ...] = ("train", "validation")
    for split in splits:
        for label, kind in enumerate(("real", "fake")):
            rows = [row for row in videos.split(split) if row.label == label]
            problems = [row.problem for row in rows if row.problem is not None]
            if rows and len(problems) == len(rows):
                raise BenchError(
                    f"No {kind} video of split {split} has a view {view}; of the first: {problems[0]}",
                    hint="Choose another --view: frame needs neither a face nor a person.",
                )


def list_view_warnings(videos: VideoSet) -> list[str]:
    """What marks a row: how many videos have no view, show several people, or less than the view holds."""
    facts = [row.view for row in videos if row.view is not None]
    counted = {
        "have no such view": sum(each.problem is not None for each in facts),
        "show several at once: the largest by area times duration is looked at": sum(each.seen > 1 for each in facts),
        "show something smaller than the view: black surrounds it": sum(each.padded > 0 for each in facts),
    }
    return [f"{count} of {len(facts)} videos {what}" for what, count in counted.items() if count]


def read_null_control(shift: Metric) -> records.NullControl:
    """Whether reals that are encoded once more keep their scores."""
    passed = None if shift.value is None else shift.value <= NULL_SHIFT_LIMIT
    return records.NullControl(passed=passed, reason=shift.reason)
