"""Making of the shipped detector: what is left out of what, what stops it, and that it is the same again."""

import csv
import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from outside_files import moving, write_video

from dancebench.core.errors import BenchError
from dancebench.core.progress import ignore_progress
from dancebench.detect.casework.score import score_video
from dancebench.detect.detectors.typicality.detector import Typicality, TypicalityConfig
from dancebench.detect.evaluation.calibration_metrics import fit_calibrations
from dancebench.detect.evaluation.score_tables import ScoreTables, make_score_tables
from dancebench.detect.inputs.video_set import VideoSet
from dancebench.detect.protocol.card import load_detector
from dancebench.detect.shipped import material as module
from dancebench.detect.shipped.crossfit import cross_fit, decide_left_out, fit_to_reals, keep_ratios
from dancebench.detect.shipped.files import check_shipped, describe_shipped
from dancebench.detect.shipped.making import make_detector
from dancebench.detect.shipped.material import read_material, watch
from dancebench.detect.shipped.sources import SourcesRecord

CONFIG = TypicalityConfig(view="native", height=96, width=96, pairs=3, windows=3, patches=1, parts=("patches", "whole"))


def rewrite(source: Path, target: Path, change: dict[str, str], *, only: str = "") -> Path:
    """The list with other cells in every line, or in those of one video."""
    with source.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with target.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(row | change if only in row["path"] else row for row in rows)
    return target


