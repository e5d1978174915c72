"""Strips, videos and pose novelty: only of the very fakes that were measured, made once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import make_dataset

from dancebench.benchmark.report import exhibits as module
from dancebench.benchmark.report.exhibits import ExhibitMaker
from dancebench.benchmark.report.novelty import NoveltyMeasure
from dancebench.benchmark.report.write import check_leaderboards, write_leaderboards
from dancebench.core.workspace import Workspace
from dancebench.datasets.subjects.dataset import Dataset
from dancebench.datasets.subjects.real_clips import list_shown_frames, write_real
from dancebench.datasets.video.clips import VideoReader, write_clip
from dancebench.datasets.video.decoding import probe
from dancebench.leaderboards.board import rebuild
from dancebench.leaderboards.records import RunRecord, load_runs, save_run
from dancebench.leaderboards.tables import Section, group_sections
from dancebench.synth.render import FakeRecord

SIZE = (128, 64)
WEIGHTS = "d" * 64
METRIC = {
    "value": 0.8, "reason": None, "n": 5, "unit": "SSIM", "higher_is_better": True,
    "ci95": None,
}  # fmt: skip


def make_run(of: Dataset, method: str, value: float, **data: Any) -> RunRecord:
    """A record of a method on the dataset's one person."""
    return RunRecord.model_validate(
        {
            "run": {
                "id": f"synthesis-{method}-aaaaaaaaaaaa", "kind": "synthesis", "argv": [], "git_sha": None,
                "dirty": None, "versions": {}, "hardware": {}, "seeds": {"training": 0},
                "started": "2025-01-31T09:30:00+00:00", "seconds": 1,
            },
            "data": {
                "dataset": of.name, "dataset_id": of.record.dataset_id,
                "content_sha256": of.content_sha256(["walker"]), "n_original": 1, "n_effective": 1, **data,
            },
            "entry": {
                "name": method, "preset": "tiny", "weights_sha256": {"walker": WEIGHTS}, "parameters": {},
                "facts": {"kind": "synthesis", "frame_size": "128x64"},
            },
            "metrics": {"body_ssim": {**METRIC, "value": value}},
            "per_subject": {"walker": {"body_ssim": value}},
            "failures": [],
        }
    )  # fmt: skip


