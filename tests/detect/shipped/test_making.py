"""Making of the shipped detector: what is left out of what, what stops it, and that it is the same again."""

import csv
import math
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from outside_files import moving, write_video

from dancebench.core.errors import BenchError
from dancebench.core.progress import ignore_progress
from dancebench.detect.casework.score import score_video
from dancebench.detect.detectors.ensemble import Ensemble, EnsembleConfig
from dancebench.detect.detectors.traces.detector import Traces
from dancebench.detect.detectors.typicality.detector import Typicality
from dancebench.detect.evaluation.calibration_metrics import fit_calibrations
from dancebench.detect.evaluation.score_tables import ScoreTables, make_score_tables
from dancebench.detect.inputs.video_set import VideoSet
from dancebench.detect.protocol.card import load_detector
from dancebench.detect.shipped import material as module
from dancebench.detect.shipped.crossfit import (
    BaseScores,
    decide_left_out,
    fit_traces,
    fit_typicality,
    fit_whole,
    fuse_left_out,
    keep_ratios,
    list_candidates,
    score_members,
)
from dancebench.detect.shipped.files import check_shipped, describe_shipped
from dancebench.detect.shipped.last_stages import (
    FAMILY,
    MaterialPairs,
    make_reconstructions,
    measure_material_pairs,
)
from dancebench.detect.shipped.making import make_detector
from dancebench.detect.shipped.material import WatchedVideo, find_member, get_members, make_views, read_material, watch
from dancebench.detect.shipped.sources import SourcesRecord

CONFIG = EnsembleConfig(
    view="native",
    height=96,
    width=96,
    pairs=3,
    degraded=0.0,
    members=("typicality", "traces"),
    configs={
        "typicality": {"patches": 1, "parts": ["patches", "whole"]},
        "traces": {"frames": 6, "patches": 1, "drawn": 1, "stage_steps": 3},
    },
)

MADE = ("transposed", "interpolation")
"""Last stages that whole clips go through."""


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
    make_detector(
        material / "videos", material / "list.csv", root / "work", root / "detector", ignore_progress, CONFIG, MADE
    )
    return root / "detector"


# --- the whole


def test_it_is_made_whole_scores_a_video_and_tells_its_sources(made: Path, tmp_path: Path) -> None:
    assert check_shipped(made) == made
    loaded = load_detector(made)
    reconstructions = [f"{FAMILY}:{name}" for name in MADE]
    assert loaded.card.calibration.video.unseen_methods == tuple(sorted(["flat", "grain", *reconstructions]))
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
    members = " and ".join(loaded.card.config["members"])
    assert f"({members}), which has learned from real recordings of 6 people and from no fake" in first
    assert "left out (fakes of 4 methods): AUC" in second


