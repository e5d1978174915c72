"""Robustness of detectors with known logits, on clips with known perturbed copies."""

import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from dancebench.core.errors import UnknownNameError
from dancebench.core.files import sha256_file
from dancebench.datasets.corpora.manifest import read_manifest, write_manifest
from dancebench.datasets.video.clips import probe
from dancebench.detect.detectors.base import Detector, DetectorConfig, Logits
from dancebench.detect.evaluation.aggregation import LearnedRule
from dancebench.detect.evaluation.metrics import Thresholds, evaluate
from dancebench.detect.evaluation.plots import ROBUSTNESS_COLUMNS
from dancebench.detect.evaluation.robustness import (
    COLUMNS,
    evaluate_robustness,
    measure_unseen_auc,
    score_perturbed,
    summarise,
    tabulate_robustness,
    write_perturbed,
)
from dancebench.detect.evaluation.score_tables import make_score_tables
from dancebench.detect.inputs.pairs import PairPool, Pairs
from dancebench.detect.inputs.perturbations import NONE, PERTURBATIONS
from dancebench.detect.inputs.video_set import VideoSet

CONFIG = DetectorConfig(height=64, width=32, pairs=4)
ZERO = Thresholds(video=0.0, pair=0.0)
SUBJECTS = 4
CHECKS = np.where(np.indices((64, 32)).sum(axis=0) % 2, 1, -1)


class Stub(Detector):
    """Its logit is a function of the grey values float64 (64, 32) of the first frame of a pair."""

    Config = DetectorConfig

    def __init__(self, of_frame: Callable[[npt.NDArray[np.float64]], float]) -> None:
        super().__init__(CONFIG)
        self.of_frame = of_frame

    def logits(self, pairs: Pairs) -> Logits:
        return np.array([self.of_frame(frame.mean(axis=2)) for frame in pairs[:, 0]], dtype=np.float32)

    def fit(self, pool: PairPool, state: Path, report: object) -> None:
        raise NotImplementedError

    @property
    def parameters(self) -> int:
        return 0

    def save(self, folder: Path) -> None:
        raise NotImplementedError

    @classmethod
    def load(cls, folder: Path, config: DetectorConfig, device: str = "cpu") -> Self:
        raise NotImplementedError


def checkered(frame: npt.NDArray[np.float64]) -> float:
    """Measures a checkerboard of single pixels, in steps of two grey levels: 5 where the fakes' is intact, minus 3."""
    return round(float((frame * CHECKS).mean()) / 2) - 3.0


def bright(frame: npt.NDArray[np.float64]) -> float:
    return float(frame.mean()) - 128


def unsharp(frame: npt.NDArray[np.float64]) -> float:
    return 5 - float(np.log(cv2.Laplacian(frame, cv2.CV_64F).var()))


@pytest.fixture(scope="module")
def checkerboards(tmp_path_factory: pytest.TempPathFactory, clips: SimpleNamespace) -> VideoSet:
    """Fakes are the reals, 24 grey levels brighter, with a checkerboard of amplitude 10."""
    folder = tmp_path_factory.mktemp("checkered")
    rows = []
    for subject in range(SUBJECTS):
        scenes = [cv2.GaussianBlur(frame, (0, 0), 1.5) for frame in clips.real_frames(subject, n_frames=6)]
        level = np.mean(scenes) - 116
        reals = [(frame - level).clip(20, 220) for frame in scenes]
        fakes = [frame + 24 + 10 * CHECKS[..., None] for frame in reals]
        for label, frames in enumerate((reals, fakes)):
            rows.append(clips.add_video(folder, subject, "holdout", label, [f.astype(np.uint8) for f in frames]))
    return VideoSet(folder, tuple(rows))


# ---------------------------------------------------------------- copies


def test_closed_form_a_copy_is_described(checkerboards: VideoSet, tmp_path: Path) -> None:
    original = checkerboards.rows[0]
    copies = write_perturbed(checkerboards, original, PERTURBATIONS["halfrate"], tmp_path)
    (copy,) = copies
    path = copies.path(copy)
    info = probe(path)
    assert path == tmp_path / copy.path
    assert copy.video_id == f"{original.video_id}@halfrate"
    assert (copy.derived_from, copy.perturbation) == (original.video_id, "halfrate")
    assert (copy.fps, copy.n_frames) == (original.fps / 2, 3) == (info.fps, info.n_frames)
    assert copy.sha256 == sha256_file(path)
    assert (copy.label, copy.subject_id, copy.width, copy.height) == (0, original.subject_id, 32, 64)
    write_manifest(tmp_path / "manifest.jsonl", copies)
    assert read_manifest(tmp_path / "manifest.jsonl") == [copy]


