"""Records before version 3: intervals of shares are made again, all else stays."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancebench.core.errors import BenchError
from dancebench.core.metric import Interval
from dancebench.core.stats.inference import JACKKNIFE_LOGIT, SHARE_METHOD, jackknife_interval, share_interval
from dancebench.leaderboards.record_versions.version2 import REMADE, remake_share_intervals
from dancebench.leaderboards.records import RunRecord

PUBLISHED = sorted((Path(__file__).resolve().parents[2] / "leaderboards" / "published" / "records").glob("*.json"))
PEOPLE, ITEMS = 6, 4
SUBJECTS = [f"s{number}" for number in range(PEOPLE) for _ in range(ITEMS)]


def dump(interval: Interval | None) -> dict[str, Any] | None:
    return None if interval is None else interval.model_dump(mode="json")


def make_metric(
    value: float, interval: Interval | None, n: int = PEOPLE * ITEMS, unit: str = "share"
) -> dict[str, Any]:
    return {"value": value, "ci95": dump(interval), "n": n, "unit": unit, "higher_is_better": True}


def compute_old(hits: list[bool]) -> tuple[float, Interval | None]:
    """A share and its interval as they were before version 3."""
    numbers = np.asarray(hits, dtype=np.float64)
    return float(numbers.mean()), jackknife_interval(lambda chosen: float(numbers[chosen].mean()), SUBJECTS)


@given(st.lists(st.booleans(), min_size=PEOPLE * ITEMS, max_size=PEOPLE * ITEMS))
def test_closed_form_the_interval_is_that_of_the_scores_themselves(hits: list[bool]) -> None:
    value, old = compute_old(hits)
    metric = make_metric(value, old)
    found = remake_share_intervals({"video_accuracy@source=same": metric}, PEOPLE)["video_accuracy@source=same"]
    now = share_interval(hits, SUBJECTS)
    assert now is not None
    assert (found["ci95"]["low"], found["ci95"]["high"]) == pytest.approx((now.low, now.high), rel=1e-6)
    assert found["ci95"]["method"] == now.method.replace(SHARE_METHOD, REMADE)
    assert {**found, "ci95": None} == {**metric, "ci95": None}


def test_a_true_positive_rate_at_a_false_positive_rate_is_of_the_fakes() -> None:
    value, old = compute_old([True] * 15 + [False] * 9)
    unit = "share of fake videos found at a false-positive rate of at most 0.05; 6 reals allow steps of 0.167"
    metrics = {
        "video_tpr_fpr5": make_metric(value, old, n=PEOPLE * ITEMS + 6, unit=unit),
        "video_tpr_fpr1": make_metric(value, old, n=PEOPLE * ITEMS + 6, unit="no word of reals"),
        "tpr@perturbation=crf40": make_metric(value, old),
    }
    found = remake_share_intervals(metrics, PEOPLE)
    assert found["video_tpr_fpr5"]["ci95"] == found["tpr@perturbation=crf40"]["ci95"]
    assert found["video_tpr_fpr5"]["ci95"]["method"] == REMADE
    assert found["video_tpr_fpr1"] == metrics["video_tpr_fpr1"]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("video_auc", {}),
        ("video_eer", {}),
        ("video_accuracy", {"n": 25}),
        ("video_accuracy", {"n": None}),
        ("video_accuracy", {"value": None}),
        ("video_accuracy", {"value": 1.0}),
        ("video_accuracy", {"ci95": {"method": "Student t over subjects", "low": 0, "high": 1, "subjects": 6}}),
        ("video_accuracy", {"ci95": {"method": JACKKNIFE_LOGIT, "low": 0.0, "high": 1.0, "subjects": 6}}),
        ("video_tpr_fpr1", {"ci95": None}),
    ],
)
def test_what_the_record_does_not_allow_stays(name: str, changes: dict[str, Any]) -> None:
    value, old = compute_old([True] * 15 + [False] * 9)
    metrics = {name: make_metric(value, old) | changes, "novelty": "text"}
    assert remake_share_intervals(metrics, PEOPLE) == metrics


def test_a_damaged_record_is_refused_by_name(make_record: Callable[..., RunRecord], tmp_path: Path) -> None:
    data = make_record("pair-patch", {"video_accuracy": 0.5}, kind="detection").model_dump(mode="json")
    broken = {"method": JACKKNIFE_LOGIT, "low": "a", "subjects": 1}
    data["metrics"]["video_accuracy"]["ci95"] = broken
    path = tmp_path / "a.json"
    path.write_text(json.dumps(data | {"schema_version": 2}))
    with pytest.raises(BenchError, match=r"is not a valid RunRecord file: metrics\.video_accuracy\.ci95"):
        RunRecord.load(path)


@pytest.mark.parametrize("version", [2, 3])
def test_intervals_of_version_3_stay(make_record: Callable[..., RunRecord], tmp_path: Path, version: int) -> None:
    unknown = make_metric(0.5, None)
    data = make_record("pair-patch", {"video_auc": 0.5}, kind="detection", subjects=PEOPLE).model_dump(mode="json")
    data["metrics"]["video_accuracy"] = unknown | {"reason": None}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(data | {"schema_version": version}))
    interval = RunRecord.load(path).metrics["video_accuracy"].ci95
    assert (interval is None) == (version == 3)


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_no_published_share_keeps_an_interval_that_is_too_short(path: Path) -> None:
    for name, metric in RunRecord.load(path).metrics.items():
        share = name.partition("@")[0] in {
            "video_accuracy", "pair_accuracy", "fpr", "tpr", "abstained", "video_tpr_fpr1", "video_tpr_fpr5",
            "pair_tpr_fpr1", "pair_tpr_fpr5",
        }  # fmt: skip
        if share and metric.value is not None:
            assert metric.ci95 is not None, name
            assert metric.ci95.method in {REMADE, "Clopper-Pearson over subjects"}, name
        elif metric.ci95 is not None:
            assert metric.ci95.method != REMADE, name
