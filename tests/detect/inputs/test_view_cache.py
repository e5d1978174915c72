"""Views of a set of videos: made once, kept with what they were made from, told where there are none."""

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dancebench.core.errors import BenchError
from dancebench.core.workspace import Workspace
from dancebench.datasets.corpora.manifest import Crop, VideoRow, ViewFacts, read_manifest, write_manifest
from dancebench.detect.evaluation.score_tables import VIEW_COLUMNS, make_score_tables
from dancebench.detect.inputs import view_cache
from dancebench.detect.inputs.leak_audit import audit_frames, require_one_size
from dancebench.detect.inputs.video_set import VideoSet
from dancebench.detect.inputs.view import View
from dancebench.detect.inputs.view_cache import ViewOrder, choose_rate, prepare_views
from dancebench.detect.inputs.views import NothingToSeeError

VIEW = View("frame", 48, 48)


@pytest.fixture
def own(clips: SimpleNamespace, tmp_path: Path) -> VideoSet:
    """Three people, read in place."""
    rows = []
    for subject, split in ((0, "train"), (1, "validation"), (2, "holdout")):
        for label, frames in ((0, clips.real_frames(subject)), (1, clips.fake_frames(subject))):
            rows.append(clips.add_video(tmp_path, subject, split, label, frames))
    return VideoSet(tmp_path, tuple(rows))


def order(videos: VideoSet, tmp_path: Path, view: View = VIEW, fps: float = 25) -> ViewOrder:
    return ViewOrder(videos, view, fps, Workspace(tmp_path / "workspace"))


def test_every_video_has_its_view_in_order(own: VideoSet, tmp_path: Path) -> None:
    views = prepare_views(order(own, tmp_path))
    assert [row.video_id for row in views] == [row.video_id for row in own]
    assert require_one_size(views.rows) == (48, 48)
    assert all(views.path(row).is_file() for row in views)
    assert {row.view.view for row in views if row.view} == {"frame:48x48"}
    assert len({row.path for row in views}) == len(own)
    audit_frames(views)
    assert own.path(own.rows[0]).stat().st_size > 0


def test_views_are_made_once(own: VideoSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare_views(order(own, tmp_path))
    made = []
    monkeypatch.setattr(view_cache, "_make_view", lambda *a: made.append(a))
    assert prepare_views(order(own, tmp_path)) == first
    assert made == []


@pytest.mark.parametrize("killed_after", [0, 3])
def test_a_killed_preparation_goes_on(
    own: VideoSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_after: int
) -> None:
    whole = prepare_views(order(own, tmp_path / "undisturbed"))
    make, calls = view_cache._make_view, []

    def die(*arguments: object) -> object:
        if len(calls) == killed_after:
            raise KeyboardInterrupt
        calls.append(arguments)
        return make(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(view_cache, "_make_view", die)
    with pytest.raises(KeyboardInterrupt):
        prepare_views(order(own, tmp_path))
    calls.clear()
    monkeypatch.setattr(view_cache, "_make_view", lambda *a: (calls.append(a), make(*a))[1])
    resumed = prepare_views(order(own, tmp_path))
    assert len(calls) == len(own) - killed_after
    assert [row.sha256 for row in resumed] == [row.sha256 for row in whole]


def test_another_view_rate_crop_or_content_is_another_clip(
    own: VideoSet, tmp_path: Path, clips: SimpleNamespace
) -> None:
    one = own.select(lambda row: row.video_id == own.rows[0].video_id)
    cropped = VideoSet(one.root, (one.rows[0].model_copy(update={"crop": Crop(left=0, top=0, width=16, height=32)}),))
    hashes = {
        prepare_views(order(*each)).rows[0].sha256
        for each in (
            (one, tmp_path), (one, tmp_path, View("frame", 64, 64)), (one, tmp_path, VIEW, 10), (cropped, tmp_path),
        )
    }  # fmt: skip
    assert len(hashes) == 4
    unhashed = VideoSet(one.root, (one.rows[0].model_copy(update={"sha256": None}),))
    before = prepare_views(order(unhashed, tmp_path)).rows[0].sha256
    path = one.root / one.rows[0].path
    path.write_bytes((one.root / own.rows[3].path).read_bytes())
    os.utime(path, (1, 1))
    assert prepare_views(order(unhashed, tmp_path)).rows[0].sha256 != before


def test_where_no_view_can_be_made_the_row_says_why(
    own: VideoSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = ViewFacts(view="frame:48x48", problem="No face was found in 3 frames of x.", looked_at=3)
    make, tried = view_cache.write_view, []

    def find_in_some(recording: object, *rest: object, **options: object) -> object:
        tried.append(recording)
        if recording.path.name == own.rows[4].path:  # type: ignore[attr-defined]
            raise NothingToSeeError(str(facts.problem), facts)
        return make(recording, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(view_cache, "write_view", find_in_some)
    (own.root / own.rows[5].path).unlink()
    views = prepare_views(order(own, tmp_path))
    assert [row.video_id for row in views] == [row.video_id for row in own]
    assert [row.problem is None for row in views] == [True, True, True, True, False, False]
    assert views.rows[4].view == facts
    assert "does not exist" in str(views.rows[5].problem)
    with pytest.raises(BenchError, match="No face was found"):
        views.path(views.rows[4])
    prepare_views(order(own, tmp_path))
    assert len(tried) == 5  # that nobody was found is kept, too
    write_manifest(tmp_path / "views.jsonl", views)
    assert tuple(read_manifest(tmp_path / "views.jsonl")) == views.rows


def test_score_tables_tell_the_view_and_its_counts(own: VideoSet, tmp_path: Path) -> None:
    from dancebench.detect.detectors.base import DetectorConfig

    scorer = SimpleNamespace(
        config=DetectorConfig(height=48, width=48, pairs=3), window=2,
        logits=lambda pairs: pairs.mean(axis=(1, 2, 3, 4)).astype(np.float32),
    )  # fmt: skip
    (own.root / own.rows[5].path).unlink()
    videos = make_score_tables(scorer, prepare_views(order(own, tmp_path))).videos
    assert set(VIEW_COLUMNS) <= set(videos)
    assert videos["n_pairs"].tolist() == [3] * 5 + [0]
    assert "does not exist" in videos["reason"].iloc[5]
    assert not set(VIEW_COLUMNS) & set(make_score_tables(scorer, own.split("train")).videos)


def test_the_rate_is_that_of_the_slowest_training_video_but_at_least_ten(own: VideoSet) -> None:
    def rate(*fps: float | None) -> float:
        base = own.rows[0]
        rows = [base.model_copy(update={"fps": each, "video_id": str(n)}) for n, each in enumerate(fps)]
        slow = own.rows[-1].model_copy(update={"fps": 12.0})  # held out: no part in it
        return choose_rate(VideoSet(own.root, (*rows, slow)))

    assert rate(60, 25, 30) == 25
    assert rate(60, 5) == 10
    assert rate(None, 30) == 30
    assert rate(None) == 10


def test_rows_of_earlier_releases_have_no_view() -> None:
    assert VideoRow.model_fields["view"].default is None
