"""The holdout protocol from manifest to card, with the paper's detector."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.core.files import sha256_file
from dancebench.core.nn import training
from dancebench.core.workspace import Workspace
from dancebench.datasets.corpora.manifest import write_manifest
from dancebench.detect.detectors.base import DETECTORS
from dancebench.detect.detectors.pair_patch import PairPatch, PairPatchConfig
from dancebench.detect.evaluation.calibration_metrics import describe_fakes
from dancebench.detect.evaluation.likelihood_ratios.bounds import bound_by_people
from dancebench.detect.evaluation.metrics import MEASURES
from dancebench.detect.inputs.video_set import VideoSet
from dancebench.detect.protocol import holdout
from dancebench.detect.protocol.card import CARD, DetectorCard, load_detector
from dancebench.detect.protocol.description import SHORTCUTS, VideoSetRecord, describe_video_set
from dancebench.detect.protocol.holdout import HoldoutResult, evaluate_elsewhere, train_and_evaluate

QUICK = PairPatchConfig(height=64, width=32, ndf=2, steps=6, batch=4, pairs=2)


OLD_DOMAIN = {"features": [], "precision": [], "limit": 1.5, "clips": 6, "people": 6}
"""As before version 6 of a card, its numbers left out."""


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of `result`, which was made before, are enough: drawing them is half of what an evaluation takes."""
    monkeypatch.setattr(holdout, "save_figures", lambda *_: None)


class Killed(BaseException):
    """Comes from outside, like Ctrl-C."""


# --- the result


def test_pair_patch_separates_fakes_of_held_out_people(result: HoldoutResult) -> None:
    assert result.metrics["video_auc"].value == 1.0
    pair_auc = result.metrics["pair_auc"].value
    assert pair_auc is not None
    assert pair_auc > 0.9
    assert set(result.tables.videos["subject_id"]) == {"s09", "s10", "s11", "s12"}
    assert result.failures == []


def write_before_version_6(card: DetectorCard) -> dict[str, Any]:
    """The card without what calibrations tell since version 6, as JSON."""
    data = card.model_dump(mode="json", exclude={"ratios", "revision"}) | {
        "training_domain": OLD_DOMAIN,
        "schema_version": 5,
    }
    calibration = data["calibration"]
    del calibration["uncertainty"], calibration["uncertainty_reason"]
    for name in ("video", "pair"):
        for field in ("methods", "unseen_methods", "bounds"):
            del calibration[name][field]
    return data


def tell_before_version_6(card: DetectorCard) -> DetectorCard:
    """What is read of such a card: its ratios ended at ln(people + 1), the rest is not known."""
    old = card.calibration
    bounds = bound_by_people(old.video.subjects, old.video.subjects)
    untold = {"methods": None, "unseen_methods": None, "bounds": bounds}
    calibration = {
        "video": old.video.model_copy(update=untold),
        "pair": old.pair.model_copy(update=untold),
        "uncertainty_reason": "an earlier release did not tell it",
    }
    return card.model_copy(
        update={"calibration": old.model_copy(update=calibration), "ratios": None, "training_domain": None}
    )


def test_ratios_that_held_are_in_the_card_and_none_supports_a_real(result: HoldoutResult) -> None:
    """The validation fakes are of the method that was trained on."""
    card = result.card
    assert card.ratios is not None
    assert [(each.items, each.of_people) for each in card.ratios.misleading] == [(0, 4)] * 6
    assert card.calibration.video.unseen_methods == ()
    assert (card.calibration.video.bounds.real.llr, card.calibration.uncertainty) == (0, None)
    assert "fakes of 1 method" in str(card.calibration.uncertainty_reason)
    (remark,) = describe_fakes(card.calibration)
    assert "no ratio supports a real" in remark


def test_a_card_of_version_2_is_read(result: HoldoutResult, tmp_path: Path) -> None:
    old_names = {"clip_format": "domain", "training_domain": "familiarity"}
    card = write_before_version_6(result.card)
    old = {old_names.get(name, name): value for name, value in card.items()} | {"schema_version": 2}
    (tmp_path / CARD).write_text(json.dumps(old))
    assert DetectorCard.load(tmp_path / CARD) == tell_before_version_6(result.card)


