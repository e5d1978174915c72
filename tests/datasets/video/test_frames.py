"""Frame sources, resampling by time stamp, and the geometry of letterboxing."""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_file
from dancebench.datasets.video.clips import write_clip
from dancebench.datasets.video.frames import (
    Letterbox,
    is_single_picture,
    list_other_files,
    natural_key,
    open_source,
    reduce_rate,
    resample,
    resize,
)

Frame = npt.NDArray[np.uint8]
Make = Callable[..., Path]


def noise(k: int, height: int = 24, width: int = 32) -> Frame:
    """No two frames alike."""
    return np.random.default_rng(k).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path: Path, pixels: npt.NDArray[np.generic]) -> None:
    """Write RGB, RGBA or gray by OpenCV."""
    order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}
    stored = pixels if pixels.ndim == 2 else pixels[..., order[pixels.shape[2]]]
    path.write_bytes(cv2.imencode(path.suffix, stored)[1].tobytes())


# ---------------------------------------------------------------- sources


def test_video_file(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", map(noise, range(9)), Fraction(30000, 1001)).path
    source = open_source(path)
    assert (source.height, source.width, source.n_frames) == (24, 32, 9)
    assert source.fps == pytest.approx(30000 / 1001)
    assert source.sha256 == sha256_file(path)
    assert source.decoder.startswith("pyav")
    times = [[seconds for seconds, _ in source.frames()] for _ in range(2)]  # can be read again
    assert times[0] == times[1]
    np.testing.assert_allclose(times[0], np.arange(9) * 1001 / 30000)


def test_folder_in_natural_order(tmp_path: Path) -> None:
    for k in range(12):
        save(tmp_path / f"frame{k}.png", noise(k))
    save(tmp_path / ".hidden.png", noise(0, 3, 3))
    (tmp_path / "notes.txt").write_text("no image")
    source = open_source(tmp_path, fps=10)
    assert (source.height, source.width, source.n_frames, source.fps) == (24, 32, 12, 10)
    shown = list(source.frames())
    np.testing.assert_allclose([seconds for seconds, _ in shown], np.arange(12) / 10)
    for k, (_, frame) in enumerate(shown):
        np.testing.assert_array_equal(frame, noise(k))
    assert open_source(tmp_path).fps == 25


@given(st.lists(st.integers(0, 10**6), unique=True))
def test_natural_order_is_that_of_the_numbers(numbers: list[int]) -> None:
    names = sorted((f"dancer_{number}_v2.jpg" for number in numbers), key=natural_key)
    assert names == [f"dancer_{number}_v2.jpg" for number in sorted(numbers)]


def test_natural_order_of_mixed_names() -> None:
    names = ["b1.png", "1.png", "a.png", "01.png", "a10.png", "a2.png", "10.png", "2.png"]
    expected = ["01.png", "1.png", "2.png", "10.png", "a2.png", "a10.png", "a.png", "b1.png"]
    for order in itertools.islice(itertools.permutations(names), 0, None, 997):
        assert sorted(order, key=natural_key) == expected


def test_folder_hash_follows_names_and_content(tmp_path: Path) -> None:
    def hash_folder(name: str, *images: tuple[str, int]) -> str:
        folder = tmp_path / name
        folder.mkdir()
        for image, k in images:
            save(folder / image, noise(k))
        return open_source(folder).sha256

    base = hash_folder("a", ("1.png", 1), ("2.png", 2))
    assert base == hash_folder("same", ("1.png", 1), ("2.png", 2))
    assert base != hash_folder("content", ("1.png", 1), ("2.png", 3))
    assert base != hash_folder("name", ("1.png", 1), ("3.png", 2))
    assert base != hash_folder("more", ("1.png", 1), ("2.png", 2), ("3.png", 2))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".bmp", ".webp", ".PNG", ".JPG"])
def test_image_formats(suffix: str, tmp_path: Path) -> None:
    flat = np.full((24, 32, 3), (200, 60, 20), np.uint8)
    save(tmp_path / f"1{suffix}", flat)
    [(_, frame)] = open_source(tmp_path).frames()
    assert np.abs(frame.astype(int) - flat).max() <= 4


def test_images_are_decoded_as_displayed(tmp_path: Path) -> None:
    """Closed form: alpha lies over black; 16 bits and gray become 8-bit RGB."""
    colour = noise(1)
    save(tmp_path / "1.png", np.dstack([colour, np.full((24, 32), 51, np.uint8)]))  # one fifth
    save(tmp_path / "2.png", colour.astype(np.uint16) * 257)
    save(tmp_path / "3.png", colour[..., 0])
    save(tmp_path / "4.png", np.dstack([colour, np.full((24, 32), 51, np.uint8)]).astype(np.uint16) * 257)
    frames = [frame for _, frame in open_source(tmp_path).frames()]
    fifth = np.rint(colour / 5).astype(np.uint8)
    for frame, expected in zip(frames, (fifth, colour, np.dstack([colour[..., 0]] * 3), fifth), strict=True):
        assert frame.shape == (24, 32, 3)
        assert frame.dtype == np.uint8
        assert np.abs(frame.astype(int) - expected).max() <= 1


