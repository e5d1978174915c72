"""Frames, times and segments of files as they come: one law for all, and the known answer for each class."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from foreign_videos import concatenate, copy_packets, overwrite, write_field_coded, write_streams
from hypothesis import given, settings
from hypothesis import strategies as st
from outside_files import write_video

from dancebench.core.errors import BenchError
from dancebench.datasets.video.clips import VideoReader, stream, write_clip
from dancebench.datasets.video.decoding import Decoding, Inspection, inspect, survey
from dancebench.datasets.video.frames import open_source
from dancebench.datasets.video.notes import list_decode_warnings, list_source_warnings
from dancebench.datasets.video.timeline import Clock, Moment, Pace, Timeline, order_stamps

Frame = npt.NDArray[np.uint8]
Make = Callable[..., Path]
PACE = Pace(Fraction(1, 1000), Fraction(25), 40)


def picture(k: int, height: int = 64, width: int = 96) -> Frame:
    """A bar that moves with `k` over two colours, and a corner as bright as `k`."""
    frame = np.full((height, width, 3), 40, np.uint8)
    frame[: height // 2, : width // 2] = (220, 30, 30)
    frame[10:22, (3 * k) % (width - 12) :][:, :12] = 255
    frame[height // 2 :, :8] = 6 * k % 256
    return frame


def pictures(n: int = 36, height: int = 64, width: int = 96) -> list[Frame]:
    return [picture(k, height, width) for k in range(n)]


def require_law(path: Path) -> Inspection:
    """Require that inspecting, streaming and random access agree on frames, pixels and times."""
    found, shown = inspect(path), list(stream(path))
    assert found.info.n_frames == len(found.timeline) == len(shown)
    times = np.array([seconds for seconds, _ in shown])
    np.testing.assert_array_equal(times, found.timeline.timestamps)
    assert times[0] == 0
    assert (np.diff(times) > 0).all()
    assert times[-1] <= found.info.duration_s + 1e-9
    intact = [index for index, frame in enumerate(Decoding(survey(path))) if not frame.damaged]
    assert len(intact) == len(shown) - found.losses.damaged
    chosen = np.random.default_rng(0).permutation(intact)[:9].tolist()  # backwards and forwards
    with VideoReader(path) as reader:
        assert len(reader) == len(shown)
        np.testing.assert_array_equal(reader.timestamps, times)
        for index in [*chosen, *intact[-1:], *intact[:1]]:  # what is concealed differs from one decoding to the next
            np.testing.assert_array_equal(reader[index], shown[index][1])
    assert (found.info.height, found.info.width) == shown[0][1].shape[:2]
    return found


# ---------------------------------------------------------------- the law

OPEN = {"options": {"x264-params": "keyint=12:open-gop=1:bframes=3:b-adapt=0"}}
HEVC = {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=12:open-gop=1"}}
ENCODINGS: dict[str, dict[str, Any]] = {
    "open.mp4": OPEN,
    "open.mkv": OPEN,
    "open.ts": OPEN,
    "open.m2ts": OPEN,
    "pyramid.avi": {"options": {"x264-params": "bframes=5:b-pyramid=normal:b-adapt=0"}},
    "b.avi": {"codec": "mpeg4", "max_b_frames": 2},
    "b.mpg": {"codec": "mpeg2video", "max_b_frames": 2},
    "b.vob": {"codec": "mpeg2video", "max_b_frames": 2},
    "b.mxf": {"codec": "mpeg2video", "max_b_frames": 2},
    "b.asf": {"max_b_frames": 3},
    "b.flv": {"max_b_frames": 3},
    "a.wmv": {"codec": "wmv2"},
    "a.3gp": {"codec": "mpeg4"},
    "refresh.ts": {"options": {"x264-params": "keyint=16:intra-refresh=1"}},
    "refresh.mp4": {"options": {"x264-params": "keyint=16:intra-refresh=1"}},
    "raw.hevc": HEVC,
    "open_hevc.mp4": HEVC,
    "a.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8", "g": "12"}},
    "a.gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "a.mjpeg": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_the_law_holds_for_every_container(name: str, make_video: Make) -> None:
    found = require_law(make_video(name, pictures(), **ENCODINGS[name]))
    assert found.info.n_frames == 36
    assert found.losses.undecodable == found.losses.damaged == 0
    rate = {"raw.hevc": 25, "a.mjpeg": 25, "a.gif": 29.9}.get(name, 30)  # no stamps; hundredths of a second
    assert found.info.fps == pytest.approx(rate, rel=2e-3)
    assert found.timeline.breaks == ()


CUT = ("open.mp4", "open.mkv", "open.ts", "b.mpg", "a.webm", "open_hevc.mp4", "refresh.ts", "pyramid.avi", "b.avi")


def test_the_law_holds_where_whole_frames_are_left_out(encoded: dict[str, Path], tmp_path: Path) -> None:
    """Nothing tells of them but a gap in the stamps; frames beyond it refer to what is not there."""
    for first in range(3, 20):
        path = tmp_path / str(first) / "open.mp4"
        path.parent.mkdir()
        copy_packets(encoded["open.mp4"], path, lambda index, first=first: not first <= index < first + 3)
        require_law(path)


@given(data=st.data())
@settings(max_examples=40)
def test_the_law_holds_however_files_are_cut_and_damaged(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory, encoded: dict[str, Path]
) -> None:
    """Packets are left out, bytes overwritten, files cut off; a file is refused by all or read alike by all."""
    name = data.draw(st.sampled_from(CUT))
    path = tmp_path_factory.mktemp("cut") / name
    begin, hole, length = (data.draw(st.integers(0, most)) for most in (20, 30, 6))
    with suppress(av.error.FFmpegError):  # some containers take no hole
        copy_packets(encoded[name], path, lambda index: index >= begin and not hole <= index < hole + length)
    if data.draw(st.booleans()):
        first = data.draw(st.floats(0.2, 0.9))
        overwrite(path, first, min(first + data.draw(st.floats(0.001, 0.05)), 1.0), data.draw(st.integers(0, 99)))
    if data.draw(st.booleans()):
        whole = path.read_bytes()
        path.write_bytes(whole[: int(data.draw(st.floats(0.4, 1.0)) * len(whole))])
    refusals = [_find_refusal(read, path) for read in (inspect, lambda each: list(stream(each)), VideoReader)]
    assert len(set(refusals)) == 1
    if refusals[0] is None:
        require_law(path)


def _find_refusal(read: Callable[[Path], Any], path: Path) -> str | None:
    try:
        read(path)
    except BenchError as error:
        return error.message
    return None


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A whole file of each kind that is cut."""
    folder = tmp_path_factory.mktemp("encoded")
    return {name: write_video(folder / name, pictures(), **ENCODINGS[name]) for name in CUT}


