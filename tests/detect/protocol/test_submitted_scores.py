"""Submitted scores: reading, worst scores for missing ones, and the metrics of detectors."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.datasets.corpora.manifest import Split, VideoRow, name_people, read_manifest
from dancebench.detect.evaluation.metrics import (
    NO_THRESHOLD,
    auc,
    average_precision,
    choose_threshold,
    choose_thresholds,
    collect_pairs,
    collect_videos,
    equal_error_rate,
    evaluate,
    tpr_at_fpr,
)
from dancebench.detect.protocol.score_file import Submission, read_submission
from dancebench.detect.protocol.submitted_scores import (
    SubmissionResult,
    SubmittedTables,
    measure_submission,
    tabulate_submission,
)

PEOPLE: dict[Split, range] = {"train": range(2), "validation": range(2, 4), "holdout": range(4, 8)}


def make_row(subject: int, split: Split, method: str | None) -> VideoRow:
    person = f"p{subject}"
    return VideoRow(
        video_id=f"{person}/{person}/{method or 'real'}", path=f"{person}-{method}.mp4", sha256="0" * 64,
        label=int(method is not None), split=split, people=name_people(person), method=method,
        fps=25, n_frames=20, codec="h264", crf=18, width=32, height=64,
    )  # fmt: skip


ROWS = [
    make_row(subject, split, method) for split, people in PEOPLE.items() for subject in people for method in (None, "x")
]
ASKED = [each for each in ROWS if each.split != "train"]
HELD_OUT = [each.video_id for each in ROWS if each.split == "holdout"]
PERFECT = {each.video_id: float(each.label) for each in ASKED}


def write_csv(folder: Path, lines: Sequence[str], header: str = "video_id,score") -> Path:
    path = folder / "scores.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def read(folder: Path, scores: Mapping[str, object], rows: Sequence[VideoRow] = ROWS) -> Submission:
    return read_submission(write_csv(folder, [f"{video},{score}" for video, score in scores.items()]), rows)


def measure(folder: Path, scores: Mapping[str, object]) -> tuple[SubmittedTables, SubmissionResult]:
    submitted = tabulate_submission(read(folder, scores), ROWS)
    return submitted, measure_submission(submitted, ROWS)


def list_pairs(scores: Mapping[str, object], n: int = 3) -> list[str]:
    return [f"{video},{0.04 * k},{score}" for video, score in scores.items() for k in range(n)]


# --- closed form


def test_closed_form_a_perfect_submission(tmp_path: Path) -> None:
    submitted, result = measure(tmp_path, PERFECT)
    assert result.thresholds is not None
    assert result.thresholds.video == 0.5
    for name in ("video_auc", "video_accuracy", "video_ap", "video_tpr_fpr1"):
        assert result.metrics[name].value == 1.0
        assert result.metrics[name].n == 8
    assert result.metrics["video_eer"].value == 0.0
    assert result.metrics["video_auc@source=same"].value == 1.0
    assert result.per_subject["video_auc"] == {"p4": 1.0, "p5": 1.0, "p6": 1.0, "p7": 1.0}
    assert (submitted.missing, submitted.failures) == ((), ())


def test_closed_form_a_missing_fake_is_below_and_a_missing_real_above_all(tmp_path: Path) -> None:
    scores = {video: score for video, score in PERFECT.items() if video not in ("p4/p4/x", "p5/p5/real")}
    submitted, result = measure(tmp_path, scores)
    table = submitted.holdout.videos.set_index("video_id")
    assert -2.0 < table.loc["p4/p4/x", "score"] <= -1.0
    assert 2.0 <= table.loc["p5/p5/real", "score"] < 3.0
    assert table.loc["p4/p4/x", "reason"] == "counted as the worst score: it is not in the file"
    assert result.metrics["video_auc"].value == pytest.approx(9 / 16)
    assert result.metrics["video_accuracy"].value == pytest.approx(6 / 8)
    assert [failure.item for failure in submitted.missing] == ["p4/p4/x", "p5/p5/real"]
    reason = "2 held-out videos have no score, and there is no worst likelihood ratio for them"
    assert (result.metrics["video_cllr"].value, result.metrics["video_cllr"].reason) == (None, reason)


@pytest.mark.parametrize("value", ["", "nan", "NaN", "inf", "-inf", "1e999", "2e100"])
def test_closed_form_a_score_that_is_not_finite_counts_as_missing(tmp_path: Path, value: str) -> None:
    without = {video: score for video, score in PERFECT.items() if video != "p4/p4/x"}
    lacking = tabulate_submission(read(tmp_path, without), ROWS)
    submitted = tabulate_submission(read(tmp_path, PERFECT | {"p4/p4/x": value}), ROWS)
    assert submitted.holdout.videos["score"].equals(lacking.holdout.videos["score"])
    assert submitted.missing[0].reason == f"its score is {value or 'empty'}"


def test_closed_form_a_pair_table_is_aggregated(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path, list_pairs({video: 2 * score - 1 for video, score in PERFECT.items()}), "video_id,t,logit"
    )
    submission = read_submission(path, ROWS)
    means, products = (tabulate_submission(submission, ROWS, rule) for rule in ("mean-logit", "product"))
    assert set(means.holdout.videos["score"]) == {-1.0, 1.0}
    assert set(products.holdout.videos["score"]) == {-3.0, 3.0}
    assert set(products.holdout.videos["aggregator"]) == {"product"}
    metrics = measure_submission(means, ROWS).metrics
    assert (metrics["pair_auc"].value, metrics["pair_auc"].n, metrics["pair_accuracy"].value) == (1.0, 24, 1.0)
    learned = measure_submission(tabulate_submission(submission, ROWS, "learned"), ROWS)
    assert learned.metrics["video_accuracy"].value == 1.0


def test_closed_form_a_video_with_a_bad_pair_is_lost_with_all_its_pairs(tmp_path: Path) -> None:
    lines = list_pairs(PERFECT)
    lines[lines.index("p4/p4/x,0.04,1.0")] = "p4/p4/x,0.04,"
    lines = [line for line in lines if not line.startswith("p5/p5/x")]
    submitted = tabulate_submission(read_submission(write_csv(tmp_path, lines, "video_id,t,logit"), ROWS), ROWS)
    assert [failure.reason for failure in submitted.missing] == [
        "1 of 3 pairs: its logit is empty",
        "it is not in the file",
    ]
    pairs = submitted.holdout.pairs
    assert (pairs.groupby("video_id").size() == 3).all()
    worst = pairs["logit"][pairs["video_id"].isin(["p4/p4/x", "p5/p5/x"])]
    assert worst.max() == -1.0
    assert worst.is_unique
    assert measure_submission(submitted, ROWS).metrics["pair_auc"].value == 0.5


def test_closed_form_our_own_tables_can_be_handed_in(tmp_path: Path) -> None:
    """With their further columns; labels in a file are ignored, and that is said."""
    header = "video_id,subject_id,source_id,method,label,score,status,n_pairs,aggregator,reason"
    lines = [f"{each.video_id},x,x,x,{1 - each.label},{each.label},ok,8,mean-logit," for each in ASKED]
    lines[-1] = f"{ASKED[-1].video_id},x,x,x,0,,failed,0,mean-logit,it is torn"
    submission = read_submission(write_csv(tmp_path, lines, header), ROWS)
    assert submission.remarks == ("the column label was ignored: the manifest says what is fake",)
    submitted = tabulate_submission(submission, ROWS)
    assert submitted.missing[0].reason == "its status is 'failed': it is torn"
    assert measure_submission(submitted, ROWS).metrics["video_auc"].value == 0.75


def test_only_fakes_of_the_methods_trained_on_are_in_the_main_metrics(tmp_path: Path) -> None:
    rows = [*ROWS, *(make_row(subject, "holdout", "new") for subject in PEOPLE["holdout"])]
    scores = PERFECT | {f"p{subject}/p{subject}/new": -1.0 for subject in PEOPLE["holdout"]}
    result = measure_submission(tabulate_submission(read(tmp_path, scores, rows), rows), rows)
    assert (result.metrics["video_auc"].value, result.metrics["video_auc"].n) == (1.0, 8)
    assert result.metrics["video_auc@method=new"].value == 0.0


def test_training_videos_are_ignored_with_a_remark(tmp_path: Path) -> None:
    submission = read(tmp_path, PERFECT | {"p0/p0/real": 5.0, "p0/p0/x": -5.0, "p1/p1/x": 0.0})
    assert submission.remarks == ("the scores of 3 training videos were ignored",)
    assert len(submission.table) == len(ASKED)


# --- unit and sign


SET_OF_THREE: list[tuple[Split, int, str]] = [("train", 3, "t"), ("validation", 10, "v"), ("holdout", 14, "h")]


def make_probabilities() -> tuple[list[VideoRow], dict[str, float]]:
    """Reals about 0.15 and fakes about 0.85, of 10 validation and 14 held-out people."""
    people = [(split, f"{letter}{k:02d}") for split, count, letter in SET_OF_THREE for k in range(count)]
    rows = [
        make_row(0, split, method).model_copy(update={"video_id": f"{person}/{method}", "people": name_people(person)})
        for split, person in people
        for method in (None, "x")
    ]
    rng = np.random.default_rng(0)
    noisy = {row.video_id: (0.85 if row.label else 0.15) + rng.normal(0, 0.12) for row in rows}
    asked = {row.video_id for row in rows if row.split != "train"}
    return rows, {video: float(np.clip(score, 0.001, 0.999)) for video, score in noisy.items() if video in asked}


def test_closed_form_no_metric_depends_on_the_unit(tmp_path: Path) -> None:
    rows, scores = make_probabilities()
    found = []
    for scale, shift in ((1, 0), (100, 0), (1e-3, 0), (3, -7)):
        moved = {video: scale * score + shift for video, score in scores.items()}
        found.append(measure_submission(tabulate_submission(read(tmp_path, moved, rows), rows), rows).metrics)
    assert found[0]["video_cllr"].value == pytest.approx(0.5983, abs=5e-5)  # where no floor on the temperature binds
    for metrics in found[1:]:
        for name in ("video_cllr", "video_cllr_min", "video_brier", "video_auc", "video_accuracy", "video_eer"):
            assert metrics[name].value == pytest.approx(found[0][name].value, abs=1e-6), name


def test_a_percentage_with_few_digits_gives_the_metrics_of_the_probability(tmp_path: Path) -> None:
    """One validation person, and gaps of equal width that no longer are after rounding."""
    rows = [each for each in ROWS if each.subject_id != "p3"]
    digits = [722, 9946, 1373, 8051, 3511, 9634, 3511, 5891, 1373, 8051]
    asked = [each.video_id for each in rows if each.split != "train"]
    of_one, of_hundred = (
        measure_submission(
            tabulate_submission(read(tmp_path, {v: d / unit for v, d in zip(asked, digits, strict=True)}, rows), rows),
            rows,
        ).metrics
        for unit in (10000, 100)
    )
    for name in ("video_cllr", "video_brier", "video_accuracy"):
        assert of_one[name].value == pytest.approx(of_hundred[name].value, abs=1e-6)


def test_a_score_of_the_wrong_sign_is_questioned(tmp_path: Path) -> None:
    _, right = measure(tmp_path, PERFECT)
    _, wrong = measure(tmp_path, {video: -score for video, score in PERFECT.items()})
    assert not [flag for flag in right.flags if "polarity" in flag]
    assert wrong.flags[0].startswith("polarity: the video AUC is 0.000, below chance: is the polarity right?")
    _, chance = measure(tmp_path, dict.fromkeys(PERFECT, 0.5))
    assert chance.metrics["video_auc"].value == 0.5
    assert not [flag for flag in chance.flags if "polarity" in flag]


# --- validation set


def test_without_validation_scores_only_what_needs_a_threshold_is_null(tmp_path: Path) -> None:
    submitted, result = measure(tmp_path, {video: PERFECT[video] for video in HELD_OUT})
    assert result.thresholds is None
    assert (result.metrics["video_accuracy"].value, result.metrics["video_accuracy"].reason) == (None, NO_THRESHOLD)
    assert result.metrics["video_cllr"].reason == "no scores of validation people, so no calibration"
    assert [result.metrics[f"video_{name}"].value for name in ("auc", "ap", "eer")] == [1.0, 1.0, 0.0]
    assert submitted.failures == ()


def test_a_missing_validation_score_is_reported_and_changes_nothing_else(tmp_path: Path) -> None:
    submitted, result = measure(tmp_path, {video: score for video, score in PERFECT.items() if video != "p2/p2/x"})
    assert [failure.item for failure in submitted.failures] == ["p2/p2/x"]
    assert submitted.missing == ()
    assert result.metrics["video_accuracy"].value == 1.0
    assert result.metrics["video_cllr"].value is not None


def test_thresholds_and_metrics_are_those_of_any_detector(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scores = {video: label + rng.normal() for video, label in PERFECT.items()}
    path = write_csv(tmp_path, list_pairs(scores), "video_id,t,logit")
    submitted = tabulate_submission(read_submission(path, ROWS), ROWS)
    result, thresholds = measure_submission(submitted, ROWS), choose_thresholds(submitted.validation)
    assert result.thresholds == thresholds
    for name, metric in evaluate(submitted.holdout, thresholds).items():
        assert result.metrics[name] == metric


# --- laws

scorings = st.lists(st.integers(-500, 500), min_size=len(ASKED), max_size=len(ASKED), unique=True).map(
    lambda tenths: {video: tenth / 10 for video, tenth in zip(PERFECT, tenths, strict=True)}
)  # no ties: where they are broken, average precision may rise


def compute_metrics(folder: Path, lines: Sequence[str], header: str) -> dict[str, float]:
    """Metrics without their confidence intervals, which take long; higher is better."""
    submitted = tabulate_submission(read_submission(write_csv(folder, lines, header), ROWS), ROWS)
    levels = {"video": collect_videos, "pair": collect_pairs}
    metrics = {}
    for name, level in levels.items():
        labels, scores, *_ = level(submitted.holdout)
        if len(labels):
            validation = level(submitted.validation)
            positive = scores > choose_threshold(validation.labels, validation.scores)
            metrics |= {
                f"{name}_auc": auc(labels, scores),
                f"{name}_ap": average_precision(labels, scores),
                f"{name}_eer": -equal_error_rate(labels, scores),
                f"{name}_tpr": tpr_at_fpr(labels, scores, 0.05),
                f"{name}_accuracy": float((positive == labels).mean()),
            }
    return metrics


def list_lines(scores: Mapping[str, float], pairs: bool) -> tuple[list[str], str]:
    if pairs:
        lines = [f"{video},{0.04 * k},{score + k / 100}" for video, score in scores.items() for k in range(3)]
        return lines, "video_id,t,logit"
    return [f"{video},{score}" for video, score in scores.items()], "video_id,score"


@given(scores=scorings, pairs=st.booleans(), seed=st.randoms(use_true_random=False))
@settings(max_examples=8, deadline=None)
def test_the_order_of_the_rows_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, scores: dict[str, float], pairs: bool, seed: random.Random
) -> None:
    folder = tmp_path_factory.mktemp("order")
    lines, header = list_lines(scores, pairs)
    shuffled = seed.sample(lines, len(lines))
    assert compute_metrics(folder, lines, header) == compute_metrics(folder, shuffled, header)


@given(scores=scorings, lost=st.sets(st.sampled_from(HELD_OUT), min_size=1, max_size=7), pairs=st.booleans())
@settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.generate])
def test_leaving_videos_out_never_improves_a_metric(
    tmp_path_factory: pytest.TempPathFactory, scores: dict[str, float], lost: set[str], pairs: bool
) -> None:
    folder = tmp_path_factory.mktemp("lost")
    whole = compute_metrics(folder, *list_lines(scores, pairs))
    cut = compute_metrics(folder, *list_lines({video: scores[video] for video in scores if video not in lost}, pairs))
    assert [name for name, value in cut.items() if value > whole[name] + 1e-9] == []


# --- bad input


@pytest.mark.parametrize(
    ("lines", "header", "message"),
    [
        (["p4/p4/x,1", "p4/p4/x,2"], "video_id,score", "scores a video or a pair twice: p4/p4/x"),
        (["p4/p4/x,0.1,1", "p4/p4/x,0.10,2"], "video_id,t,logit", "scores a video or a pair twice: p4/p4/x"),
        ([f"q{k},1" for k in range(5)], "video_id,score", "does not list: q0, q1, q2 and 2 more"),
        (["p4/p4/x,high", "p5/p5/x,1_000"], "video_id,score", r"p4/p4/x \('high'\), p5/p5/x \('1_000'\)"),
        (["p4/p4/x,soon,1"], "video_id,t,logit", r"has a t that is not a number: p4/p4/x \('soon'\)"),
        (["p4/p4/x,,1"], "video_id,t,logit", "has a t that is not a finite number of seconds: p4/p4/x"),
        (["p4/p4/x,1"], "video_id,value", "has no column score"),
        (["p4/p4/x,1"], "video,value", "has no column video_id and no column score"),
        (["p4/p4/x,1"], "video_id,logit", "has no column t"),
        (["p4/p4/x;1"], "video_id;score", "has no column video_id"),
        (["p4/p4/x,1,2,3"], "video_id,t,logit,score", "has both score and logit"),
        (["p4/p4/x,1,2"], "video_id,score,mood", "unknown or repeated columns: mood"),
        (["p4/p4/x,1,2"], "video_id,score,score", "unknown or repeated columns: score"),
        (["p4/p4/x,1,2"], "video_id,score", "scores.csv:2 has 3 columns, not 2"),
        (['"p4/p4/x,1'], "video_id,score", "is not a CSV in UTF-8"),
        ([], "video_id,score", "holds no scores"),
        ([], "", "holds no text"),
        (["p4/p4/x,1", "", "p5/p5/x,?"], "video_id,score", r"^scores.csv:4 has a score that is not a number"),
        (["p4/p4/x,1", "Mean,0.5"], "video_id,score", r"^scores.csv:3 scores videos .* does not list: Mean"),
        (["p4/p4/x,1", ",0.5"], "video_id,score", r"^scores.csv:3 scores videos .* does not list: none"),
        (["p4/p4/x,1", ",,", "p4/p4/x,2"], "video_id,score", r"^scores.csv:4 .*p4/p4/x \(first on line 2\)"),
        (["p4/p4/x;1"], "video_id;score", "^scores.csv:1 has no column .*: it is separated by semicolons"),
        (["p4/p4/x\t1"], "video_id\tscore", "^scores.csv:1 has no column .*: it is separated by tabs"),
        (["p4/p4/x,1", "p5/p5/x;1"], "video_id,score", "^scores.csv:3 has 1 columns, not 2: .* semicolons"),
        (["p4/p4/x,1"], "Video_ID,Score", "^scores.csv:1 .*: 'Video_ID' is written video_id, 'Score' is written score"),
        (["p4/p4/x,1,2"], "video_id,score,", "^scores.csv:2 has 3 columns, not 2"),
        (["p4/p4/x,1,2"], "video_id,,score", "^scores.csv:1 has unknown .* columns: one without a name"),
    ],
)
def test_a_bad_file_is_refused_with_the_reason(tmp_path: Path, lines: list[str], header: str, message: str) -> None:
    with pytest.raises(BenchError, match=message) as caught:
        read_submission(write_csv(tmp_path, lines, header), ROWS)
    assert caught.value.hint


def test_a_file_that_is_no_text_or_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_bytes(b"PAR1\xff\xfe\x00")
    with pytest.raises(BenchError, match="is not a CSV in UTF-8"):
        read_submission(path, ROWS)
    with pytest.raises(BenchError, match="cannot be read: No such file"):
        read_submission(tmp_path / "none.csv", ROWS)
    with pytest.raises(BenchError, match="cannot be read: Is a directory"):
        read_submission(tmp_path, ROWS)


def test_a_byte_order_mark_blank_lines_and_spaces_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_bytes(b"\xef\xbb\xbfvideo_id, score\r\n\r\np4/p4/x, 1.5 \r\n")
    assert read_submission(path, ROWS).table["value"].tolist() == [1.5]


def test_what_a_spreadsheet_leaves_behind_is_ignored(tmp_path: Path) -> None:
    plain = read_submission(write_csv(tmp_path, ["p4/p4/x,1.5", "p4/p4/real,"]), ROWS)
    lines = ["p4/p4/x,1.5,,", ",,,", "p4/p4/real,,,", ",", " , ,,", ""]
    left_over = read_submission(write_csv(tmp_path, lines, "video_id,score,,"), ROWS)
    assert left_over.table.equals(plain.table)


@pytest.mark.parametrize("scores", [{"p2/p2/x": 1.0}, {"p0/p0/x": 1.0}, {"p4/p4/x": "nan"}])
def test_a_file_without_held_out_scores_is_refused(tmp_path: Path, scores: dict[str, object]) -> None:
    submission = read(tmp_path, scores)
    with pytest.raises(BenchError, match="scores none of the held-out videos: p4/p4/real: it is not in the file"):
        tabulate_submission(submission, ROWS)


def test_an_aggregation_rule_must_exist_and_have_pairs_to_aggregate(tmp_path: Path) -> None:
    submission = read(tmp_path, PERFECT)
    with pytest.raises(BenchError, match="one score per video, so there is nothing to aggregate"):
        tabulate_submission(submission, ROWS, "product")
    with pytest.raises(UnknownNameError, match="Unknown aggregator 'mean-logits'"):
        tabulate_submission(submission, ROWS, "mean-logits")


# --- a real manifest


def test_a_manifest_of_clips_end_to_end(manifest: Path, tmp_path: Path) -> None:
    """Scores of another system for the tiny clips: labels with noise."""
    rows = read_manifest(manifest)
    rng = np.random.default_rng(1)
    scores = {each.video_id: round(each.label + rng.normal(0, 0.6), 3) for each in rows if each.split != "train"}
    submitted = tabulate_submission(read(tmp_path, scores, rows), rows)
    metrics = measure_submission(submitted, rows).metrics
    level = collect_videos(submitted.holdout)
    assert metrics["video_auc"].value == auc(level.labels, level.scores)
    assert metrics["video_auc"].n == 8
    assert metrics["video_auc"].ci95 is not None
    assert metrics["video_auc"].ci95.subjects == 4
    assert metrics["pair_auc"].reason == "no pair was scored"
    assert metrics["null_shift"].reason == "a submitted score file: the detector is not here"