def write_fake(workspace: Workspace, dataset: Dataset, method: str, **changes: Any) -> Path:
    """A fake of the held-out frames in one colour, and its record."""
    path = workspace.fake(method, dataset.name, "walker", "tiny-s0", source="walker")
    path.parent.mkdir(parents=True)
    frames = len(list_shown_frames(dataset.subject("walker")))
    clip = write_clip(path, (np.full((*SIZE, 3), 90, np.uint8) for _ in range(frames)), 25)
    facts: Mapping[str, Any] = {
        "method": method, "preset": "tiny", "seed": 0, "dataset_id": dataset.record.dataset_id, "subject": "walker",
        "source": "walker", "source_sha256": "a" * 64, "motion_sha256": "a" * 64, "normalisation": None,
        "first_frame": 0, "n_frames": frames, "frames_without_pose": 0, "fps": 25, "height": 128, "width": 64,
        "sha256": clip.sha256, "weights_sha256": WEIGHTS, "encoder": clip.encoder, "git_sha": None, "dirty": None,
        "versions": {},
    }  # fmt: skip
    FakeRecord.model_validate({**facts, **changes}).save(path.with_suffix(".json"))
    return path


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two methods on one person, with fakes and the real clip."""
    dataset = make_dataset(tmp_path)
    opened = Workspace(tmp_path)
    for method, value in (("fbf", 0.8), ("nearest", 0.7)):
        write_fake(opened, dataset, method)
        rows = list_rows(dataset)
        save_run(opened.results, make_run(dataset, method, value), rows)
    write_real(dataset.subject("walker"), SIZE, opened.real(dataset.name, "walker", max(SIZE)))
    return opened


def list_rows(dataset: Dataset) -> pd.DataFrame:
    frames = len(list_shown_frames(dataset.subject("walker")))
    return pd.DataFrame({"t": range(frames), "subject": "walker", "body_ssim": 0.5})


def find_section(workspace: Workspace) -> Section:
    [section] = group_sections(load_runs(workspace.results)[0], "synthesis")
    return section


def make(workspace: Workspace, *, makes: bool = True) -> ExhibitMaker:
    return ExhibitMaker(workspace, workspace.site / "media", makes=makes)


def test_a_strip_and_a_video_show_every_method_beside_the_real(workspace: Workspace) -> None:
    found = make(workspace).find(find_section(workspace))
    [exhibit] = found.shown
    assert found.reasons == ()
    assert exhibit.panels == ("sticks", "real", "fbf", "nearest")
    assert exhibit.image.is_file()
    assert exhibit.size == (3 * (192 + 24), 4 * 96)  # three moments, four panels of half their height
    info = probe(exhibit.video)
    assert (info.codec, info.height, info.width) == ("h264", 192 + 24, 4 * 96)
    with VideoReader(exhibit.video) as video:
        assert len(video) == 5
        flat = video[0][60:180, 2 * 96 + 20 : 3 * 96 - 20].astype(int)
    assert abs(flat.mean() - 90) < 8  # the fake's one colour


def test_what_was_made_is_kept(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make(workspace).find(find_section(workspace))

    def refuse(*_: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(module, "_make", refuse)
    assert make(workspace).find(find_section(workspace)) == first
    assert make(workspace, makes=False).find(find_section(workspace)) == first


def test_looking_makes_nothing(workspace: Workspace) -> None:
    found = make(workspace, makes=False).find(find_section(workspace))
    assert found.shown == ()
    assert "1 of 1 people are not shown" in found.reasons[0]
    assert not workspace.site.exists()


@pytest.mark.parametrize("change", [{"weights_sha256": "e" * 64}, {"dataset_id": "e" * 64}])
def test_a_fake_that_the_run_did_not_measure_is_not_shown(workspace: Workspace, change: dict[str, str]) -> None:
    path = workspace.fake("nearest", "toy", "walker", "tiny-s0", source="walker").with_suffix(".json")
    FakeRecord.load(path).model_copy(update=change).save(path)
    [exhibit] = make(workspace).find(find_section(workspace)).shown
    assert exhibit.panels == ("sticks", "real", "fbf")


def test_without_fakes_it_is_said(workspace: Workspace) -> None:
    for path in (workspace.root / "fakes").rglob("*.json"):
        path.unlink()
    found = make(workspace).find(find_section(workspace))
    assert found.shown == ()
    assert found.reasons == ("No pictures: the fakes of these runs do not lie in this workspace, or cannot be read.",)


def test_a_damaged_clip_leaves_its_person_out(workspace: Workspace) -> None:
    workspace.fake("fbf", "toy", "walker", "tiny-s0", source="walker").write_bytes(b"no video")
    found = make(workspace).find(find_section(workspace))
    assert found.shown == ()
    assert "cannot be read" in found.reasons[0]


@pytest.mark.parametrize("damaged", ["datasets/toy/subjects/walker/subject.json", "reals/toy/walker/128.json"])
def test_a_damaged_record_leaves_its_person_out(workspace: Workspace, damaged: str) -> None:
    path = workspace.root / damaged
    path.write_text(path.read_text().replace('"schema_version": ', '"schema_version": 9'))
    assert make(workspace).find(find_section(workspace)).shown == ()
    assert write_leaderboards(workspace).site


def test_a_record_from_elsewhere_names_no_other_folder(workspace: Workspace) -> None:
    dataset = Dataset.open(workspace, "toy")
    record = make_run(dataset, "fbf", 0.8)
    moved = record.model_copy(update={"entry": record.entry.model_copy(update={"name": "../fakes/fbf"})})
    [section] = group_sections([moved], "synthesis")
    assert make(workspace).find(section).shown == ()


def test_the_site_weighs_no_more_than_it_may(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    found = make(workspace).find(find_section(workspace))
    assert found.shown == ()
    assert "would weigh too much" in found.reasons[0]
    assert list((workspace.site / "media").iterdir()) == []


# ---------------------------------------------------------------- novelty


def test_novelty_is_only_told_of_the_people_that_were_measured(workspace: Workspace) -> None:
    dataset = Dataset.open(workspace, "toy")
    measure = NoveltyMeasure(workspace)
    assert isinstance(measure.measure(make_run(dataset, "fbf", 0.8), "walker"), np.ndarray)
    others = {
        "dataset 'gone' is not in this workspace": {"dataset": "gone"},
        "the workspace's 'toy' is another dataset than the run's": {"dataset_id": "e" * 64},
        "the clips of 'toy' are others than the run's": {"content_sha256": "e" * 64},
    }
    for reason, data in others.items():
        assert measure.measure(make_run(dataset, "fbf", 0.8, **data), "walker") == reason


# ---------------------------------------------------------------- the whole


def test_tables_site_and_cards_are_checked_together(workspace: Workspace) -> None:
    written = write_leaderboards(workspace)
    assert written.site[0].name == "index.html"
    assert "media/" in (workspace.site / "synthesis.html").read_text()
    assert check_leaderboards(workspace) == []
    [image] = (workspace.site / "media").glob("*.jpg")
    image.unlink()
    assert check_leaderboards(workspace) == ["site/synthesis.html"]
    (workspace.leaderboards / "synthesis.csv").write_text("better")
    (workspace.detector_cards).mkdir(exist_ok=True)
    (workspace.detector_cards / "gone.md").write_text("of no record")
    assert check_leaderboards(workspace) == ["synthesis.csv", "site/synthesis.html", "cards/gone.md"]
    write_leaderboards(workspace)
    assert check_leaderboards(workspace) == []


def test_without_a_site_the_tables_alone_are_checked(workspace: Workspace) -> None:
    rebuild(workspace.results, workspace.leaderboards)
    assert check_leaderboards(workspace) == []
