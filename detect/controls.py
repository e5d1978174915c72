"""What could fake a good result: the videos of a manifest in, control metrics out.

    null_shift           reals encoded once more and paired with themselves: how far their scores move
    shortcut_auc, _p     a baseline that sees only containers, picture size, duration and frame count
    bytes_per_frame_auc  the same baseline on the bytes per frame, by which fakes differ by nature

The baselines are scikit-learn logistic regressions, trained on the training people and tested on held-out
ones. A shortcut is flagged where labels swapped within each person do as well with p < 0.01; with few
people p cannot get that small.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import rankdata
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dancebench.core.errors import BenchError
from dancebench.core.metric import Metric
from dancebench.core.progress import Report, silent
from dancebench.core.stats import jackknife_interval, permutation_p
from dancebench.datasets.decoding import opened
from dancebench.datasets.manifest import VideoRow
from dancebench.datasets.video import probe, stream, write_clip
from dancebench.detect.aggregate import aggregate
from dancebench.detect.evaluate import Labels, Scores, ScoreTables, auc
from dancebench.detect.pairs import checked_path, read_pairs
from dancebench.detect.registry import Detector

NULL_SHIFT_LIMIT = 0.10
SHORTCUT_P = 0.01
PERMUTATIONS = 999

Features = dict[str, str | float]

# ---------------------------------------------------------------- null control


def null_control(
    detector: Detector,
    root: Path,
    rows: Sequence[VideoRow],
    tables: ScoreTables,
    rule: str,
    report: Report = silent,
) -> Metric:
    """Encode every held-out real once more and see how far its score moves.

    Args:
        detector: Trained.
        root: The manifest's folder.
        rows: Held-out videos.
        tables: Their scores.
        rule: Of aggregation, by which they were scored.
        report: Progress.

    Returns:
        `null_shift`: the median of |score again - score| as a share of the gap, the median score of the
        fakes minus that of the reals. Null where the detector does not set fakes above reals.
    """
    scored = tables.scored
    before = dict(zip(scored["video_id"], scored["score"], strict=True))
    reals = [row for row in rows if row.label == 0 and row.video_id in before]
    unit = f"share of the gap between reals and fakes; at most {NULL_SHIFT_LIMIT:.2f} passes"
    medians = scored.groupby("label")["score"].median()
    of_fakes, of_reals = (float(medians[label]) if label in medians else math.nan for label in (1, 0))
    gap = of_fakes - of_reals
    if not gap > 0:
        reason = "no reals or no fakes were scored" if math.isnan(gap) else "fakes score no higher than reals"
        return Metric(value=None, reason=reason, n=len(reals), unit=unit, higher_is_better=False)
    shifts = []
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder) / "again.mp4"
        for done, row in enumerate(reals):
            report("null control", done, len(reals))
            write_clip(again, (frame for _, frame in stream(checked_path(root, row))), row.fps)
            _, pairs = read_pairs(again, detector.config.size, detector.config.count, detector.window)
            logits = detector.logits(pairs)
            shifts.append(abs(aggregate(logits, rule) - before[row.video_id]))
    report("null control", len(reals), len(reals))
    share = float(np.median(shifts)) / gap
    return Metric(value=share, n=len(reals), unit=unit, higher_is_better=False)


# ---------------------------------------------------------------- shortcuts


def container_features(path: Path) -> Features:
    """All that a file tells without its picture or its bytes: container, tags, size, duration, frames."""
    info = probe(path)
    with opened(path) as (container, video):
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


def bytes_per_frame(path: Path) -> Features:
    """Logarithm of the file's bytes per frame."""
    info = probe(path)
    return {"log bytes per frame": math.log(info.bytes / info.n_frames)}


def shortcut_controls(root: Path, rows: Sequence[VideoRow], *, seed: int) -> dict[str, Metric]:
    """`shortcut_auc`, `shortcut_p` and `bytes_per_frame_auc`.

    Args:
        root: The manifest's folder.
        rows: Videos of training and held-out people; of the held-out ones only those that were scored.
        seed: Of the permutations.

    Raises:
        BenchError: A video cannot be read, or the training people lack reals or fakes.
    """
    test = [row for row in rows if row.split == "holdout"]
    labels = np.array([row.label for row in test], dtype=np.int64)
    subjects = [row.subject_id for row in test]
    from_container = _baseline(container_features, root, rows)
    unit_p = f"p of {PERMUTATIONS} swaps of labels within people; below {SHORTCUT_P} is flagged"
    if 0 < labels.sum() < len(labels):
        ranks = rankdata(from_container)  # AUC rises with the fakes' sum of ranks, which is quicker
        _, p = permutation_p(
            lambda swapped: float(ranks[swapped == 1].sum()), labels, subjects,
            permutations=PERMUTATIONS, seed=seed,
        )  # fmt: skip
        p_metric = Metric(value=p, n=len(test), unit=unit_p, higher_is_better=None)
    else:
        p_metric = Metric(value=None, reason=_ONE_KIND, n=len(test), unit=unit_p, higher_is_better=None)
    return {
        "shortcut_auc": _auc_metric(labels, from_container, subjects, "container, size, duration, frames"),
        "shortcut_p": p_metric,
        "bytes_per_frame_auc": _auc_metric(labels, _baseline(bytes_per_frame, root, rows), subjects, "bytes per frame"),
    }


_ONE_KIND = "the held-out videos are of one kind"


def _baseline(features: Callable[[Path], Features], root: Path, rows: Sequence[VideoRow]) -> Scores:
    """Train on the training people; scores of the held-out videos (N,)."""
    seen = {split: [row for row in rows if row.split == split] for split in ("train", "holdout")}
    inputs = {split: [features(checked_path(root, row)) for row in part] for split, part in seen.items()}
    labels = [row.label for row in seen["train"]]
    if len(set(labels)) < 2:
        raise BenchError("The training people lack real or fake videos.", hint="A baseline learns from both.")
    if not inputs["holdout"]:
        return np.zeros(0)
    model = make_pipeline(
        DictVectorizer(sparse=False),
        StandardScaler(),
        LogisticRegression(class_weight="balanced", max_iter=1000),
    )
    model.fit(inputs["train"], labels)
    scores: Scores = model.decision_function(inputs["holdout"])
    return scores.round(9)  # equal inputs are ties, whatever the order of summation


def _auc_metric(labels: Labels, scores: Scores, subjects: list[str], sees: str) -> Metric:
    unit = f"AUC over videos in [0, 1] of a baseline that sees only {sees}; chance 0.5"
    value = auc(labels, scores)
    if math.isnan(value):
        return Metric(value=None, reason=_ONE_KIND, n=len(labels), unit=unit, higher_is_better=None)
    interval = jackknife_interval(lambda chosen: auc(labels[chosen], scores[chosen]), subjects)
    return Metric(value=value, ci95=interval, n=len(labels), unit=unit, higher_is_better=None)


def flags(metrics: dict[str, Metric]) -> list[str]:
    """What the controls found, in words for the record and the leaderboard; empty where all is well."""
    found = []
    shift, p = metrics["null_shift"].value, metrics["shortcut_p"].value
    if shift is not None and shift > NULL_SHIFT_LIMIT:
        found.append(f"null control: reals encoded once more move by {shift:.0%} of the real-fake gap")
    if p is not None and p < SHORTCUT_P:
        found.append(f"shortcut: container, size, duration and frame count tell fakes (p = {p:.3g})")
    return found
