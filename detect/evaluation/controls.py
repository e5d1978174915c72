"""Negative controls for a detection result: the videos of a manifest in, control metrics out.

    null_shift           reals encoded once more and compared with themselves: how far their scores move
    shortcut_auc, _p     a baseline that sees only containers, picture size, duration and frame count
    bytes_per_frame_auc  the same baseline on the bytes per frame, in which fakes differ inherently
    permutation_auc, _p  the detector's own scores under label permutation by person

The baselines are scikit-learn logistic regressions, trained on the training people and tested on held-out people.
Labels are permuted by person: all reals of a person are swapped with all of that person's fakes, since a person's
fakes share what their synthesizer made of that person. A shortcut is flagged if p < 0.01; with few people p cannot get
that small. The detector itself must beat permuted labels. Under labels permuted among the videos of each person its
mean AUC must be chance: if it is not, people with more fakes get higher scores for all their videos.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dancebench.core.errors import BenchError
from dancebench.core.metric import Metric
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.core.stats.inference import jackknife_interval, permutation_mean, signed_rank_p
from dancebench.datasets.video.clips import stream, write_clip
from dancebench.datasets.video.containers import open_video
from dancebench.datasets.video.decoding import survey
from dancebench.detect.detectors.base import Scorer
from dancebench.detect.evaluation.aggregation import Rule
from dancebench.detect.evaluation.metrics import Labels, Scores, auc, collect_videos
from dancebench.detect.evaluation.score_tables import ScoreTables
from dancebench.detect.inputs.pairs import read_pairs
from dancebench.detect.inputs.video_set import VideoSet

NULL_SHIFT_LIMIT = 0.10
SHORTCUT_P = 0.01
PERMUTATIONS = 999
DETECTOR_P = 0.01
CHANCE_LIMIT = 0.05
"""How far the mean AUC under permuted labels may differ from 0.5."""

Features = dict[str, str | float]

# ---------------------------------------------------------------- null control


def measure_null_shift(
    detector: Scorer,
    videos: VideoSet,
    tables: ScoreTables,
    rule: Rule,
    report: ReportProgress = ignore_progress,
) -> Metric:
    """Encode every held-out real once more and measure how far its score moves.

    Args:
        detector: Trained.
        videos: The held-out ones.
        tables: Their scores.
        rule: Aggregation rule by which they were scored.
        report: Progress.

    Returns:
        `null_shift`: the median of |new score - score| as a share of the gap, the median score of the
        fakes minus that of the reals. Null if the detector does not score fakes above reals.
    """
    scored = tables.scored
    before = dict(zip(scored["video_id"], scored["score"], strict=True))
    reals = [row for row in videos if row.label == 0 and row.video_id in before]
    unit = f"share of the gap between reals and fakes; at most {NULL_SHIFT_LIMIT:.2f} passes"
    medians = scored.groupby("label")["score"].median()
    fake_median, real_median = (float(medians[label]) if label in medians else math.nan for label in (1, 0))
    gap = fake_median - real_median
    if not gap > 0:
        reason = "no reals or no fakes were scored" if math.isnan(gap) else "fakes score no higher than reals"
        return Metric(value=None, reason=reason, n=len(reals), unit=unit, higher_is_better=False)
    shifts = []
    with tempfile.TemporaryDirectory() as folder:
        reencoded = Path(folder) / "again.mp4"
        for done, row in enumerate(reals):
            report("null control", done, len(reals))
            write_clip(reencoded, (frame for _, frame in stream(videos.path(row))), row.known_fps)
            _, pairs = read_pairs(reencoded, detector.config.size, detector.config.count, detector.window, row.breaks)
            logits = detector.logits(pairs)
            shifts.append(abs(rule(logits.astype(np.float64)) - before[row.video_id]))
    report("null control", len(reals), len(reals))
    share = float(np.median(shifts)) / gap
    return Metric(value=share, n=len(reals), unit=unit, higher_is_better=False)


# ---------------------------------------------------------------- label permutation


def permute_labels(tables: ScoreTables, *, permutations: int = PERMUTATIONS, seed: int) -> dict[str, Metric]:
    """Test the scores of held-out videos by label permutation.

    Args:
        tables: Scores of held-out videos.
        permutations: Number of permutations, at least 50.
        seed: Of the permutations.

    Returns:
        `permutation_auc`, the mean video AUC over permutations within each person, and `permutation_p`, which tells
        whether people's fakes score above their own reals, by swaps of all labels of a person (signed ranks). Null if
        all videos are of one kind; the p also if so few people have both kinds that it could not fall below
        `DETECTOR_P`.

    Raises:
        ValueError: There are fewer than 50 permutations.
    """
    if permutations < _LEAST_PERMUTATIONS:
        raise ValueError(f"{permutations} permutations are too few, take at least {_LEAST_PERMUTATIONS}")
    labels, scores, subjects, _ = collect_videos(tables)
    unit_auc = f"mean AUC over videos in [0, 1] of {permutations} label permutations within subjects; chance 0.5"
    unit_p = f"p of {permutations} permutations of labels by person (signed ranks); {DETECTOR_P} and above is flagged"
    if not 0 < labels.sum() < len(labels):
        null = partial(Metric, value=None, reason=_ONE_KIND, n=len(labels), higher_is_better=None)
        return {"permutation_auc": null(unit=unit_auc), "permutation_p": null(unit=unit_p)}
    mean = _permute_auc(labels, scores, subjects.tolist(), permutations, seed)
    differences = _compare_within_people(labels, scores, subjects)
    labellings = 2 ** len(differences)
    too_few = labellings * DETECTOR_P < 1
    reason = f"{len(differences)} people allow {labellings} labellings, too few for p < {DETECTOR_P}"
    return {
        "permutation_auc": Metric(value=mean, n=len(labels), unit=unit_auc, higher_is_better=None),
        "permutation_p": Metric(
            value=None if too_few else signed_rank_p(differences, permutations=permutations, seed=seed),
            reason=reason if too_few else None,
            n=len(labels),
            unit=unit_p,
            higher_is_better=False,
        ),
    }


_LEAST_PERMUTATIONS = 50


def _compare_within_people(labels: Labels, scores: Scores, subjects: npt.NDArray[np.str_]) -> list[float]:
    """By how much the median fake of each person who has both kinds scores above that person's median real."""
    kinds = (
        (scores[own & (labels == 1)], scores[own & (labels == 0)])
        for own in (subjects == name for name in np.unique(subjects))
    )
    return [float(np.median(fakes) - np.median(reals)) for fakes, reals in kinds if len(fakes) and len(reals)]