@pytest.fixture(scope="module")
def made(material: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the detector; the folder of work lies beside it."""
    root = tmp_path_factory.mktemp("made")
    make_detector(material / "videos", material / "list.csv", root / "work", root / "detector", ignore_progress, CONFIG)
    return root / "detector"


# --- the whole


def test_it_is_made_whole_scores_a_video_and_tells_its_sources(made: Path, tmp_path: Path) -> None:
    assert check_shipped(made) == made
    loaded = load_detector(made)
    assert loaded.card.calibration.video.unseen_methods == ("flat", "grain")
    assert loaded.card.data["train"].n_videos == 6
    assert loaded.card.clip_format.methods == ()
    score = score_video(write_video(tmp_path / "a.mp4", moving(20, (64, 64), 9), 15), loaded).record
    assert score.n_pairs == 3
    assert score.view is not None
    assert score.view.padded == 15 + 5
    assert not any("smaller than the view" in reason for reason in score.abstained_because)
    sources = SourcesRecord.load(made / "sources.json").sources
    assert [(each.source, each.people, len(each.videos)) for each in sources] == [
        ("garden", 2, 6), ("laboratory", 2, 6), ("street", 2, 6),
    ]  # fmt: skip
    card = (made / "CARD.md").read_text()
    for each in sources:
        assert f"| {each.source} | {each.author} | CC-BY-4.0 | 2 | 2 | 4 |" in card
    first, second = describe_shipped(loaded.card).split("\n")
    assert "real recordings of 6 people and no fake" in first
    assert "left out (flat, grain): AUC" in second


def test_the_same_again_bit_for_bit_and_what_was_looked_at_is_not_looked_at_again(
    material: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(made.parent / "work", tmp_path / "work")
    afresh, resumed = tmp_path / "afresh", tmp_path / "resumed"
    make_detector(material / "videos", material / "list.csv", tmp_path / "other", afresh, ignore_progress, CONFIG)

    def refuse(*_: object) -> None:
        raise AssertionError("looked at again")

    monkeypatch.setattr(Typicality, "look_at", refuse)
    make_detector(material / "videos", material / "list.csv", tmp_path / "work", resumed, ignore_progress, CONFIG)
    for path in made.iterdir():
        assert (afresh / path.name).read_bytes() == path.read_bytes()
        assert (resumed / path.name).read_bytes() == path.read_bytes()


# --- what is left out


def test_looks_that_are_kept_give_the_scores_of_the_detector_itself(material: Path, tmp_path: Path) -> None:
    detector = Typicality(CONFIG)
    watched = watch(read_material(material / "videos", material / "list.csv"), detector, tmp_path, ignore_progress)
    fitted = fit_to_reals(detector, watched)
    rows = VideoSet(tmp_path, tuple(video.row for video in watched))
    scores = make_score_tables(fitted, rows).pairs["logit"].to_numpy()
    kept = [fitted.combine_looks(window) for video in watched for window in video.windows]
    assert kept == pytest.approx(scores, abs=1e-5)


def test_no_score_is_of_a_fit_that_knew_its_source(material: Path, tmp_path: Path) -> None:
    detector = Typicality(CONFIG)
    watched = watch(read_material(material / "videos", material / "list.csv"), detector, tmp_path, ignore_progress)
    tables = cross_fit(detector, watched)
    assert len(tables.videos) == 18
    others = fit_to_reals(detector, [video for video in watched if video.source != "garden"])
    for video in (video for video in watched if video.source == "garden"):
        found = tables.pairs.loc[tables.pairs["video_id"] == video.row.video_id, "logit"].to_numpy()
        assert found == pytest.approx([others.combine_looks(window) for window in video.windows], abs=1e-6)


def test_reals_without_a_fake_are_learned_from_and_fix_nothing_else(material: Path, tmp_path: Path) -> None:
    detector = Typicality(CONFIG)
    watched = watch(read_material(material / "videos", material / "list.csv"), detector, tmp_path, ignore_progress)
    rest = [video for video in watched if video.row.label == 0 or video.row.subject_id != "bob"]
    tables = cross_fit(detector, rest)
    assert "bob" not in set(tables.videos["subject_id"])
    assert len(tables.videos) == 15
    assert len([video for video in rest if video.row.label == 0]) == 6


def make_tables(seed: int = 0) -> ScoreTables:
    """Scores of two sources of four people each, with fakes of two methods."""
    generator = np.random.default_rng(seed)
    videos = [
        {"video_id": f"{source}{person}{method}", "subject_id": f"{source}{person}", "source_id": f"{source}{person}",
         "method": method or None, "label": int(bool(method)), "score": generator.normal(2.0 * bool(method)),
         "status": "ok", "n_pairs": 1, "aggregator": "mean-logit", "reason": None, "source": source}
        for source in "ab" for person in range(4) for method in ("", "x", "y")
    ]  # fmt: skip
    table = pd.DataFrame(videos)
    return ScoreTables(pd.DataFrame({"video_id": table["video_id"], "t": 0.0, "logit": table["score"]}), table)


def test_ratios_and_decisions_are_of_calibrations_that_knew_neither_source_nor_method() -> None:
    tables = make_tables()
    found = decide_left_out(tables)
    assert sorted(found.ratios.videos["video_id"]) == sorted(tables.videos["video_id"])
    before = found.ratios.videos.set_index("video_id")["score"]
    videos = tables.videos
    method = videos["method"].fillna("")
    others = tables.select((videos["source"] != "a") & (method != "x"))
    expected = fit_calibrations(others, ()).video.llr(videos.loc[videos["video_id"] == "a0x", "score"])
    assert before["a0x"] == pytest.approx(float(expected[0]))
    moved = videos.assign(score=videos["score"].where(~((videos["source"] == "a") | (method == "x")), 99.0))
    moved.loc[moved["video_id"] == "a0x", "score"] = videos.loc[videos["video_id"] == "a0x", "score"]
    after = decide_left_out(ScoreTables(tables.pairs, moved)).ratios.videos.set_index("video_id")["score"]
    assert after["a0x"] == before["a0x"]


def test_tables_of_ratios_are_measured_as_they_are() -> None:
    kept = keep_ratios(fit_calibrations(make_tables(), ()))
    assert kept.video.llr([-3.5, 0.0, 7.25]).tolist() == [-3.5, 0.0, 7.25]
    assert math.isfinite(kept.pair.bounds.real.llr)


# --- bad input


@pytest.mark.parametrize("column", ["licence", "source", "author"])
def test_a_video_of_unknown_terms_is_refused(material: Path, tmp_path: Path, column: str) -> None:
    table = rewrite(material / "list.csv", tmp_path / "list.csv", {column: ""}, only="bob-flat")
    with pytest.raises(BenchError, match=f"does not tell the {column} of bob-flat") as refused:
        read_material(material / "videos", table)
    assert refused.value.hint


def test_a_missing_video_is_refused(material: Path, tmp_path: Path) -> None:
    table = rewrite(material / "list.csv", tmp_path / "list.csv", {"path": "gone.mp4", "real_of": ""}, only="bob-flat")
    with pytest.raises(BenchError, match=r"as gone\.mp4"):
        read_material(material / "videos", table)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": "one"}, "1 sources; 3 are"),
        ({"method": "one"}, "1 methods; 2 are"),
        ({"real_of": ""}, "The real that ada-flat was made from is not in the list"),
    ],
)
def test_too_few_to_leave_out_are_refused_and_what_stands_is_kept(
    material: Path, made: Path, tmp_path: Path, change: dict[str, str], words: str
) -> None:
    shutil.copytree(made.parent / "work", tmp_path / "work")
    shutil.copytree(made, tmp_path / "detector")
    table = rewrite(material / "list.csv", tmp_path / "list.csv", change)
    with pytest.raises(BenchError, match=words):
        make_detector(material / "videos", table, tmp_path / "work", tmp_path / "detector", ignore_progress, CONFIG)
    assert check_shipped(tmp_path / "detector")


def test_a_damaged_file_of_looks_is_made_again(material: Path, made: Path, tmp_path: Path) -> None:
    shutil.copytree(made.parent / "work", tmp_path / "work")
    damaged = next((tmp_path / "work").rglob("*.looks.safetensors"))
    damaged.write_bytes(b"nothing")
    make_detector(
        material / "videos", material / "list.csv", tmp_path / "work", tmp_path / "again", ignore_progress, CONFIG
    )
    assert (tmp_path / "again/SHA256SUMS").read_bytes() == (made / "SHA256SUMS").read_bytes()
    assert module.LooksRecord.load(damaged.with_suffix(".json")).sha256
