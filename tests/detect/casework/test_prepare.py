"""Preparing outside videos: unusual files, each made here, and their decode warnings."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from foreign_videos import copy_packets, write_field_coded
from hypothesis import given
from hypothesis import strategies as st
from outside_files import make_detector, moving, write_sound, write_video

from dancebench.core.errors import BenchError
from dancebench.datasets.pose.box import Box
from dancebench.datasets.video.decoding import Decoding, inspect, survey
from dancebench.detect.casework.prepare import PreparedVideo, fit_box, list_decode_warnings, prepare_video
from dancebench.detect.casework.score import ScoreSettings, VideoScore, score_video
from dancebench.detect.protocol.card import LoadedDetector, load_detector

LARGE = (128, 64)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedDetector:
    return load_detector(make_detector(tmp_path_factory.mktemp("detector")))


def prepare(path: Path, loaded: LoadedDetector) -> PreparedVideo:
    return prepare_video(inspect(path), loaded.card.clip_format, None, path.parent)


def require_score(score: VideoScore) -> VideoScore:
    """Require that an unusual file was scored."""
    assert score.status != "failed", score.reason
    assert score.score is not None
    assert score.n_pairs > 0
    return score


def has_warning(score: VideoScore, words: str) -> bool:
    return any(words in warning for warning in require_score(score).decode_warnings)


# --- files that can be scored, with a decode warning


def test_plain_video_has_no_decode_warnings(loaded: LoadedDetector, tmp_path: Path) -> None:
    found = require_score(score_video(write_video(tmp_path / "a.mp4", moving(30, LARGE)), loaded).record)
    assert found.decode_warnings == ()
    assert (found.container, found.codec, found.width, found.height) == ("mov,mp4,m4a,3gp,3g2,mj2", "h264", 64, 128)
    assert (found.fps, found.n_frames, found.bytes) == (25, 30, (tmp_path / "a.mp4").stat().st_size)
    assert found.duration_s == pytest.approx(1.2)


def test_variable_frame_rate_keeps_the_files_time_stamps(loaded: LoadedDetector, tmp_path: Path) -> None:
    stamps = [*range(0, 600, 40), *range(600, 2200, 80)]
    path = write_video(tmp_path / "v.mkv", moving(len(stamps), LARGE), stamps=stamps, time_base=Fraction(1, 1000))
    found = score_video(path, loaded).record
    assert has_warning(found, "variable frame rate: 0.04 to 0.08 s")
    assert {round(pair.t * 1000) for pair in found.pairs} <= set(stamps)
    assert all(pair.pts == round(pair.t * 1000) for pair in found.pairs)


def test_rounded_stamps_are_not_a_variable_rate(tmp_path: Path) -> None:
    path = write_video(tmp_path / "ntsc.mkv", moving(40, LARGE), rate=30)  # Matroska counts milliseconds
    assert list_decode_warnings(inspect(path)) == []


def test_rotated_video_is_turned_upright(loaded: LoadedDetector, tmp_path: Path) -> None:
    quarter = [0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30]
    found = score_video(write_video(tmp_path / "r.mp4", moving(30, (64, 128)), matrix=quarter), loaded).record
    assert has_warning(found, "turned upright")
    assert (found.width, found.height) == (64, 128)


@pytest.mark.parametrize("transfer", [1, 16, 18])
def test_ten_bits_and_high_dynamic_range(transfer: int, loaded: LoadedDetector, tmp_path: Path) -> None:
    curve = {1: "bt709", 16: "smpte2084", 18: "arib-std-b67"}[transfer]
    path = write_video(
        tmp_path / "ten.mp4", moving(30, LARGE), pix_fmt="yuv420p10le", options={"x264-params": f"transfer={curve}"}
    )
    found = score_video(path, loaded).record
    assert has_warning(found, "10 bits a component")
    assert has_warning(found, "high dynamic range") == (transfer != 1)


@pytest.mark.parametrize(("size", "codec", "name"), [((127, 65), "png", "o.mov"), ((64, 31), "ffv1", "o.mkv")])
def test_odd_sizes(size: tuple[int, int], codec: str, name: str, loaded: LoadedDetector, tmp_path: Path) -> None:
    path = write_video(tmp_path / name, moving(20, size), codec=codec, pix_fmt="rgb24" if codec == "png" else "bgr0")
    assert has_warning(score_video(path, loaded).record, f"odd picture size: {size[1]}x{size[0]}")


def make_alpha_frames(n_frames: int) -> list[Any]:
    return [np.dstack([frame, np.full(frame.shape[:2], 128, np.uint8)]) for frame in moving(n_frames, LARGE)]


def test_transparency_over_black(loaded: LoadedDetector, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mov", make_alpha_frames(20), codec="png", pix_fmt="rgba", layout="rgba")
    assert has_warning(score_video(path, loaded).record, "over black")
    half = int(next(prepare(path, loaded).frames()).max())
    assert half == pytest.approx(115, abs=6)  # 230 at half opacity


def test_transparency_that_is_not_decoded_is_a_warning(loaded: LoadedDetector, tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "a.webm", make_alpha_frames(12), codec="libvpx-vp9", pix_fmt="yuva420p", layout="rgba",
        metadata={"alpha_mode": "1"}, options={"deadline": "realtime", "cpu-used": "8", "auto-alt-ref": "0"},
    )  # fmt: skip
    assert has_warning(score_video(path, loaded).record, "transparency is not decoded")


def test_gif(loaded: LoadedDetector, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.gif", moving(20, LARGE), codec="gif", pix_fmt="rgb8")
    assert require_score(score_video(path, loaded).record).codec == "gif"


def test_interlaced(loaded: LoadedDetector, tmp_path: Path) -> None:
    path = write_video(tmp_path / "i.mp4", moving(30, LARGE), options={"x264-params": "interlaced=1:tff=1"})
    assert has_warning(score_video(path, loaded).record, "interlaced")


# --- segments, cuts and clocks


def count_passes(monkeypatch: pytest.MonkeyPatch, path: Path) -> list[int]:
    """Count the passes over a file; those over the clip that is made of it are not counted."""
    passes: list[int] = []
    whole = Decoding.__iter__

    def counted(self: Decoding) -> Any:
        if self._found.info.path == path:
            passes.append(1)
        return whole(self)

    monkeypatch.setattr(Decoding, "__iter__", counted)
    return passes


@pytest.mark.parametrize("thinned", [1, 2])
def test_no_pair_of_frames_is_taken_across_a_jump_of_the_clock(
    thinned: int, loaded: LoadedDetector, tmp_path: Path
) -> None:
    """Frames get brighter by 4 within a part and go dark between them: no scored pair gets darker."""
    frames = [np.full((*LARGE, 3), 40 + 4 * (t % 20), np.uint8) for t in range(60)]
    stamps = [t + 500 * (t // 20) for t in range(60)]
    path = write_video(tmp_path / "a.mp4", frames, 25 * thinned, stamps=stamps)
    prepared = prepare(path, loaded)
    assert sorted(prepared.breaks) == [20 // thinned, 40 // thinned]
    assert len(prepared.times) == 60 // thinned
    for count in (None, 8):
        starts = prepared.choose_starts(count, 2)
        assert len(starts) == (8 if count else 60 // thinned - 3)
        (pairs,) = prepared.read_windows(starts, (64, 32), 2)
        steps = pairs[:, 1].astype(float).mean(axis=(1, 2, 3)) - pairs[:, 0].astype(float).mean(axis=(1, 2, 3))
        np.testing.assert_allclose(steps, 4 * thinned, atol=2)


def test_no_pair_of_frames_is_taken_across_a_cut(loaded: LoadedDetector, tmp_path: Path) -> None:
    frames = [*moving(20, LARGE, seed=1), *(255 - frame for frame in moving(20, LARGE, seed=2))]
    path = write_video(tmp_path / "cut.mp4", frames)
    assert sorted(prepare(path, loaded).breaks) == [20]
    found = score_video(path, loaded, ScoreSettings(pairs="all")).record
    assert [round(pair.t * 25) for pair in found.pairs] == [*range(19), *range(20, 39)]
    assert has_warning(found, "its picture is cut at 0.80 s; no pair of frames was taken across")


def test_windows_in_memory_are_bounded_by_bytes(
    loaded: LoadedDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(write_video(tmp_path / "a.mp4", moving(20, LARGE)), loaded)
    starts = prepared.choose_starts(None, 2)
    (whole,) = prepared.read_windows(starts, (64, 32), 2)
    monkeypatch.setattr("dancebench.detect.casework.prepare._BATCH_BYTES", 1)
    parts = list(prepared.read_windows(starts, (64, 32), 2))
    assert {len(part) for part in parts} == {1}
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_segments_shorter_than_a_window_are_not_scored(loaded: LoadedDetector, tmp_path: Path) -> None:
    stamps = [0, 1000, 1001, 1002, 1003, 2000]
    prepared = prepare(write_video(tmp_path / "a.mkv", moving(6, LARGE), stamps=stamps), loaded)
    assert prepared.choose_starts(None, 2).tolist() == [1, 2, 3]
    assert prepared.choose_starts(2, 2).tolist() == [1, 3]
    with pytest.raises(BenchError, match="Every segment of the video has fewer than 5 frames"):
        prepared.choose_starts(None, 5)


@pytest.mark.parametrize("name", ["a.mp4", "a.ts", "fields.ts", "b.avi", "cut.ts"])
def test_a_video_is_decoded_once(
    name: str, loaded: LoadedDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    if name == "fields.ts":
        write_field_coded(path, 30, size=LARGE)
    else:
        write_video(path, moving(40, LARGE), max_b_frames=2, options={"g": "12"})
    if name == "cut.ts":
        path = copy_packets(path, tmp_path / "cut_off.ts", lambda index: index >= 5)
    passes = count_passes(monkeypatch, path)
    found = require_score(score_video(path, loaded).record)
    assert len(passes) == 1
    assert found.fps == 25
    assert found.n_frames == inspect(path).info.n_frames == round(25 * (found.duration_s or 0))
    assert found.duration_s is not None
    assert all(0 <= pair.t <= found.duration_s for pair in (*found.pairs, *found.suspicious_pairs))


def test_a_rate_that_packets_do_not_tell_is_decoded_again(
    loaded: LoadedDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.mp4", moving(40, LARGE))
    surveyed = survey(path)
    told_wrong = replace(surveyed, info=replace(surveyed.info, fps=50.0))
    passes = count_passes(monkeypatch, path)
    assert prepare_video(told_wrong, loaded.card.clip_format, None, tmp_path).fps == 25
    assert len(passes) == 2


def test_the_same_pictures_are_cropped_and_scored_alike_in_every_container(
    loaded: LoadedDetector, tmp_path: Path
) -> None:
    """AVI has the stamps of decoding only: its frames are counted from the start."""
    whole = write_video(tmp_path / "a.mp4", moving(40, LARGE), options={"x264-params": "bframes=3:b-adapt=0"})
    paths = [whole, *(copy_packets(whole, tmp_path / f"a{suffix}") for suffix in (".ts", ".mkv"))]
    paths.append(copy_packets(paths[1], tmp_path / "a.avi"))  # which takes start codes only, as in .ts
    scores = [require_score(score_video(path, loaded).record) for path in paths]
    assert len({score.score for score in scores}) == 1
    for score in scores:
        np.testing.assert_allclose([pair.t for pair in score.pairs], [pair.t for pair in scores[0].pairs], atol=1e-3)


def test_damage_is_told_and_abstained_from(loaded: LoadedDetector, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", moving(60, LARGE), options={"g": "60"})
    whole = score_video(path, loaded).record
    assert not whole.decode_warnings
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for position, size in packets[10::6]:
        data[position + size // 2 : position + size] = np.random.default_rng(size).bytes(size - size // 2)
    path.write_bytes(data)
    found = score_video(path, loaded).record
    assert has_warning(found, "frames show damage or are predicted from it")
    assert has_warning(found, "damaged from 0.")
    assert any("of its frames are damaged or lost" in reason for reason in found.abstained_because)


# --- files that a detector abstains on


def test_slide_show_is_abstained_from(loaded: LoadedDetector, tmp_path: Path) -> None:
    found = score_video(write_video(tmp_path / "slow.mp4", moving(12, LARGE), rate=1), loaded).record
    assert found.status == "abstained"
    assert any("1 frames per second are far below" in reason for reason in found.abstained_because)


def test_a_picture_smaller_than_the_view_is_abstained_from(loaded: LoadedDetector, tmp_path: Path) -> None:
    found = score_video(write_video(tmp_path / "small.mp4", moving(30, (32, 16))), loaded).record
    assert any("the frame is smaller than the view of 32x64" in reason for reason in found.abstained_because)


def test_few_pairs_are_abstained_from(loaded: LoadedDetector, tmp_path: Path) -> None:
    found = score_video(write_video(tmp_path / "brief.mp4", moving(3, LARGE)), loaded).record
    assert found.n_pairs == 2
    assert any("only 2 pairs" in reason for reason in found.abstained_because)
    assert found.llr_interval is None
    assert "2 pairs" in str(found.llr_interval_reason)


def test_videos_out_of_distribution_are_abstained_from(loaded: LoadedDetector, tmp_path: Path) -> None:
    noisy = np.array(moving(30, LARGE)) // 2 + np.random.default_rng(0).integers(0, 128, (30, *LARGE, 3), np.uint8)
    found = score_video(write_video(tmp_path / "noise.mp4", list(noisy)), loaded).record
    assert found.out_of_distribution is not None
    assert found.out_of_distribution.outside
    assert any("unlike the videos" in reason for reason in found.abstained_because)


# --- files that cannot be scored


def write_truncated(path: Path, share: float) -> Path:
    whole = write_video(
        path, moving(200, LARGE), container_options={"movflags": "+faststart"}, options={"bf": "0"}
    )  # fmt: skip
    whole.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
    return whole


def test_container_that_claims_more_than_it_holds(loaded: LoadedDetector, tmp_path: Path) -> None:
    found = score_video(write_truncated(tmp_path / "cut.mp4", 0.6), loaded).record
    assert has_warning(found, "its header claims 200 frames")
    assert found.n_frames is not None
    assert 60 < found.n_frames < 180
    assert max(pair.t for pair in found.pairs) < found.n_frames / 25


def write_broken_files(root: Path) -> list[tuple[Path, str]]:
    (root / "empty.mp4").write_bytes(b"")
    (root / "text.mp4").write_text("Dear reader, this is a letter.\n" * 50)
    whole = write_video(root / "whole.mp4", moving(30, LARGE)).read_bytes()
    (root / "headless.mp4").write_bytes(whole[: len(whole) // 2])
    return [
        (root / "empty.mp4", "empty"),
        (root / "text.mp4", "not a video"),
        (root / "headless.mp4", "cut off"),
        (root / "missing.mp4", "does not exist"),
        (root, "is a folder"),
        (write_sound(root / "sound.mp4"), "sound only"),
        (write_video(root / "one.mp4", moving(1, LARGE)), "fewer than two frames"),
    ]


def test_broken_files_are_rows_with_their_reasons(loaded: LoadedDetector, tmp_path: Path) -> None:
    for path, words in write_broken_files(tmp_path):
        found = score_video(path, loaded).record
        assert found.status == "failed"
        assert words in str(found.reason), path
        assert found.score is found.llr is found.above_threshold is None
        assert (found.sha256 is None) == (not path.is_file())


# --- where the person is


@given(
    corners=st.lists(st.floats(-50, 700), min_size=4, max_size=4),
    aspect=st.floats(0.2, 3),
    size=st.tuples(st.integers(16, 500), st.integers(16, 500)),
)
def test_bounding_box_lies_in_the_frame_and_holds_the_person(
    corners: Sequence[float], aspect: float, size: tuple[int, int]
) -> None:
    xs, ys = sorted(corners[:2]), sorted(corners[2:])
    low, high = np.array([xs[0], ys[0]]), np.array([xs[1], ys[1]])
    box = fit_box(Box(ys[0], ys[1], xs[0], xs[1]), aspect, size)
    height, width = box.height, box.width
    assert 0 <= box.left < box.right <= size[1]
    assert 0 <= box.top < box.bottom <= size[0]
    inside = np.clip(low, 0, [size[1], size[0]]), np.clip(high, 0, [size[1], size[0]])
    assert (np.array([box.left, box.top]) <= np.ceil(inside[0])).all()
    assert (np.array([box.right, box.bottom]) >= np.floor(inside[1])).all()
    if width < size[1] and height < size[0]:
        assert width / height == pytest.approx(aspect, rel=0.15, abs=1 / height + width / height**2)


def test_bounding_box_of_a_known_person() -> None:
    """100 wide and 200 high, 15% more on each side: 260 high, and 130 wide for an aspect of one half."""
    assert fit_box(Box(400.0, 600.0, 450.0, 550.0), 0.5, (1000, 1000)) == Box(370, 630, 435, 565)
    assert fit_box(Box(400.0, 600.0, 0.0, 100.0), 0.5, (1000, 1000)) == Box(370, 630, 0, 130)