# ---------------------------------------------------------------- known answers


@pytest.mark.parametrize("name", ["f.mp4", "f.ts", "f.mkv"])
def test_two_fields_that_are_coded_apart_are_one_frame(name: str, tmp_path: Path) -> None:
    path = write_field_coded(tmp_path / name, 30)
    found = require_law(path)
    assert (found.info.n_frames, found.info.fps, found.info.duration_s) == (30, 25, pytest.approx(1.2))
    assert found.losses.coded == 30
    assert list_decode_warnings(found) == ["interlaced: not deinterlaced, so moving edges are combed"]
    assert survey(path).info.fps == 25  # known before all is decoded: once is enough to score it


@pytest.mark.parametrize("name", ["open.ts", "open.mp4", "a.webm", "open_hevc.mp4", "b.mpg"])
def test_pictures_that_lack_others_are_no_frames(name: str, make_video: Make, tmp_path: Path) -> None:
    whole = make_video(name, pictures(), **ENCODINGS[name])
    found = require_law(copy_packets(whole, tmp_path / f"cut_{name}", lambda index: index >= 5))
    coded = 36 - 5 - found.losses.hidden
    assert found.losses.undecodable == coded - found.info.n_frames > 0
    assert found.info.duration_s == pytest.approx(found.info.n_frames / 30, abs=2e-3)
    words = f"{found.losses.undecodable} of {coded} coded pictures cannot be decoded"
    assert any(words in warning for warning in list_decode_warnings(found))