def _permute_auc(labels: Labels, scores: Scores, subjects: list[str], permutations: int, seed: int) -> float:
    """Compute the mean AUC over label permutations within subjects."""
    ranks = rankdata(scores)  # AUC from the fakes' sum of ranks (Mann and Whitney), which is faster
    fakes = int(labels.sum())
    pairs = fakes * (len(labels) - fakes)

    def compute_auc(permuted: Labels) -> float:
        return (float(ranks[permuted == 1].sum()) - fakes * (fakes + 1) / 2) / pairs

    return permutation_mean(compute_auc, labels, subjects, permutations=permutations, seed=seed)


# ---------------------------------------------------------------- shortcuts


def read_container_features(path: Path) -> Features:
    """Read what does not depend on image content or file size: container, tags, picture size, duration, frame count."""
    info = survey(path).info
    with open_video(path) as (container, video):
        tags: Features = {f"tag {key}": value for key, value in container.metadata.items()}
        tags |= {f"stream tag {key}": value for key, value in video.metadata.items()}
    return tags | {
        "container": info.container,
        "codec": info.codec,
        "pixel format": info.pix_fmt,
        "time base": str(info.time_base),
        "rotation": float(info.rotation),
        "audio": float(info.has_audio),
        "width": float(info.width),
        "height": float(info.height),
        "frames": float(info.n_frames),
        "seconds": info.duration_s,
        "rate": info.average_rate,
    }


def measure_bytes_per_frame(path: Path) -> Features:
    """Measure the logarithm of the file's bytes per frame."""
    info = survey(path).info
    return {"log bytes per frame": math.log(info.bytes / info.n_frames)}


