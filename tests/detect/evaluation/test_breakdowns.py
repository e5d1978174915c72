"""Breakdowns of the metrics per source motion, method and rule."""

import numpy as np
import pandas as pd
import pytest

from dancebench.detect.evaluation.aggregation import AGGREGATORS
from dancebench.detect.evaluation.breakdowns import (
    break_down_by_method,
    break_down_by_rule,
    break_down_by_source,
    select_methods,
)
from dancebench.detect.evaluation.metrics import Thresholds
from dancebench.detect.evaluation.score_tables import ScoreTables

ZERO = Thresholds(video=0.0, pair=0.0)


def tables(rows: list[tuple[str, str, str | None, float]], pairs: int = 8) -> ScoreTables:
    """(subject, source, method or None for a real, score) of each video; its pairs all have that logit."""
    videos, pair_rows = [], []
    for index, (subject, source, method, score) in enumerate(rows):
        videos.append(
            {
                "video_id": f"v{index}", "subject_id": subject, "source_id": source, "method": method,
                "label": int(method is not None), "score": score, "status": "ok", "n_pairs": pairs,
                "aggregator": "mean-logit", "reason": None,
            }
        )  # fmt: skip
        pair_rows += [{"video_id": f"v{index}", "t": t / 25, "logit": score} for t in range(pairs)]
    return ScoreTables(pd.DataFrame(pair_rows), pd.DataFrame(videos))


WORLD = [
    ("a", "a", None, -1.0),
    ("a", "a", "fbf-ts", 1.0),
    ("a", "driver", "fbf-ts", -2.0),
    ("a", "a", "posewarp", -3.0),
    ("b", "b", None, -1.5),
    ("b", "b", "fbf-ts", 2.0),
    ("b", "driver", "fbf-ts", 0.5),
    ("b", "b", "posewarp", 0.25),
]


def test_closed_form_by_source() -> None:
    metrics = break_down_by_source(select_methods(tables(WORLD), {"fbf-ts"}), ZERO)
    assert [name for name in metrics if name.startswith("video_auc")] == [
        "video_auc@source=same",
        "video_auc@source=driver",
    ]
    assert metrics["video_auc@source=same"].value == 1.0
    assert metrics["video_auc@source=driver"].value == 0.5
    assert metrics["video_accuracy@source=driver"].value == 0.75
    assert metrics["pair_accuracy@source=driver"].n == 4 * 8


def test_closed_form_by_method_compares_fakes_in_their_own_motion() -> None:
    metrics = break_down_by_method(tables(WORLD), ZERO)
    assert metrics["video_auc@method=fbf-ts"].value == 1.0
    assert metrics["video_auc@method=fbf-ts"].n == 4
    assert metrics["video_auc@method=posewarp"].value == 0.5


def test_every_rule_is_measured_and_only_the_product_depends_on_length() -> None:
    metrics = break_down_by_rule(tables(WORLD), None)
    measured = {name.partition("=")[2] for name in metrics}
    assert measured == set(AGGREGATORS.names()) - {"learned"}
    for rule in measured:
        assert metrics[f"video_auc@rule={rule}"].value == metrics["video_auc@rule=mean-logit"].value
        shift = metrics[f"length_shift@rule={rule}"].value
        assert shift is not None
        assert shift == (pytest.approx(0.5, abs=0.3) if rule == "product" else pytest.approx(0.0, abs=1e-9))


def test_methods_that_were_not_trained_on_do_not_enter_the_headline() -> None:
    kept = select_methods(tables(WORLD), {"fbf-ts"})
    assert set(kept.videos["method"].dropna()) == {"fbf-ts"}
    assert len(kept.videos) == 6
    assert set(kept.pairs["video_id"]) == set(kept.videos["video_id"])
    assert np.isfinite(kept.pairs["logit"]).all()