@pytest.mark.parametrize("version", [4, 5])
def test_an_older_card_is_read_without_what_it_does_not_tell(
    result: HoldoutResult, tmp_path: Path, version: int
) -> None:
    (tmp_path / CARD).write_text(json.dumps(write_before_version_6(result.card) | {"schema_version": version}))
    assert DetectorCard.load(tmp_path / CARD) == tell_before_version_6(result.card)


def test_a_detector_with_an_older_card_is_measured_again_without_training(
    result: HoldoutResult, videos: VideoSet, description: VideoSetRecord, config: PairPatchConfig, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder = tmp_path / "detector"
    shutil.copytree(result.folder, folder)
    (folder / CARD).write_text(json.dumps(write_before_version_6(result.card)))
    loaded = load_detector(folder)
    elsewhere = evaluate_elsewhere(loaded, videos, description)
    assert elsewhere.metrics["abstained"].value is None
    assert "earlier release" in str(elsewhere.metrics["abstained"].reason)
    monkeypatch.setattr(PairPatch, "fit", lambda *_: pytest.fail("it was trained again"))
    assert train_and_evaluate(videos, description, "pair-patch", config, folder).card == result.card


def test_the_card_says_what_kind_of_pictures_the_training_reals_are(result: HoldoutResult) -> None:
    assert result.card.pictures == ("camera",)


@pytest.mark.parametrize("kind", ["drawn", "camera"])
def test_a_card_of_version_3_has_the_pictures_of_its_runs_manifest(
    result: HoldoutResult, videos: VideoSet, tmp_path: Path, kind: str
) -> None:
    workspace = Workspace(tmp_path / "w").open()
    folder = workspace.detector("pair-patch", "run-1")
    folder.mkdir(parents=True)
    version_3 = write_before_version_6(result.card) | {"schema_version": 3}
    del version_3["pictures"]
    (folder / CARD).write_text(json.dumps(version_3))
    shutil.copy(result.folder / PairPatch.WEIGHTS, folder)
    assert load_detector(folder).card.pictures == ()  # without its manifest nobody knows
    write_manifest(workspace.manifest("run-1"), [row.model_copy(update={"pictures": kind}) for row in videos])
    assert load_detector(folder).card == tell_before_version_6(result.card).model_copy(update={"pictures": (kind,)})
    workspace.manifest("run-1").write_text("no manifest")
    assert load_detector(folder).card.pictures == ()
    shutil.copytree(folder, tmp_path / "alone")
    assert load_detector(tmp_path / "alone").card.pictures == ()


@pytest.mark.parametrize("place", ["clip_format", "config"])
@pytest.mark.parametrize("value", [10**9, 4097, 0, -5])
def test_a_card_of_impossible_sizes_is_refused(result: HoldoutResult, tmp_path: Path, place: str, value: int) -> None:
    card = result.card.model_dump(mode="json")
    card[place] |= {"clip_height" if place == "clip_format" else "height": value}
    (tmp_path / CARD).write_text(json.dumps(card))
    shutil.copy(result.folder / PairPatch.WEIGHTS, tmp_path)
    with pytest.raises(BenchError, match=r"card.json (is not a valid DetectorCard|has a config)") as caught:
        load_detector(tmp_path)
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_pair_patch_scores_do_not_depend_on_the_encoder(result: HoldoutResult) -> None:
    shift = result.metrics["null_shift"].value
    assert shift is not None
    assert shift <= 0.10
    (flag,) = result.card.flags
    assert flag.startswith("calibration: the 3 validation people were told apart without error")


def test_every_metric_is_named_and_has_a_confidence_interval_by_person(result: HoldoutResult) -> None:
    measured = {f"{level}_{measure}" for level in ("video", "pair") for measure in MEASURES}
    calibration = {"video_cllr", "video_cllr_min", "video_brier", "pair_brier"}
    calibration |= {"video_cllr_cal", "pair_expected_calibration_error"}
    calibration |= {f"video_misleading_{kind}{size}" for kind in ("real", "fake") for size in ("", "_10", "_100")}
    controls = {
        "null_shift", "shortcut_auc", "shortcut_p", "bytes_per_frame_auc", "permutation_auc", "permutation_p",
        "abstained",
    }  # fmt: skip
    named = {name for name in result.metrics if "@" not in name}
    assert named == measured | calibration | controls | {"video_devpav"}
    assert "separated without error" in str(result.metrics["video_devpav"].reason)
    for name in measured | calibration:
        metric = result.metrics[name]
        assert metric.value is not None
        interval = metric.ci95
        assert interval is not None
        assert (interval.subjects, interval.reliable) == (4, False)
    assert set(result.per_subject["video_accuracy"]) == {"s09", "s10", "s11", "s12"}


def test_a_run_has_the_controls_of_its_description(result: HoldoutResult, description: VideoSetRecord) -> None:
    assert {name: result.metrics[name] for name in SHORTCUTS} == description.controls


def test_the_tables_have_the_columns_of_a_submission(result: HoldoutResult) -> None:
    assert list(result.tables.pairs.columns) == ["video_id", "t", "logit"]
    assert {"video_id", "score", "status", "n_pairs", "aggregator"} <= set(result.tables.videos.columns)
    assert (result.tables.videos["n_pairs"] == 8).all()
    means = result.tables.pairs.groupby("video_id")["logit"].mean()
    scores = result.tables.videos.set_index("video_id")["score"]
    np.testing.assert_allclose(means.loc[scores.index], scores, rtol=1e-5)


def test_the_card_describes_the_detector(result: HoldoutResult) -> None:
    card = DetectorCard.load(result.folder / CARD)
    assert card == result.card
    assert card.weights_sha256 == sha256_file(result.folder / "weights.safetensors")
    assert card.data["validation"].subjects == ("s06", "s07", "s08")
    assert (card.clip_format.clip_height, card.clip_format.clip_width, card.clip_format.fps_max) == (64, 32, 25.0)
    assert card.clip_format.methods == ("blur",)
    assert (card.error_rates.n_real, card.error_rates.n_fake) == (4, 4)
    assert card.parameters == sum(8 * 16 * a * b for a, b in ((6, 1), (8, 2), (16, 4), (32, 8))) + 120 + 65 + 2 * 112
    assert sorted(path.name for path in result.folder.iterdir()) == [
        "calibration_scores.json",
        "card.json",
        "cross_entropy.svg",
        "det.svg",
        "losses.jsonl",
        "pav.svg",
        "reliability.svg",
        "roc.svg",
        "tippett.svg",
        "weights.safetensors",
    ]


def test_ratios_are_calibrated_on_the_validation_set_and_bounded_by_its_number_of_people(result: HoldoutResult) -> None:
    calibration = result.card.calibration.video
    assert (calibration.subjects, calibration.items, calibration.separable) == (3, 6, True)
    llrs = calibration.llr(result.tables.videos["score"])
    assert np.abs(llrs).max() <= np.log(4)
    cost = result.metrics["video_cllr"].value
    assert cost is not None
    assert np.log2(1 + 1 / 4) <= cost < 1


def test_source_method_and_rule_have_metrics_of_their_own(result: HoldoutResult) -> None:
    for name in ("source=same", "method=blur"):
        assert result.metrics[f"video_auc@{name}"].value == result.metrics["video_auc"].value
    rules = {name.partition("=")[2] for name in result.metrics if "@rule=" in name}
    assert rules == {"mean-logit", "product", "mean-prob", "median", "top-k", "learned"}


@pytest.mark.parametrize("aggregator", ["product", "learned"])
def test_another_aggregation_rule_changes_scores_and_threshold(
    result: HoldoutResult, videos: VideoSet, description: VideoSetRecord, config: PairPatchConfig, aggregator: str
) -> None:
    other = train_and_evaluate(videos, description, "pair-patch", config, result.folder, aggregator=aggregator)
    assert other.card.aggregator == aggregator
    assert set(other.tables.videos["aggregator"]) == {aggregator}
    logits = other.tables.pairs[other.tables.pairs["video_id"] == other.tables.videos["video_id"][0]]["logit"].to_numpy(
        np.float64
    )
    assert other.tables.videos["score"][0] == pytest.approx(other.card.rule(logits))
    assert other.card.thresholds.video != result.card.thresholds.video
    train_and_evaluate(videos, description, "pair-patch", config, result.folder)


# --- again, killed, damaged


def test_called_again_it_does_not_train_and_returns_the_same(
    result: HoldoutResult,
    videos: VideoSet,
    description: VideoSetRecord,
    config: PairPatchConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PairPatch, "fit", lambda *arguments: pytest.fail("it trained again"))
    again = train_and_evaluate(videos, description, "pair-patch", config, result.folder)
    assert again.card == result.card
    fewer = train_and_evaluate(videos, description, "pair-patch", config.model_copy(update={"pairs": 3}), result.folder)
    assert (fewer.tables.videos["n_pairs"] == 3).all()
    train_and_evaluate(videos, description, "pair-patch", config, result.folder)


def test_what_another_revision_trained_scores_nothing_and_is_trained_anew(
    videos: VideoSet, description: VideoSetRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train_and_evaluate(videos, description, "pair-patch", QUICK, tmp_path / "detector").card
    monkeypatch.setattr(PairPatch, "REVISION", 2)
    with pytest.raises(BenchError, match=r"was trained by revision 1 of 'pair-patch', this is 2"):
        load_detector(tmp_path / "detector")
    second = train_and_evaluate(videos, description, "pair-patch", QUICK, tmp_path / "detector").card
    assert (first.revision, second.revision) == (1, 2)
    assert first.training_id != second.training_id
    assert load_detector(tmp_path / "detector").card == second


def test_killed_it_resumes_to_the_same_weights(
    videos: VideoSet, description: VideoSetRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(what: str, done: int, total: int) -> None:
        if what == "training the detector" and done == 4:  # the checkpoint of step 3 is written
            raise Killed

    monkeypatch.setattr(training, "SAVE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(training, "MIN_SAVE_INTERVAL_RATIO", 0.0)
    with pytest.raises(Killed):
        train_and_evaluate(videos, description, "pair-patch", QUICK, tmp_path / "killed", kill)
    assert not (tmp_path / "killed" / CARD).exists()
    with pytest.raises(BenchError, match="no trained detector"):
        load_detector(tmp_path / "killed")

    steps: list[int] = []

    def watch(what: str, done: int, total: int) -> None:
        if what == "training the detector":
            steps.append(done)

    resumed = train_and_evaluate(videos, description, "pair-patch", QUICK, tmp_path / "killed", watch)
    whole = train_and_evaluate(videos, description, "pair-patch", QUICK, tmp_path / "whole")
    assert steps[0] == 4
    assert resumed.card == whole.card


def test_another_config_trains_anew(videos: VideoSet, description: VideoSetRecord, tmp_path: Path) -> None:
    first = train_and_evaluate(videos, description, "pair-patch", QUICK, tmp_path)
    other = train_and_evaluate(videos, description, "pair-patch", QUICK.model_copy(update={"seed": 1}), tmp_path)
    assert other.card.weights_sha256 != first.card.weights_sha256
    assert load_detector(tmp_path).card == other.card


def test_damaged_weights_are_refused(result: HoldoutResult, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(result.folder, folder)
    weights = folder / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(BenchError, match="were changed or damaged"):
        load_detector(folder)
    weights.unlink()
    with pytest.raises(BenchError, match="are missing"):
        load_detector(folder)


def test_a_card_with_a_config_of_another_release_is_refused(result: HoldoutResult, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(result.folder, folder)
    card = json.loads((folder / CARD).read_text())
    card["config"]["wavelets"] = 3
    (folder / CARD).write_text(json.dumps(card))
    with pytest.raises(BenchError, match="does not know"):
        load_detector(folder)


# --- bad input


def test_a_torn_held_out_video_is_a_failure_and_the_rest_is_measured(manifest: Path, tmp_path: Path) -> None:
    shutil.copytree(manifest.parent, tmp_path / "clips")
    (tmp_path / "clips" / "s12-blur.mp4").write_bytes(b"torn")
    videos = VideoSet.open(tmp_path / "clips" / manifest.name)
    description = describe_video_set(videos, tmp_path / "video_set.json", seed=0)
    result = train_and_evaluate(videos, description, "pair-patch", QUICK, tmp_path / "detector")
    assert [failure.item for failure in result.failures] == ["s12/s12/blur"]
    assert "was changed" in result.failures[0].reason
    assert result.metrics["video_accuracy"].n == 7
    assert result.card.error_rates.n_fake == 3
    assert result.tables.videos.set_index("video_id").loc["s12/s12/blur", "status"] == "failed"


def test_unknown_names_propose_the_nearest(videos: VideoSet, description: VideoSetRecord, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Unknown detector 'pair-pach'"):
        train_and_evaluate(videos, description, "pair-pach", QUICK, tmp_path)
    with pytest.raises(UnknownNameError, match="Unknown aggregator 'mediann'"):
        train_and_evaluate(videos, description, "pair-patch", QUICK, tmp_path, aggregator="mediann")
    assert "pair-patch" in DETECTORS.names()