@pytest.mark.long
def test_made_afresh_it_is_the_same_bit_for_bit(material: Path, made: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    make_detector(material / "videos", material / "list.csv", tmp_path / "work", again, ignore_progress, CONFIG, MADE)
    for path in made.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes()


def test_resumed_it_is_the_same_bit_for_bit_and_nothing_is_looked_at_again(
    material: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("looked at again")

    monkeypatch.setattr(Typicality, "look_at", refuse)
    for name in ("look_at", "measure_pairs", "learn_stages"):
        monkeypatch.setattr(Traces, name, refuse)
    work, again = made.parent / "work", tmp_path / "again"
    make_detector(material / "videos", material / "list.csv", work, again, ignore_progress, CONFIG, MADE)
    for path in made.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes()


# --- what is left out


class Prepared(NamedTuple):
    work: Path
    ensemble: Ensemble
    pairs: MaterialPairs
    watched: list[WatchedVideo]
    base: BaseScores


@pytest.fixture(scope="module")
def prepared(material: Path, made: Path) -> Prepared:
    """What is left out of what is decided about this."""
    work = made.parent / "work"
    ensemble = Ensemble(CONFIG)
    traces = find_member(ensemble, Traces)
    videos = read_material(material / "videos", material / "list.csv")
    views = make_views(videos, ensemble, work, ignore_progress)
    pairs, learn = measure_material_pairs(views, ensemble, traces, work, ignore_progress)
    made = make_reconstructions(videos, MADE, traces, learn, work, ignore_progress)
    watched = watch(views, ensemble, ignore_progress)
    watched += watch(make_views(made, ensemble, work, ignore_progress), ensemble, ignore_progress)
    return Prepared(work, ensemble, pairs, watched, score_members(ensemble, watched, pairs))


def test_looks_that_are_kept_give_the_scores_of_the_detector_itself(prepared: Prepared) -> None:
    fitted = fit_whole(prepared.ensemble, CONFIG.members, prepared.watched, prepared.pairs, prepared.base)
    video = prepared.watched[0]
    scores = make_score_tables(fitted, VideoSet(prepared.work, (video.row,))).pairs["logit"].to_numpy()
    members = [
        [np.mean([member.combine_looks(looks) for looks in window]) for window in video.windows[name]]
        for name, member in get_members(fitted).items()
    ]
    assert fitted.fusion.logits(np.array(members).T) == pytest.approx(scores, abs=1e-4)


def test_no_score_is_of_a_fit_that_knew_its_source_or_its_last_stage(prepared: Prepared) -> None:
    others = [video for video in prepared.watched if video.source != "garden"]
    typicality = fit_typicality(prepared.ensemble, others)
    found = {video.row.method for video in prepared.watched}
    assert {f"{FAMILY}:{name}" for name in MADE} < found
    for video in (video for video in prepared.watched if video.source == "garden"):
        left_out = prepared.pairs.leave_out("garden", video.row.method)
        stage = (video.row.method or "").removeprefix(f"{FAMILY}:")
        assert stage not in left_out.stages
        assert set(left_out.people) == {"ada", "bob", "eve", "fay"}
        traces = fit_traces(prepared.ensemble, left_out)
        for column, member in enumerate((typicality, traces)):
            windows = video.windows[CONFIG.members[column]]
            expected = [np.mean([member.combine_looks(looks) for looks in window]) for window in windows]
            assert prepared.base[video.row.video_id][:, column] == pytest.approx(expected, abs=1e-5)


def test_no_fusion_knew_the_source_or_the_method_of_what_it_fused(prepared: Prepared) -> None:
    videos = {video.row.video_id: video for video in prepared.watched}
    chosen = next(name for name, video in videos.items() if video.source == "garden" and video.row.method == "flat")
    before = fuse_left_out(prepared.watched, prepared.base).videos.set_index("video_id")["score"]
    moved = {
        name: scores + 9 if name != chosen and (videos[name].source == "garden" or videos[name].row.method == "flat")
        else scores
        for name, scores in prepared.base.items()
    }  # fmt: skip
    after = fuse_left_out(prepared.watched, moved).videos.set_index("video_id")["score"]
    assert after[chosen] == before[chosen]
    assert (after != before).sum() > 1


def test_the_best_ships_and_a_fusion_that_beats_no_part_comes_after_it(prepared: Prepared) -> None:
    generator = np.random.default_rng(0)
    base = {}
    for video in prepared.watched:
        told, noise = video.row.label + generator.normal(0, 0.1, 3), generator.normal(0, 1, 3)
        base[video.row.video_id] = np.stack([noise, told], axis=1)
    found = list_candidates(prepared.ensemble, prepared.watched, base)
    assert sorted(each.members for each in found) == [("traces",), ("typicality",), ("typicality", "traces")]
    assert (found[0].members, found[0].auc.value) == (("traces",), 1.0)
    scores = found[0].tables.videos.set_index("video_id")["score"]
    for name, score in scores.items():
        assert score == pytest.approx(base[name][:, 1].mean(), abs=1e-6)  # alone it is not fused
    fitted = fit_whole(prepared.ensemble, ("traces",), prepared.watched, prepared.pairs, base)
    assert [type(member) for member in fitted.members] == [Traces]
    assert fitted.config.configs == {"traces": CONFIG.configs["traces"]}


def test_reals_without_a_fake_are_learned_from_and_fix_nothing_else(prepared: Prepared) -> None:
    rest = [video for video in prepared.watched if video.row.label == 0 or video.row.subject_id != "bob"]
    tables = fuse_left_out(rest, score_members(prepared.ensemble, rest, prepared.pairs))
    assert "bob" not in set(tables.videos["subject_id"])
    assert len(tables.videos) == 5 * (3 + len(MADE))


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
        ({"real_of": ""}, "The real that ada-flat was made from is not in the list"),
    ],
)
def test_too_few_to_leave_out_are_refused_and_what_stands_is_kept(
    material: Path, made: Path, tmp_path: Path, change: dict[str, str], words: str
) -> None:
    shutil.copytree(made, tmp_path / "detector")
    table = rewrite(material / "list.csv", tmp_path / "list.csv", change)
    with pytest.raises(BenchError, match=words):
        make_detector(
            material / "videos", table, made.parent / "work", tmp_path / "detector", ignore_progress, CONFIG, MADE
        )
    assert check_shipped(tmp_path / "detector")


def test_a_damaged_file_of_looks_is_made_again(material: Path, made: Path, tmp_path: Path) -> None:
    damaged = next((made.parent / "work").rglob("*.looks.safetensors"))
    damaged.write_bytes(b"nothing")
    make_detector(
        material / "videos",
        material / "list.csv",
        made.parent / "work",
        tmp_path / "again",
        ignore_progress,
        CONFIG,
        MADE,
    )
    assert (tmp_path / "again/SHA256SUMS").read_bytes() == (made / "SHA256SUMS").read_bytes()
    assert module.LooksRecord.load(damaged.with_suffix(".json")).sha256