def test_closed_form_breaks_move_with_the_frames(checkerboards: VideoSet, tmp_path: Path) -> None:
    """Of frames 0 to 5 half the rate keeps 0, 2 and 4: what began at 3 begins at 4, the second that is kept."""
    row = checkerboards.rows[0].model_copy(update={"breaks": (3, 5)})
    halved = write_perturbed(checkerboards, row, PERTURBATIONS["halfrate"], tmp_path)
    noisy = write_perturbed(checkerboards, row, PERTURBATIONS["noise5"], tmp_path)
    assert [copy.rows[0].breaks for copy in (halved, noisy)] == [(2,), (3, 5)]


def test_closed_form_a_copy_comes_from_the_one_encoder(checkerboards: VideoSet, tmp_path: Path) -> None:
    row = checkerboards.rows[0]
    copies = [write_perturbed(checkerboards, row, PERTURBATIONS[name], tmp_path) for name in ("crf40", "noise5")]
    infos = [probe(copy.path(each)) for copy in copies for each in copy]
    kinds = {(info.codec, info.pix_fmt, info.container) for info in infos}
    original = probe(checkerboards.path(row))
    assert kinds == {(original.codec, original.pix_fmt, original.container)}
    assert {each.crf for copy in copies for each in copy} == {row.crf}


# ---------------------------------------------------------------- scores and metrics


def test_closed_form_downscaling_removes_the_artifact(checkerboards: VideoSet) -> None:
    table, metrics = evaluate_robustness(
        Stub(checkered), checkerboards, "mean-logit", ZERO, names=["resize50", "brighter"]
    )
    value = {name.replace("perturbation=", ""): metric.value for name, metric in metrics.items()}
    assert (value["video_auc@none"], value["fpr@none"], value["tpr@none"]) == (1, 0, 1)
    assert (value["video_auc@resize50"], value["pair_auc@resize50"], value["auc_loss@resize50"]) == (0.5, 0.5, 0.5)
    assert (value["fpr@resize50"], value["tpr@resize50"]) == (0, 0)
    assert (value["video_auc@brighter"], value["auc_loss@brighter"], value["tpr@brighter"]) == (1, 0, 1)
    assert set(table.loc[table["perturbation"] == "resize50", "score"]) == {-3.0}
    assert "auc_loss@perturbation=none" not in metrics


def test_closed_form_a_shift_of_all_scores_costs_no_auc_but_gives_false_positives(checkerboards: VideoSet) -> None:
    _, metrics = evaluate_robustness(Stub(bright), checkerboards, "mean-logit", ZERO, names=["darker", "brighter"])
    value = {name: metric.value for name, metric in metrics.items()}
    assert [value[f"video_auc@perturbation={name}"] for name in (NONE, "darker", "brighter")] == [1, 1, 1]
    assert [value[f"fpr@perturbation={name}"] for name in (NONE, "darker", "brighter")] == [0, 0, 1]
    assert [value[f"tpr@perturbation={name}"] for name in (NONE, "darker", "brighter")] == [1, 0, 1]


def test_closed_form_blur_defeats_a_detector_of_sharpness(videos: VideoSet) -> None:
    held_out = videos.split("holdout")
    scores = make_score_tables(Stub(unsharp), held_out).videos
    real, fake = (scores.loc[scores["label"] == label, "score"] for label in (0, 1))
    threshold = Thresholds(video=(real.max() + fake.min()) / 2, pair=0.0)
    _, metrics = evaluate_robustness(Stub(unsharp), held_out, "mean-logit", threshold, names=["blur3"])
    assert (metrics["fpr@perturbation=none"].value, metrics["fpr@perturbation=blur3"].value) == (0, 1)
    loss = metrics["auc_loss@perturbation=blur3"]
    assert loss.value is not None
    assert loss.value > 0.1


def test_foreign_reference_untouched_clips_score_as_in_the_evaluation(checkerboards: VideoSet) -> None:
    tables = make_score_tables(Stub(bright), checkerboards)
    table = score_perturbed(Stub(bright), checkerboards, NONE, "mean-logit")
    assert table["score"].tolist() == tables.videos["score"].tolist()
    assert np.concatenate(table["logits"]).tolist() == tables.pairs["logit"].tolist()
    mine, theirs = summarise([table], ZERO), evaluate(tables, ZERO)
    assert mine["video_auc@perturbation=none"] == theirs["video_auc"]
    assert mine["pair_auc@perturbation=none"] == theirs["pair_auc"]


