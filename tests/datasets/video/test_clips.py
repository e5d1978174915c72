"""Clips: the one encoder, and random access to the clips that it wrote."""

from __future__ import annotations

import errno
import itertools
import os
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dancebench.core.errors import BenchError
from dancebench.core.files import explain_write_errors, sha256_file
from dancebench.datasets.video import clips as video
from dancebench.datasets.video.clips import VideoReader, describe_encoder, probe, stream, to_clip_rate, write_clip

Frame = npt.NDArray[np.uint8]
Make = Callable[..., Path]
LOSSLESS = {"codec": "png", "pix_fmt": "rgb24"}
N = 40


def noise(k: int, height: int = 64, width: int = 96) -> Frame:
    """No two frames alike anywhere, and hard to compress."""
    return np.random.default_rng(k).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip from `write_clip`: 40 frames of 64 x 96 at 30 fps."""
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", map(noise, range(N)), 30).path


@pytest.fixture(scope="module")
def decoded(clip: Path) -> Frame:
    """All its frames."""
    return np.stack([frame for _, frame in stream(clip)])


@pytest.fixture
def decord(monkeypatch: pytest.MonkeyPatch) -> None:
    """decord, also where the suite runs with DECORD=off; a skip where it is not installed."""
    pytest.importorskip("decord")
    monkeypatch.delenv("DECORD", raising=False)


def difference(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> int:
    """The largest difference of two images, in levels."""
    return int(np.abs(a.astype(int) - b.astype(int)).max())


# ---------------------------------------------------------------- the writer


def test_written_clip_matches_its_info(tmp_path: Path) -> None:
    info = write_clip(tmp_path / "deep" / "a.mp4", map(noise, range(12)), Fraction(30000, 1001))
    assert (info.n_frames, info.height, info.width) == (12, 64, 96)
    assert info.fps == 30000 / 1001
    assert info.bytes == info.path.stat().st_size
    assert info.sha256 == sha256_file(info.path)
    assert info.encoder == describe_encoder()
    for word in (av.__version__, "libx264", "crf=18", "threads=1"):
        assert word in info.encoder
    probed = probe(info.path)
    assert (probed.n_frames, probed.height, probed.width) == (12, 64, 96)
    assert (probed.codec, probed.pix_fmt, probed.rotation, probed.has_audio) == ("h264", "yuv420p", 0, False)
    assert probed.fps == probed.average_rate == info.fps
    assert probed.duration_s == pytest.approx(12 * 1001 / 30000)


@given(st.fractions(min_value=1, max_value=120, max_denominator=1001))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rate_survives_the_file(tmp_path: Path, fps: Fraction) -> None:
    info = write_clip(tmp_path / "rate.mp4", map(noise, range(5)), fps)
    probed = probe(info.path)
    assert to_clip_rate(probed.fps) == fps
    with VideoReader(info.path) as reader:
        np.testing.assert_allclose(reader.timestamps, np.arange(5) / float(fps), rtol=1e-9)


def test_flat_colours_come_back(tmp_path: Path) -> None:
    """Closed form: range and matrix are tagged as they were used, so no colour is shifted."""
    levels = [(r, g, b) for r in (0, 128, 255) for g in (0, 128, 255) for b in (0, 128, 255)]
    frames = [np.full((64, 48, 3), colour, np.uint8) for colour in levels]
    path = write_clip(tmp_path / "flat.mp4", frames, 25).path
    with VideoReader(path) as reader:
        assert difference(reader.read(range(len(reader))), np.stack(frames)) <= 3
    capture = cv2.VideoCapture(str(path))  # foreign reference: another reader sees the same colours
    for frame in frames:
        assert difference(capture.read()[1][..., ::-1], frame) <= 3


def test_same_frames_same_bytes(tmp_path: Path) -> None:
    a = write_clip(tmp_path / "a.mp4", map(noise, range(20)), 30)
    b = write_clip(tmp_path / "b.mp4", map(noise, range(20)), 30)
    assert a.sha256 == b.sha256
    with av.open(str(a.path)) as container:
        tags = {*container.metadata, *container.streams.video[0].metadata}
    assert not tags & {"encoder", "creation_time"}


def test_kind_of_frame_depends_on_its_index_alone(tmp_path: Path) -> None:
    """Nothing in the structure of a clip depends on its content: not even a cut."""
    calm = [noise(0)] * 40
    cut = [*calm[:21], *map(noise, range(19))]
    keys = []
    for name, frames in (("calm", calm), ("cut", cut)):
        path = write_clip(tmp_path / f"{name}.mp4", frames, 30).path
        with av.open(str(path)) as container:
            keys.append([(p.is_keyframe, p.pts == p.dts) for p in container.demux(video=0) if p.size])
    assert keys[0] == keys[1] == [(k % video.ENCODER.gop == 0, True) for k in range(40)]


def test_metadata_only_where_asked_for(tmp_path: Path) -> None:
    marks = {"comment": "synthesized", "dancebench": "fbf → ü"}
    path = write_clip(tmp_path / "a.mp4", [noise(0)], 30, metadata=marks).path
    with av.open(str(path)) as container:
        assert marks.items() <= container.metadata.items()


def test_writer_holds_few_frames(tmp_path: Path) -> None:
    alive = most = 0

    def count_freed() -> None:
        nonlocal alive
        alive -= 1

    def frames() -> Iterator[Frame]:
        nonlocal alive, most
        for k in range(60):
            frame = noise(k)
            weakref.finalize(frame, count_freed)
            alive += 1
            most = max(most, alive)
            yield frame

    write_clip(tmp_path / "a.mp4", frames(), 30)
    assert most <= 4


@pytest.mark.parametrize("trouble", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_interruption_leaves_nothing(trouble: type[BaseException], tmp_path: Path) -> None:
    def frames() -> Iterator[Frame]:
        yield from map(noise, range(10))
        raise trouble

    with pytest.raises(trouble):
        write_clip(tmp_path / "a.mp4", frames(), 30)
    assert list(tmp_path.iterdir()) == []


def test_interruption_keeps_the_old_clip(tmp_path: Path) -> None:
    old = write_clip(tmp_path / "a.mp4", map(noise, range(5)), 30)
    broken = itertools.chain(map(noise, range(5)), [np.zeros((2, 2, 3), np.uint8)])
    with pytest.raises(BenchError, match="Frame 5"):
        write_clip(old.path, broken, 30)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    assert sha256_file(old.path) == old.sha256


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is always full")
def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def full(path: Path) -> Iterator[Path]:
        with explain_write_errors():
            yield Path("/dev/full")

    monkeypatch.setattr(video, "atomic_path", full)
    with pytest.raises(BenchError, match="No space left") as caught:
        write_clip(tmp_path / "a.mp4", map(noise, range(60)), 30)
    assert caught.value.hint is not None
    assert "disk is full" in caught.value.hint


def test_full_disk_leaves_nothing(tmp_path: Path) -> None:
    def frames() -> Iterator[Frame]:
        yield from map(noise, range(10))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(BenchError, match="No space left"):
        write_clip(tmp_path / "a.mp4", frames(), 30)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "no frames"),
        ([np.zeros((64, 95, 3), np.uint8)], "must be even"),
        ([np.zeros((63, 96, 3), np.uint8)], "must be even"),
        ([np.zeros((0, 0, 3), np.uint8)], "must be even"),
        ([np.zeros((64, 96), np.uint8)], "uint8"),
        ([np.zeros((64, 96, 4), np.uint8)], "uint8"),
        ([np.zeros((64, 96, 3), np.float32)], "uint8"),
        ([noise(0), noise(0, 64, 98)], "Frame 1"),
        ([noise(0), noise(0).astype(np.float32)], "Frame 1"),
    ],
)
def test_frames_that_cannot_be_written(frames: list[Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=message):
        write_clip(tmp_path / "a.mp4", frames, 30)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), 1e-9])
def test_invalid_rates(fps: float, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="frames per second"):
        write_clip(tmp_path / "a.mp4", [noise(0)], fps)


def test_not_contiguous_frames(tmp_path: Path) -> None:
    turned = [noise(k)[::-1, ::-1] for k in range(3)]
    straight = [np.ascontiguousarray(frame) for frame in turned]
    a, b = (write_clip(tmp_path / f"{i}.mp4", f, 30) for i, f in enumerate((turned, straight)))
    assert a.sha256 == b.sha256


# ---------------------------------------------------------------- random access


@pytest.mark.usefixtures("decord")
def test_decoders_agree_to_the_pixel(clip: Path, decoded: Frame) -> None:
    """Foreign reference: decord against PyAV; training must not depend on which of them reads."""
    decoder: Literal["decord", "pyav"]
    for decoder in ("decord", "pyav"):
        with VideoReader(clip, decoder=decoder) as reader:
            assert reader.decoder.startswith(decoder)
            np.testing.assert_array_equal(reader.read(range(N)), decoded)


@pytest.mark.usefixtures("decord")
@pytest.mark.parametrize("size", [(16, 32), (34, 46), (98, 130), (66, 1022), (512, 256)])
def test_decoders_agree_at_any_size(size: tuple[int, int], tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", (noise(k, *size) for k in range(4)), 30).path
    with VideoReader(path, decoder="decord") as a, VideoReader(path, decoder="pyav") as b:
        np.testing.assert_array_equal(a.read(range(4)), b.read(range(4)))


def test_clip_too_small_for_decord(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", [np.full((2, 2, 3), 99, np.uint8)] * 3, 30).path
    with VideoReader(path) as reader:
        assert reader.decoder.startswith("pyav")
        assert difference(reader.read([2, 0]), np.array(99)) <= 3


@pytest.mark.parametrize("decoder", ["auto", "pyav"])
@given(indices=st.lists(st.integers(-N - 3, N + 2), max_size=6))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_index_laws_are_those_of_a_list(decoder: Any, indices: list[int], clip: Path, decoded: Frame) -> None:
    listed = list(decoded)
    with VideoReader(clip, decoder=decoder) as reader:
        assert len(reader) == len(listed)
        try:
            expected = [listed[index] for index in indices]
        except IndexError:
            with pytest.raises(IndexError):
                reader.read(indices)
            return
        found = reader.read(indices)
        assert found.shape == (len(indices), 64, 96, 3)
        assert found.dtype == np.uint8
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_single_frames_and_facts(clip: Path, decoded: Frame) -> None:
    with VideoReader(clip) as reader:
        np.testing.assert_array_equal(reader[-1], decoded[-1])
        np.testing.assert_array_equal(reader[np.int64(3)], decoded[3])
        with pytest.raises(IndexError):
            reader[N]
        with pytest.raises(TypeError):
            reader["3"]  # type: ignore[index]
        assert (reader.height, reader.width, reader.fps) == (64, 96, 30.0)
        assert reader.timestamps.dtype == np.float64
        np.testing.assert_allclose(reader.timestamps, np.arange(N) / 30, atol=1e-12)
        assert [frame.shape for frame in reader] == [(64, 96, 3)] * N  # as any sequence iterates


def test_without_decord(clip: Path, decoded: Frame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "decord", None)
    with VideoReader(clip) as reader:
        assert reader.decoder.startswith("pyav")
        np.testing.assert_array_equal(reader.read([7, 3, 3]), decoded[[7, 3, 3]])
    with pytest.raises(BenchError, match="decord cannot read"):
        VideoReader(clip, decoder="decord")


@pytest.mark.usefixtures("decord")
def test_decord_switched_off(clip: Path, decoded: Frame, monkeypatch: pytest.MonkeyPatch) -> None:
    with VideoReader(clip) as reader:
        assert reader.decoder.startswith("decord")
    monkeypatch.setenv("DECORD", "off")
    with VideoReader(clip) as reader:
        assert reader.decoder.startswith("pyav")
        np.testing.assert_array_equal(reader.read([7, 3, 3]), decoded[[7, 3, 3]])
    with pytest.raises(BenchError, match=r"decord cannot read .*: DECORD=off"):
        VideoReader(clip, decoder="decord")


@pytest.mark.usefixtures("decord")
def test_decord_failing_while_reading(clip: Path, decoded: Frame, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("no more\n")

    with VideoReader(clip) as reader, VideoReader(clip, decoder="decord") as strict:
        assert reader.decoder.startswith("decord")
        monkeypatch.setattr("decord.VideoReader.get_batch", fail)
        np.testing.assert_array_equal(reader.read([5]), decoded[[5]])
        assert reader.decoder.startswith("pyav")
        with pytest.raises(BenchError, match="no more"):
            strict.read([5])


@pytest.mark.usefixtures("decord")
def test_decord_counting_too_many_frames(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """get_batch may hang on such a file, so it is never called there."""
    monkeypatch.setattr("decord.VideoReader.__len__", lambda _: N + 2)
    with VideoReader(clip) as reader:
        assert len(reader) == N
        assert reader.decoder.startswith("pyav")
    with pytest.raises(BenchError, match=f"counts {N + 2} frames, there are {N}"):
        VideoReader(clip, decoder="decord")


def test_container_that_claims_more_than_it_holds(tmp_path: Path) -> None:
    """The index is at the front, so a truncated file still claims 60 frames; decord could hang on it."""
    whole = write_clip(tmp_path / "whole.mp4", map(noise, range(60)), 30)
    data = whole.path.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: len(data) * 6 // 10])
    with av.open(str(cut)) as container:
        assert container.streams.video[0].frames == 60
    n_held = probe(cut).n_frames
    assert 30 < n_held < 40
    frames = [frame for _, frame in stream(cut)]
    assert len(frames) == n_held
    with VideoReader(cut) as reader, VideoReader(whole.path) as full:
        assert len(reader) == n_held
        assert reader.decoder.startswith("pyav")
        np.testing.assert_array_equal(reader.read(range(n_held)), full.read(range(n_held)))
        with pytest.raises(IndexError):
            reader[n_held]
    with pytest.raises(BenchError, match="decord cannot read"):
        VideoReader(cut, decoder="decord")


# ---------------------------------------------------------------- real recordings

REAL = os.environ.get("BENCH_REAL_CLIPS")


@pytest.mark.skipif(REAL is None, reason="BENCH_REAL_CLIPS names no folder of real recordings")
def test_real_recordings(tmp_path: Path) -> None:
    paths = sorted(Path(REAL or "").glob("*.mp4"))
    assert paths
    for path in paths:
        info = probe(path)
        frames = list(itertools.islice(stream(path), 12))
        capture = cv2.VideoCapture(str(path))  # foreign reference
        assert info.n_frames == int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        assert info.fps == pytest.approx(capture.get(cv2.CAP_PROP_FPS), rel=1e-3)
        assert len(frames) == 12
        for _, frame in frames[:3]:
            assert np.abs(capture.read()[1][..., ::-1].astype(int) - frame).mean() < 4
        written = write_clip(tmp_path / path.name, (frame for _, frame in frames), info.fps)
        with VideoReader(written.path) as a, VideoReader(written.path, decoder="pyav") as b:
            np.testing.assert_array_equal(a.read([11, 0, 7]), b.read([11, 0, 7]))
            assert np.abs(a[5].astype(int) - frames[5][1]).mean() < 4