def test_photographs_are_rotated_as_exif_says(tmp_path: Path) -> None:
    """Foreign reference: Pillow."""
    smooth = cv2.GaussianBlur(noise(4), (0, 0), 3)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    data = io.BytesIO()
    PIL.Image.fromarray(smooth).save(data, "jpeg", quality=98, exif=exif)
    (tmp_path / "1.jpg").write_bytes(data.getvalue())
    [(_, frame)] = open_source(tmp_path).frames()
    assert frame.shape == (32, 24, 3)
    assert np.abs(frame.astype(int) - np.rot90(smooth, -1)).max() <= 12


def test_unusable_folders(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="holds no images"):
        open_source(tmp_path)
    save(tmp_path / "1.png", noise(1))
    for fps in (0, -1, float("nan"), float("inf")):
        with pytest.raises(BenchError, match="frames per second"):
            open_source(tmp_path, fps=fps)
    save(tmp_path / "2.png", noise(1, 24, 34))
    with pytest.raises(BenchError, match=r"2\.png is 24 x 34 .* before are 24 x 32"):
        open_source(tmp_path)
    for data in (b"", b"no image", (tmp_path / "1.png").read_bytes()[:20]):
        (tmp_path / "2.png").write_bytes(data)
        with pytest.raises(BenchError, match=r"2\.png cannot be decoded"):
            open_source(tmp_path)


def test_what_lies_beside_the_images_is_listed(tmp_path: Path) -> None:
    save(tmp_path / "1.png", noise(1))
    for name in ("note10.txt", "note9.txt", ".hidden.png", "a.tif"):
        (tmp_path / name).touch()
    assert list_other_files(tmp_path) == [".hidden.png", "a.tif", "note9.txt", "note10.txt"]
    assert open_source(tmp_path).n_frames == 1


def test_a_single_picture_is_no_recording(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "a.bmp", "a.webp"):
        save(tmp_path / name, noise(1))
        with pytest.raises(BenchError, match="is a single picture") as caught:
            open_source(tmp_path / name)
        assert caught.value.hint
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:30])
    assert is_single_picture(tmp_path / "cut.jpg")
    assert not is_single_picture(tmp_path)


@pytest.mark.parametrize(
    ("codec", "name", "pix_fmt"),
    [("gif", "a.gif", "rgb8"), ("apng", "a.apng", "rgb24"), ("mjpeg", "a.mjpeg", "yuvj420p")],
)
def test_moving_pictures_are_told_from_single_ones(codec: str, name: str, pix_fmt: str, tmp_path: Path) -> None:
    for count in (1, 3):
        with av.open(str(tmp_path / name), "w") as container:
            out: Any = container.add_stream(codec, rate=10)
            out.height, out.width, out.pix_fmt = 24, 32, pix_fmt
            for seed in range(count):
                frame = av.VideoFrame.from_ndarray(noise(seed), format="rgb24").reformat(format=pix_fmt)
                container.mux(out.encode(frame))
            container.mux(out.encode(None))
        assert is_single_picture(tmp_path / name) == (count == 1)


def test_source_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="does not exist"):
        open_source(tmp_path / "none")


# ---------------------------------------------------------------- rate

RATES = st.floats(1, 240)


def _kept(times: list[float], source: float, target: float) -> list[tuple[float, int]]:
    return list(resample([(seconds, k) for k, seconds in enumerate(times)], source, target))


@given(st.lists(st.floats(0.01, 5), max_size=80), RATES, RATES, st.floats(-5, 1e4))
def test_resampling_drops_and_never_repeats(gaps: list[float], source: float, target: float, start: float) -> None:
    """Whatever the time stamps: a subset in order, the first frame first, never too close."""
    times = [float(t) for t in start + np.cumsum([0, *gaps]) / source]  # gaps in source periods
    kept = _kept(times, source, target)
    indices = [k for _, k in kept]
    assert indices[0] == 0
    assert sorted(set(indices)) == indices
    assert [times[k] for k in indices] == [seconds for seconds, _ in kept]
    if source <= target:
        assert indices == list(range(len(times)))
    elif source > 1.005 * target:
        spacing = np.diff([seconds for seconds, _ in kept])
        assert (spacing >= 1 / target - 1.25 / source - 1e-6).all()
        assert len(kept) <= (times[-1] - times[0]) * target + 2