def test_closed_form_a_table_is_complete(checkerboards: VideoSet) -> None:
    table = score_perturbed(Stub(bright), checkerboards, "crf40", "median")
    assert list(table.columns) == COLUMNS
    assert table["video_id"].tolist() == [row.video_id for row in checkerboards]
    assert set(table["status"]) == {"ok"}
    assert (table["family"] == "h264").all()
    assert (table["strength"] == 40).all()
    assert (table["kind"] == "attack").all()
    assert [np.median(logits) for logits in table["logits"]] == pytest.approx(table["score"].tolist())
    assert table["n_pairs"].tolist() == [4] * len(checkerboards)


@pytest.mark.parametrize("rule", ["top-k", LearnedRule(intercept=1, mean=2, quantiles=(0, 0, 0, 0, 0), subjects=3)])
def test_closed_form_a_rule_is_pickled_by_name_or_fitted(rule: str | LearnedRule, checkerboards: VideoSet) -> None:
    one = VideoSet(checkerboards.root, checkerboards.rows[:1])
    arguments = pickle.loads(pickle.dumps((Stub(bright), one, NONE, rule)))
    table = score_perturbed(*arguments)
    (logits,) = table["logits"]
    expected = max(logits) if rule == "top-k" else 1 + 2 * np.mean(logits)
    assert table["score"].tolist() == pytest.approx([expected])


def test_closed_form_tables_survive_parquet_and_become_a_plot(checkerboards: VideoSet, tmp_path: Path) -> None:
    gone = checkerboards.rows[0].model_copy(update={"video_id": "s99/s99/real", "path": "gone.mp4"})
    failing = VideoSet(checkerboards.root, (*checkerboards.rows, gone))
    table, metrics = evaluate_robustness(Stub(bright), failing, "mean-logit", ZERO, names=["beautified"])
    parts = []
    for name, part in table.groupby("perturbation", sort=False):
        part.to_parquet(tmp_path / f"{name}.parquet", index=False)
        parts.append(pd.read_parquet(tmp_path / f"{name}.parquet"))
    assert summarise(parts, ZERO) == metrics
    plotted = tabulate_robustness(metrics, "pair-patch")
    assert tuple(plotted.columns) == ROBUSTNESS_COLUMNS
    assert plotted[["perturbation", "family", "auc", "false_positive_rate"]].to_numpy().tolist() == [
        [NONE, "none", 1, 0],
        ["beautified", "edit", 1, 0],
    ]
    interval = metrics["video_auc@perturbation=beautified"].ci95
    assert interval is not None
    assert plotted.loc[1, ["low", "high"]].tolist() == [interval.low, interval.high]


def test_closed_form_progress_is_reported(checkerboards: VideoSet) -> None:
    progress: list[tuple[str, int, int]] = []
    two = VideoSet(checkerboards.root, checkerboards.rows[:2])
    score_perturbed(Stub(bright), two, "jpeg50", "median", lambda *call: progress.append(call))
    assert progress == [("scoring under jpeg50", done, 2) for done in range(3)]


# ---------------------------------------------------------------- bad input


def test_bad_input_a_video_that_fails_is_a_row_with_its_reason(tmp_path: Path, clips: SimpleNamespace) -> None:
    short = clips.add_video(tmp_path, 90, "holdout", 0, clips.real_frames(90, n_frames=2))
    long = clips.add_video(tmp_path, 91, "holdout", 1, clips.real_frames(91, n_frames=6))
    gone = long.model_copy(update={"video_id": "s92/s92/blur", "path": "gone.mp4"})
    failing = VideoSet(tmp_path, (short, long, gone))
    result = evaluate_robustness(Stub(bright), failing, "mean-logit", ZERO, names=["halfrate", "blur1"])
    table = result.table.set_index(["perturbation", "video_id"])
    assert table["status"].value_counts().to_dict() == {"ok": 5, "failed": 4}
    assert (
        table.loc[("halfrate", short.video_id), "reason"] == f"{short.video_id}@halfrate.mp4 has fewer than two frames."
    )
    assert "does not exist" in table.loc[("blur1", gone.video_id), "reason"]
    assert table.loc[("blur1", gone.video_id), "logits"] == []
    assert result.metrics["video_auc@perturbation=halfrate"].reason == "all scored videos are of one kind"
    assert result.metrics["fpr@perturbation=halfrate"].reason == "no real video was scored"
    assert result.metrics["video_auc@perturbation=blur1"].n == 2


def test_bad_input_nothing_scored_is_null_with_its_reason(tmp_path: Path, checkerboards: VideoSet) -> None:
    gone = VideoSet(tmp_path, checkerboards.rows)
    metrics = summarise([score_perturbed(Stub(bright), gone, "blur1", "median")], ZERO)
    assert {metric.value for metric in metrics.values()} == {None}
    assert metrics["video_auc@perturbation=blur1"].reason == "no video was scored"
    assert metrics["auc_loss@perturbation=blur1"].reason == "no untouched video was scored"