def test_a_cut_mpeg4_begins_with_damage(make_video: Make, tmp_path: Path) -> None:
    """Its decoder shows something for pictures that lack others."""
    whole = make_video("b.avi", pictures(), **ENCODINGS["b.avi"])
    found = require_law(copy_packets(whole, tmp_path / "cut.avi", lambda index: index >= 5))
    assert found.losses.first_damaged == 0
    assert found.timeline.breaks == ()


def test_a_pause_of_the_clock_parts_segments(make_video: Make) -> None:
    """Closed form: 15 and 25 frames, 60 s of nothing between them."""
    stamps = [*range(15), *range(15 + 1500, 40 + 1500)]
    path = make_video("gap.mp4", pictures(40), stamps=stamps, time_base=Fraction(1, 25), max_b_frames=2)
    found = require_law(path)
    assert (found.info.n_frames, found.info.fps, found.info.duration_s) == (40, 25, pytest.approx(1.6))
    assert found.timeline.breaks == (15,)
    assert found.timeline.jumps == (pytest.approx(60.0),)
    np.testing.assert_allclose(found.timeline.timestamps, np.arange(40) / 25)
    assert any("2 stretches, 60 s apart" in warning for warning in list_decode_warnings(found))


@pytest.mark.parametrize("suffix", [".ts", ".mpg"])
def test_files_put_together_keep_their_order(suffix: str, make_video: Make, tmp_path: Path) -> None:
    options: dict[str, Any] = {} if suffix == ".ts" else {"codec": "mpeg2video"}
    part = make_video(f"a{suffix}", pictures(30), **options)
    path = concatenate(tmp_path / f"b{suffix}", part, part, part)
    found = require_law(path)
    assert (found.info.n_frames, found.info.fps) == (90, 30)
    assert found.info.duration_s == pytest.approx(3.0)
    assert found.timeline.breaks == (30, 60)
    shown = [frame for _, frame in stream(path)]
    np.testing.assert_array_equal(np.stack(shown), np.stack([frame for _, frame in stream(part)] * 3))
    assert any(warning.startswith("3 stretches: its clock jumps back by 1") for warning in list_decode_warnings(found))


@pytest.mark.parametrize("start", [3600.0, 2**33 / 90000 - 0.5])
def test_times_count_from_the_first_frame(start: float, make_video: Make, tmp_path: Path) -> None:
    """Late, and across the end of the clock of MPEG streams: raw stamps are kept, times begin at 0."""
    whole = make_video("a.ts", pictures(30))
    path = copy_packets(whole, tmp_path / "late.ts", shift=round(90000 * start))
    found = require_law(path)
    assert found.timeline.breaks == ()
    np.testing.assert_allclose(found.timeline.timestamps, np.arange(30) / 30)
    assert found.info.start_s is not None
    assert found.timeline.pts[0] == round(90000 * found.info.start_s)
    assert found.info.duration_s == pytest.approx(1.0)


@pytest.mark.parametrize("aspect", [Fraction(2), Fraction(16, 15), Fraction(8, 9), Fraction(1)])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_pixels_are_made_square(aspect: Fraction, name: str, make_video: Make) -> None:
    """Closed form: a disc that was squeezed when it was stored is round again."""
    height, width = 96, 96
    rows, columns = np.mgrid[:height, :width]
    squeezed = (columns - 48) * float(aspect) if aspect > 1 else columns - 48
    stretched = (rows - 48) / float(aspect) if aspect < 1 else rows - 48
    disc = np.where((squeezed**2 + stretched**2 < 36**2)[..., None], 255, 0).astype(np.uint8).repeat(3, axis=2)
    path = make_video(name, [disc] * 8, sample_aspect_ratio=aspect)
    found = require_law(path)
    expected = (height, round(width * aspect)) if aspect > 1 else (round(height / aspect), width)
    assert (found.info.height, found.info.width) == expected
    bright = next(iter(stream(path)))[1][..., 0] > 127
    down, across = bright.any(axis=1).sum(), bright.any(axis=0).sum()
    assert abs(int(down) - int(across)) <= 2
    told = any("its pixels are not square" in warning for warning in list_decode_warnings(found))
    assert told == (aspect != 1)