@given(st.fractions(1, 240), st.fractions(1, 120), st.integers(1, 300))
def test_resampling_reaches_the_nominal_rate(source: Fraction, target: Fraction, n: int) -> None:
    kept = _kept([float(k / source) for k in range(n)], float(source), float(target))
    seconds = (n - 1) / float(source)
    rate = float(min(source, target))
    assert abs(len(kept) - 1 - seconds * rate) <= 1 + 0.005 * seconds * rate
    assert len(set(np.round(np.diff([k for _, k in kept])))) <= 2  # an even step, give or take one frame


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (60, 30, list(range(0, 60, 2))),
        (50, 25, list(range(0, 60, 2))),
        (60, 20, list(range(0, 60, 3))),
        (120, 30, list(range(0, 60, 4))),
        (30, 30, list(range(60))),
        (25, 30, list(range(60))),
        (30.0003, 30, list(range(60))),
        (29.97, 30, list(range(60))),
    ],
)
def test_resampling_of_even_rates(source: float, target: float, expected: list[int]) -> None:
    """Closed form; also where the container rounds its stamps to milliseconds, up or down."""
    exact = [k / source for k in range(60)]
    for times in (exact, [round(t, 3) for t in exact], [int(1000 * t) / 1000 for t in exact]):
        assert [k for _, k in _kept(times, source, target)] == expected


def test_resampling_a_rate_hardly_too_high() -> None:
    """Closed form: a rate within half a percent keeps all frames, a higher one loses the surplus."""
    assert len(_kept([k / 30.1 for k in range(2000)], 30.1, 30)) == 2000
    assert len(_kept([k / 31 for k in range(3101)], 31, 30)) == 3001


def test_resampling_keeps_its_distance() -> None:
    """Closed form: a frame late for its tick is not followed at once by one in time for the next."""
    kept = [seconds for seconds, _ in _kept([0.0, 0.19, 0.2, 0.31, 0.4], 40, 10)]
    assert kept == [0.0, 0.19, 0.31, 0.4]


def test_resampling_a_gap() -> None:
    """Closed form: nothing fills a pause, and the grid continues unchanged."""
    times = [*np.arange(0, 1, 0.02), *np.arange(5.01, 6, 0.02)]
    kept = [seconds for seconds, _ in _kept([float(t) for t in times], 50, 10)]
    np.testing.assert_allclose(kept, [*np.arange(0, 1, 0.1), *np.arange(5.01, 6, 0.1)], atol=0.0201)
    assert kept[10] == pytest.approx(5.01)


def test_resampling_streams() -> None:
    endless = ((k / 60, k) for k in itertools.count())
    assert [k for _, k in itertools.islice(resample(endless, 60, 30), 4)] == [0, 2, 4, 6]
    assert list(resample([], 60, 30)) == []


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (60.0, 30.0, Fraction(30)),
        (25.0, 30.0, Fraction(25)),
        (30000 / 1001, 30.0, Fraction(30000, 1001)),
        (60.0, 30000 / 1001, Fraction(30000, 1001)),
        (12.5, 30.0, Fraction(25, 2)),
    ],
)
def test_normalised_rate(source: float, target: float, expected: Fraction) -> None:
    assert reduce_rate(source, target) == expected


def test_variable_rate_video(make_video: Make) -> None:
    stamps = np.cumsum([0, *[8, 25] * 20]).tolist()
    path = make_video(
        "v.mkv",
        [noise(k) for k in range(41)],
        stamps=stamps,
        time_base=Fraction(1, 1000),
        codec="ffv1",
        pix_fmt="bgr0",
    )
    source = open_source(path)
    kept = list(resample(source.frames(), source.fps, 30))
    assert np.diff([seconds for seconds, _ in kept]).min() > 0.02
    assert 19 <= len(kept) <= 21
    for seconds, frame in kept:
        np.testing.assert_array_equal(frame, noise(stamps.index(round(1000 * seconds))))


# ---------------------------------------------------------------- geometry

SIDES = st.integers(1, 3000)
SIZES = st.tuples(SIDES, SIDES)


@given(SIZES, SIZES, st.lists(st.tuples(st.floats(-50, 3050), st.floats(-50, 3050)), min_size=1))
def test_inverse_undoes_points(
    source: tuple[int, int], target: tuple[int, int], places: list[tuple[float, float]]
) -> None:
    letterbox = Letterbox(source, target)
    xy = np.array(places)
    scale = max(1, *source) / min(letterbox.inner)
    np.testing.assert_allclose(letterbox.unmap_points(letterbox.map_points(xy)), xy, atol=1e-9 * scale * 3000)
    single = xy.astype(np.float32)
    assert letterbox.map_points(single).dtype == np.float32