def measure_shortcuts(videos: VideoSet, *, seed: int) -> dict[str, Metric]:
    """Measure `shortcut_auc`, `shortcut_p` and `bytes_per_frame_auc`.

    Args:
        videos: Those of training and held-out people, all readable.
        seed: Of the permutations.

    Raises:
        BenchError: A video cannot be read, or the training people lack reals or fakes.
    """
    test = videos.split("holdout").rows
    labels = np.array([row.label for row in test], dtype=np.int64)
    subjects = [row.subject_id for row in test]
    container_scores = _score_with_baseline(read_container_features, videos)
    unit_p = f"p of {PERMUTATIONS} permutations of labels by person (signed ranks); below {SHORTCUT_P} is flagged"
    if 0 < labels.sum() < len(labels):
        differences = _compare_within_people(labels, container_scores, np.array(subjects))
        p = signed_rank_p(differences, permutations=PERMUTATIONS, seed=seed)
        p_metric = Metric(value=p, n=len(test), unit=unit_p, higher_is_better=None)
    else:
        p_metric = Metric(value=None, reason=_ONE_KIND, n=len(test), unit=unit_p, higher_is_better=None)
    return {
        "shortcut_auc": _make_auc_metric(labels, container_scores, subjects, "container, size, duration, frames"),
        "shortcut_p": p_metric,
        "bytes_per_frame_auc": _make_auc_metric(
            labels, _score_with_baseline(measure_bytes_per_frame, videos), subjects, "bytes per frame"
        ),
    }


_ONE_KIND = "the held-out videos are of one kind"


def _score_with_baseline(features: Callable[[Path], Features], videos: VideoSet) -> Scores:
    """Train a baseline on the training people; returns scores of the held-out videos (N,)."""
    train, holdout = videos.split("train"), videos.split("holdout")
    inputs, test_inputs = ([features(part.path(row)) for row in part] for part in (train, holdout))
    labels = [row.label for row in train]
    if len(set(labels)) < 2:
        raise BenchError("The training people lack real or fake videos.", hint="A baseline learns from both.")
    if not test_inputs:
        return np.zeros(0)
    model = make_pipeline(
        DictVectorizer(sparse=False),
        StandardScaler(),
        LogisticRegression(class_weight="balanced", max_iter=1000),
    )
    model.fit(inputs, labels)
    scores: Scores = model.decision_function(test_inputs)
    return scores.round(9)  # equal inputs are ties, whatever the order of summation


def _make_auc_metric(labels: Labels, scores: Scores, subjects: list[str], sees: str) -> Metric:
    unit = f"AUC over videos in [0, 1] of a baseline that sees only {sees}; chance 0.5"
    value = auc(labels, scores)
    if math.isnan(value):
        return Metric(value=None, reason=_ONE_KIND, n=len(labels), unit=unit, higher_is_better=None)
    interval = jackknife_interval(lambda chosen: auc(labels[chosen], scores[chosen]), subjects)
    return Metric(value=value, ci95=interval, n=len(labels), unit=unit, higher_is_better=None)


def list_flags(metrics: dict[str, Metric]) -> list[str]:
    """List failed controls in words, for the record and the leaderboard; empty if all passed.

    Args:
        metrics: Of the controls; a missing or null one is not flagged.
    """
    shift, shortcut, p, chance = (
        metrics[name].value if name in metrics else None
        for name in ("null_shift", "shortcut_p", "permutation_p", "permutation_auc")
    )
    found = []
    if shift is not None and shift > NULL_SHIFT_LIMIT:
        found.append(f"null control: reals encoded once more move by {shift:.0%} of the real-fake gap")
    if shortcut is not None and shortcut < SHORTCUT_P:
        found.append(f"shortcut: container, size, duration and frame count tell fakes (p = {shortcut:.3g})")
    if p is not None and p >= DETECTOR_P:
        found.append(f"label permutation: the detector does not beat permuted labels (p = {p:.3g})")
    if chance is not None and abs(chance - 0.5) > CHANCE_LIMIT:
        found.append(f"label permutation: permuted labels give an AUC of {chance:.3f}, not 0.5")
    return found