def test_square_pixels_of_a_picture_that_lies_on_its_side(make_video: Make) -> None:
    quarter = [0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30]
    path = make_video("r.mp4", pictures(4), matrix=quarter, sample_aspect_ratio=Fraction(2))
    found = require_law(path)
    assert (found.info.height, found.info.width) == (192, 64)
    assert any("96x64 was stretched to 192x64" in warning for warning in list_decode_warnings(found))


def test_a_thumbnail_is_not_the_video(tmp_path: Path) -> None:
    frames = [pictures(1, 32, 48), pictures(30)]
    for default in (1, None):
        path = write_streams(tmp_path / f"thumb{default}.mp4", frames, codecs=["mjpeg", "libx264"], default=default)
        found = require_law(path)
        assert (found.info.n_frames, found.info.height, found.info.width) == (30, 64, 96)
        assert "holds 2 video streams, only stream 1 (h264, 96x64) was scored" in list_decode_warnings(found)


def test_the_default_stream_is_read_and_the_other_named(tmp_path: Path) -> None:
    frames = [pictures(30), pictures(20, 32, 48)]
    for default, size in ((0, 64), (1, 32)):
        path = write_streams(tmp_path / f"two{default}.mkv", frames, default=default)
        assert require_law(path).info.height == size
        assert any(f"only stream {default} (" in warning for warning in list_source_warnings(open_source(path)))


def test_a_stream_that_cannot_be_decoded_makes_way(tmp_path: Path) -> None:
    path = write_streams(tmp_path / "a.mp4", [pictures(10), pictures(10, 32, 48)], codecs=["libx264", "libx264"])
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz", 2).replace(b"zzzz", b"avc1", 1))  # not the brand
    assert require_law(path).info.height == 32


def test_frames_hidden_by_an_edit_list_are_told(make_video: Make) -> None:
    path = make_video(
        "t.mp4", pictures(20), stamps=range(-8, 12), container_options={"avoid_negative_ts": "disabled"}
    )  # fmt: skip
    found = require_law(path)
    assert found.info.n_frames == 12
    assert list_decode_warnings(found) == ["8 frames are hidden by an edit list"]


def test_empty_chunks_of_avi_are_told(make_video: Make) -> None:
    path = make_video("h.avi", pictures(20), stamps=[*range(10), *range(14, 24)], codec="mpeg4")
    warnings = list_decode_warnings(require_law(path))
    assert warnings[0] == "4 of its frames are empty: the frames before them are shown longer"
    assert not any("header claims" in warning for warning in warnings)


def test_stamps_in_the_order_of_decoding(make_video: Make) -> None:
    """Foreign reference: the same pictures in mp4, which stores when they are shown."""
    options = {"x264-params": "bframes=5:b-pyramid=normal:b-adapt=0"}
    avi, mp4 = (make_video(f"b{suffix}", pictures(), options=options) for suffix in (".avi", ".mp4"))
    for (left, first), (right, second) in zip(stream(avi), stream(mp4), strict=True):
        assert left == pytest.approx(right)
        np.testing.assert_array_equal(first, second)
    require_law(avi)