def test_closed_form_a_loss_is_of_the_videos_scored_both_ways() -> None:
    def table(name: str, scores: list[float]) -> pd.DataFrame:
        people = ["a", "a", "b", "b", "c", "c"]
        return pd.DataFrame(
            {
                "perturbation": name, "video_id": [f"v{index}" for index in range(6)], "subject_id": people,
                "label": [0, 1] * 3, "score": scores, "logits": [[score] for score in scores],
                "status": ["failed" if np.isnan(score) else "ok" for score in scores],
            }
        )  # fmt: skip

    before = table(NONE, [0, 1, 0, 1, 2, -2])  # c is misclassified
    after = table("blur1", [0, 1, 2, 1, np.nan, np.nan])  # b's real moves above the fakes; c fails
    loss = summarise([before, after], ZERO)["auc_loss@perturbation=blur1"]
    assert (loss.value, loss.n) == (0.5, 4)
    assert loss.ci95 is not None
    assert (loss.ci95.low, loss.ci95.high) == (-1, 1)  # of two people: anything
    assert loss.higher_is_better is False
    unmoved = summarise([before, table("blur1", before["score"].tolist())], ZERO)["auc_loss@perturbation=blur1"]
    assert (unmoved.value, unmoved.ci95) == (0, None)


def test_bad_input_an_unknown_name_is_refused_before_any_work(tmp_path: Path, checkerboards: VideoSet) -> None:
    gone = VideoSet(tmp_path, checkerboards.rows)
    for call in (
        lambda: evaluate_robustness(Stub(bright), gone, "mean-logit", ZERO, names=["blur1", "bluur3"]),
        lambda: score_perturbed(Stub(bright), gone, "bluur3", "mean-logit"),
    ):
        with pytest.raises(UnknownNameError, match="'bluur3'") as refused:
            call()
        assert "Did you mean 'blur3'?" in str(refused.value.hint)
    with pytest.raises(UnknownNameError, match="'mean-logits'"):
        score_perturbed(Stub(bright), gone, "blur3", "mean-logits")


# ---------------------------------------------------------------- the mean over what is unseen


def make_copies(perturbation: str, of_method: dict[str, float], people: int = 6) -> pd.DataFrame:
    """Each person's real, scored between 0 and 1, and a fake of each method, whose scores are shifted by a number."""
    reals = np.linspace(0, 1, people)
    rows = [
        {"perturbation": perturbation, "video_id": f"s{at}/{method or 'real'}", "subject_id": f"s{at}",
         "method": method, "label": int(method is not None), "score": value + shift, "status": "ok"}
        for method, shift in {None: 0.0, **of_method}.items()
        for at, value in enumerate(reals)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_closed_form_the_unseen_auc_is_the_mean_over_methods_and_perturbations() -> None:
    """Fakes 10 higher give 1, those 10 lower 0; of those 0.3 higher, i + 2 reals lie below fake i, at most 6."""
    tables = [make_copies("blur1", {"ddg": 10, "posewarp": 0.3}), make_copies("noise5", {"ddg": -10, "posewarp": 10})]
    [metric] = measure_unseen_auc(tables, ["ddg", "posewarp"]).values()
    assert metric.value == pytest.approx((1 + (2 + 3 + 4 + 5 + 6 + 6) / 36 + 0 + 1) / 4)
    assert metric.n == 2 * 3 * 6
    assert metric.ci95 is not None
    assert metric.ci95.subjects == 6
    assert metric.ci95.low < metric.value < metric.ci95.high


def test_fakes_of_another_method_are_no_part_of_the_unseen_auc() -> None:
    tables = [make_copies("blur1", {"ddg": 10, "fbf": -10})]
    assert measure_unseen_auc(tables, ["ddg"])["video_auc_unseen"].value == 1


def test_without_an_unseen_method_the_unseen_auc_is_null_with_its_reason() -> None:
    [metric] = measure_unseen_auc([make_copies("blur1", {})], []).values()
    assert (metric.value, metric.ci95) == (None, None)
    assert metric.reason == "there is no fake of a method that it was not trained on"


def test_where_one_auc_of_the_mean_is_missing_it_is_null_and_names_it() -> None:
    lost = make_copies("noise5", {"ddg": 1})
    lost.loc[lost["label"] == 1, "status"] = "failed"
    [metric] = measure_unseen_auc([make_copies("blur1", {"ddg": 1}), lost], ["ddg"]).values()
    assert metric.value is None
    assert metric.reason == "ddg under noise5: all scored videos are of one kind"