@given(SIZES, SIZES)
def test_letterbox_fits_and_keeps_the_aspect(source: tuple[int, int], target: tuple[int, int]) -> None:
    letterbox = Letterbox(source, target)
    (height, width), (top, left) = letterbox.inner, letterbox.offset
    assert height == target[0] or width == target[1]  # as large as can be
    assert 0 <= top <= target[0] - height
    assert 0 <= left <= target[1] - width
    assert abs(2 * top + height - target[0]) <= 1  # centred
    assert abs(2 * left + width - target[1]) <= 1
    scale = min(target[0] / source[0], target[1] / source[1])
    assert abs(height - source[0] * scale) <= max(0.5, 1 - source[0] * scale) + 1e-9
    assert abs(width - source[1] * scale) <= max(0.5, 1 - source[1] * scale) + 1e-9
    # the outer edges of the corner pixels map to the edges of the image within its bars
    edges = np.array([(-0.5, -0.5), (source[1] - 0.5, source[0] - 0.5)])
    np.testing.assert_allclose(
        letterbox.map_points(edges) + 0.5, [(left, top), (left + width, top + height)], atol=1e-6
    )


@pytest.mark.parametrize(
    ("source", "target"),
    [((200, 150), (512, 256)), ((720, 720), (512, 256)), ((301, 97), (128, 64)), ((64, 128), (128, 64))],
)
def test_points_go_where_the_pixels_go(source: tuple[int, int], target: tuple[int, int]) -> None:
    """Closed form: the centre of mass of a blob moves as its centre does."""
    letterbox = Letterbox(source, target)
    centre = np.array([0.6 * source[1], 0.35 * source[0]])  # x, y
    y, x = np.mgrid[: source[0], : source[1]]
    blob = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * (min(source) / 12) ** 2))
    frame = np.dstack([np.rint(255 * blob).astype(np.uint8)] * 3)
    boxed = letterbox.apply(frame)
    assert boxed.shape == (*target, 3)
    weight = boxed[..., 0].astype(float)
    y, x = np.mgrid[: target[0], : target[1]]
    found = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
    np.testing.assert_allclose(found, letterbox.map_points(centre), atol=0.12)


def test_bars_are_black_and_the_image_fills_the_rest() -> None:
    white = np.full((720, 720, 3), 255, np.uint8)
    boxed = Letterbox((720, 720), (512, 256)).apply(white)
    assert (boxed[128:384] == 255).all()
    assert (boxed[:128] == 0).all()
    assert (boxed[384:] == 0).all()


def test_shrinking_averages() -> None:
    """Closed form: a quarter of the size takes the mean of each 4 x 4 block."""
    frame = noise(0, 40, 20)
    mean = frame.reshape(10, 4, 5, 4, 3).mean(axis=(1, 3))
    assert np.abs(resize(frame, (10, 5)) - mean).max() <= 0.75


def test_same_size_changes_nothing() -> None:
    np.testing.assert_array_equal(resize(noise(0), (24, 32)), noise(0))


@given(SIZES.map(lambda s: (s[0] % 40 + 1, s[1] % 40 + 1)), st.integers(0, 3))
def test_resizing_many_is_resizing_each(size: tuple[int, int], n: int) -> None:
    frames = np.array([noise(k) for k in range(n)], dtype=np.uint8).reshape(n, 24, 32, 3)
    many = resize(frames, size)
    assert many.shape == (n, *size, 3)
    for frame, boxed in zip(frames, many, strict=True):
        np.testing.assert_array_equal(resize(frame, size), boxed)


def test_frame_of_another_size_is_refused() -> None:
    with pytest.raises(BenchError, match=r"A frame of 24 x 32 came where 24 x 30"):
        Letterbox((24, 30), (64, 64)).apply(noise(0))
    with pytest.raises(BenchError, match="cannot be fitted"):
        Letterbox((0, 30), (64, 64))


# ---------------------------------------------------------------- real recordings

REAL = os.environ.get("BENCH_REAL_CLIPS")


@pytest.mark.skipif(REAL is None, reason="BENCH_REAL_CLIPS names no folder of real recordings")
def test_real_recordings_become_clips(tmp_path: Path) -> None:
    paths = sorted(Path(REAL or "").glob("*.mp4"))
    assert paths
    for path in paths:
        source = open_source(path)
        letterbox = Letterbox((source.height, source.width), (128, 64))
        kept = [frame for _, frame in resample(source.frames(), source.fps, 15)]
        info = write_clip(tmp_path / path.name, map(letterbox.apply, kept), reduce_rate(source.fps, 15))
        assert info.fps == min(source.fps, 15)
        assert info.n_frames / info.fps == pytest.approx(source.n_frames / source.fps, abs=1 / info.fps)