@pytest.mark.parametrize("begin", [0, 20, 40])
def test_concealed_damage_is_counted(begin: int, make_video: Make) -> None:
    """Foreign reference: the whole file. Damage lasts to the next key frame, and no further."""
    path = make_video("d.mp4", pictures(60, 128, 192), gop_size=20, options={"x264-params": "scenecut=0"})
    assert inspect(path).losses.damaged == 0
    whole = [frame for _, frame in stream(path)]
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for position, size in packets[begin + 4 : begin + 12 : 2]:  # the key frame is left whole
        data[position + size // 2 : position + size] = np.random.default_rng(size).bytes(size - size // 2)
    path.write_bytes(data)
    found = require_law(path)
    shown = list(stream(path))
    losses = found.losses
    assert len(shown) + losses.lost == 60
    assert losses.first_damaged is not None
    assert begin <= losses.first_damaged < begin + 12
    key_frame = next((index for index, (at, _) in enumerate(shown) if at > (begin + 19.5) / 30), len(shown))
    assert losses.damaged == key_frame - losses.first_damaged
    for seconds, frame in [*shown[:begin], *shown[key_frame:]]:
        np.testing.assert_array_equal(frame, whole[round(30 * seconds)])
    words = f"{losses.damaged} of {len(shown)} frames show damage or are predicted from it"
    assert any(words in warning for warning in list_decode_warnings(found))


def test_our_own_clips_have_no_warnings(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "c.mp4", pictures(20), 25).path
    found = require_law(path)
    assert list_decode_warnings(found) == []
    assert survey(path).timeline.timestamps.tolist() == found.timeline.timestamps.tolist()


# ---------------------------------------------------------------- the clock


@given(st.lists(st.one_of(st.none(), st.integers(-(10**12), 10**12)), min_size=1, max_size=60))
def test_times_increase_whatever_the_stamps(stamps: list[int | None]) -> None:
    clock = Clock(PACE)
    timeline = Timeline.of([clock(stamp) for stamp in stamps], PACE)
    assert timeline.timestamps[0] == 0
    assert (np.diff(timeline.timestamps) > 0).all()
    assert timeline.timestamps[-1] < timeline.duration_s * (1 + 1e-9)
    assert (timeline.steps <= 10 * 0.04 + 1e-6).all()
    assert np.isfinite(timeline.fps)
    assert len(timeline.jumps) == len(timeline.breaks)


def test_moments_of_a_clock() -> None:
    """Closed form, in milliseconds: a missing stamp, a repeated one, a pause, a step back."""
    clock = Clock(PACE)
    moments = [clock(stamp) for stamp in (1000, 1040, None, 1120, 1120, 1200, 3200, 3240, 100)]
    assert [round(moment.seconds, 9) for moment in moments] == [0, 0.04, 0.08, 0.12, 0.16, 0.2, 0.24, 0.28, 0.32]
    assert [moment.pts for moment in moments] == [1000, 1040, None, 1120, None, 1200, 3200, 3240, 100]
    assert [index for index, moment in enumerate(moments) if moment.starts_segment] == [0, 6, 8]
    assert [round(moment.jump, 9) for moment in moments if moment.jump] == [1.96, -3.18]


def test_the_clock_of_mpeg_starts_again_without_a_jump() -> None:
    pace = Pace(Fraction(1, 90000), Fraction(25), 3600, wraps=True)
    clock = Clock(pace)
    moments = [clock((2**33 - 7200 + 3600 * k) % 2**33) for k in range(5)]
    assert [moment.seconds for moment in moments] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
    assert [moment.starts_segment for moment in moments] == [True, False, False, False, False]


@given(st.permutations(range(8)), st.integers(0, 40))
def test_stamps_of_packets_are_put_in_order(order: list[int], groups: int) -> None:
    """Whatever the order within a group of 8: no reordering reaches further than 16."""
    stamps = [8 * group + k for group in range(groups) for k in order]
    assert list(order_stamps(stamps)) == sorted(stamps)


def test_the_rate_is_that_of_the_median_step() -> None:
    """Closed form: steps of 40 ms, of which a container rounds none, and a few that are longer."""
    clock = Clock(Pace(Fraction(1, 1000), Fraction(10), 40))
    stamps = itertools.accumulate([0, *[40] * 20, 120, *[40] * 20, 120])
    timeline = Timeline.of([clock(stamp) for stamp in stamps], Pace(Fraction(1, 1000), Fraction(10), 40))
    assert timeline.fps == 25
    assert timeline.find_uneven_steps() == pytest.approx((0.04, 0.12))
    assert timeline.duration_s == pytest.approx(1.88)
    assert Moment(0.0, None, starts_segment=True) == Clock(PACE)(None)
