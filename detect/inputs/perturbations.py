"""What happens to videos on their way: the frames of a clip in, the perturbed frames out.

In: RGB frames uint8 (H, W, 3), one even height and width from 32 up, in order, and their rate. Out: frames of
the same size, one for each that went in (`halfrate`: for every second). Nothing is drawn at random but the
noise, and that by the frame's index alone: the same frames give the same perturbed frames.

    attack   what a video goes through on its way, or what somebody does to hide a fake
    edit     what honest videos undergo too: a detector that takes it for synthesis accuses the innocent

Frames come and go one at a time: `stabilise` holds half a second to each side, `compress` a file on the
disk. Sizes (sigmas, diameters) are in pixels of the clip. A new perturbation is a function and its line in
`_GRID`.
"""

from __future__ import annotations

import itertools
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import UnknownNameError
from dancebench.core.opencv import cv2
from dancebench.datasets.video.clips import ENCODER, Frame, stream, write_clip

Apply = Callable[[Iterable[Frame], float], Iterator[Frame]]
"""Frames and their rate in frames per second to the perturbed frames."""
PerturbationKind = Literal["none", "attack", "edit"]

NONE = "none"
"""The perturbation that leaves a video as it is."""
MID_GREY = 127.5
_NOISE = 20250
"""Seed of the noise, beside the frame's index."""


@dataclass(frozen=True)
class Perturbation:
    """One way in which a clip may have changed."""

    name: str
    family: str
    """Those of one family differ in strength alone; `edit` gathers the edits, which have no order."""
    strength: float
    """Where it stands on its family's curve: larger is stronger, and a sign is a direction."""
    kind: PerturbationKind
    apply: Apply
    rate: float = 1.0
    """Frames per second after, as a share of before."""


# ---------------------------------------------------------------- of the stream


def pass_through(frames: Iterable[Frame], fps: float) -> Iterator[Frame]:
    """The frames themselves."""
    yield from frames


def compress(frames: Iterable[Frame], fps: float, *, crf: int) -> Iterator[Frame]:
    """H.264 at a constant rate factor: 0 (lossless) to 51 (worst)."""
    with tempfile.TemporaryDirectory(prefix="dancebench-") as folder:
        path = Path(folder) / "compressed.mp4"
        write_clip(path, frames, fps, encoder=replace(ENCODER, crf=crf))
        yield from (frame for _, frame in stream(path))


def drop_frames(frames: Iterable[Frame], fps: float, *, keep: int) -> Iterator[Frame]:
    """Every `keep`-th frame, from the first on."""
    yield from (frame for index, frame in enumerate(frames) if index % keep == 0)


def add_noise(frames: Iterable[Frame], fps: float, *, sigma: float) -> Iterator[Frame]:
    """White Gaussian noise of `sigma` grey levels, each channel its own; the same at the same index of any clip."""
    for index, frame in enumerate(frames):
        yield _to_uint8(frame + np.random.default_rng((_NOISE, index)).normal(0, sigma, frame.shape))


# ---------------------------------------------------------------- of each frame


def _change_each(frames: Iterable[Frame], fps: float, *, change: Callable[[Frame], Frame]) -> Iterator[Frame]:
    yield from map(change, frames)


def reduce_size(frames: Iterable[Frame], fps: float, *, factor: float) -> Iterator[Frame]:
    """Smaller by `factor` with area averaging, and back to the size with cubic interpolation."""
    for frame in frames:
        yield _resize_like(_shrink(frame, factor), frame, cv2.INTER_CUBIC)


def _blur(frame: Frame, sigma: float) -> Frame:
    blurred: Frame = cv2.GaussianBlur(frame, (0, 0), sigma)
    return blurred


def _compress_jpeg(frame: Frame, quality: int) -> Frame:
    _, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded: Frame = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return decoded


def _crop(frame: Frame, share: float) -> Frame:
    """The middle `share` of height and width, enlarged to the size."""
    height, width = (round(share * side) for side in frame.shape[:2])
    top, left = (frame.shape[0] - height) // 2, (frame.shape[1] - width) // 2
    return _resize_like(frame[top : top + height, left : left + width], frame, cv2.INTER_CUBIC)


def _change_tone(frame: Frame, offset: float = 0.0, gain: float = 1.0) -> Frame:
    """Brighter by `offset` grey levels, contrast `gain` about the middle grey."""
    return _to_uint8(gain * (frame - MID_GREY) + MID_GREY + offset)


def _upscale(frame: Frame) -> Frame:
    """Half the size, then enlarged and sharpened as upscalers do: Lanczos interpolation and an unsharp mask."""
    large = _resize_like(_shrink(frame, 0.5), frame, cv2.INTER_LANCZOS4)
    sharp: Frame = cv2.addWeighted(large, 1.8, _blur(large, 1.5), -0.8, 0)
    return sharp


def _beautify(frame: Frame) -> Frame:
    """Skin without pores, edges kept: the bilateral filter of beauty filters, over all of the picture."""
    smooth: Frame = cv2.bilateralFilter(frame, d=9, sigmaColor=40, sigmaSpace=4)
    return smooth


def _shrink(frame: Frame, factor: float) -> Frame:
    height, width = frame.shape[:2]
    small: Frame = cv2.resize(
        frame, (max(1, round(width * factor)), max(1, round(height * factor))), interpolation=cv2.INTER_AREA
    )
    return small


def _resize_like(frame: Frame, like: Frame, interpolation: int) -> Frame:
    sized: Frame = cv2.resize(frame, (like.shape[1], like.shape[0]), interpolation=interpolation)
    return sized


def _to_uint8(values: npt.NDArray[np.floating[Any]]) -> Frame:
    return values.round().clip(0, 255).astype(np.uint8)


# ---------------------------------------------------------------- stabilised

ZOOM = 1.05
"""A stabiliser crops in by this, so that the shifted picture still fills the frame."""
_REACH_SECONDS = 0.5
_CORNERS = 100
_MIN_CORNERS = 8
"""With fewer that can be followed, nothing is known of the camera's motion: pictures without texture, cuts."""


def stabilise(frames: Iterable[Frame], fps: float) -> Iterator[Frame]:
    """The camera's path smoothed: followed by the median shift of corners, a Gaussian over a second, sub-pixel warps.

    The picture is enlarged by `ZOOM`, as stabilisers do, and shifted within what that leaves over. So a still
    camera's clip changes too: it is cropped and resampled, and where people fill the picture, the background
    gives way to their motion a little.
    """
    reach = max(1, round(_REACH_SECONDS * fps))
    nothing: list[_Located | None] = [None] * (2 * reach + 1)
    window = deque(nothing, maxlen=len(nothing))  # what comes before and after the frame in its middle
    for located in itertools.chain(_track_camera(frames), itertools.repeat(None, reach)):
        window.append(located)
        if window[reach] is not None:
            yield _stabilise_frame(window, reach)


class _Located(NamedTuple):
    frame: Frame
    place: npt.NDArray[np.float64]
    """(2,) pixels to the right and down by which the camera has moved the scene since the first frame."""


def _track_camera(frames: Iterable[Frame]) -> Iterator[_Located]:
    before, place = None, np.zeros(2)
    for frame in frames:
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        if before is not None:
            place = place + _estimate_shift(before, grey)
        before = grey
        yield _Located(frame, place)


def _estimate_shift(before: Frame, after: Frame) -> npt.NDArray[np.float64]:
    """How far the scene moved between two grey frames (H, W): the median over corners, mostly of the background."""
    corners = cv2.goodFeaturesToTrack(before, _CORNERS, qualityLevel=0.01, minDistance=max(2, min(before.shape) // 32))
    if corners is None:
        return np.zeros(2)
    followed, found, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, None)
    steps = (followed - corners)[found.astype(bool)]  # (N, 2)
    return np.median(steps, axis=0).astype(np.float64) if len(steps) >= _MIN_CORNERS else np.zeros(2)


def _stabilise_frame(window: Sequence[_Located | None], centre: int) -> Frame:
    """The frame at `centre`, moved onto the smoothed path."""
    known = [(step, each) for step, each in enumerate(window) if each is not None]
    frame, place = dict(known)[centre]
    height, width = frame.shape[:2]
    weights = np.exp(-0.5 * np.array([2 * (step - centre) / centre for step, _ in known]) ** 2)
    smooth = weights @ np.array([each.place for _, each in known]) / weights.sum()
    room = (ZOOM - 1) / 2 * np.array([width, height])
    left, top = (smooth - place).clip(-room, room) - room
    matrix = np.array([[ZOOM, 0, left], [0, ZOOM, top]])
    steady: Frame = cv2.warpAffine(
        frame, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    return steady


# ---------------------------------------------------------------- the grid


def _make_attack(name: str, family: str, strength: float, apply: Apply, rate: float = 1.0) -> Perturbation:
    return Perturbation(name, family, float(strength), "attack", apply, rate)


def _make_edit(name: str, apply: Apply) -> Perturbation:
    return Perturbation(name, "edit", 1.0, "edit", apply)


_GRID = (
    Perturbation(NONE, "none", 0.0, "none", pass_through),
    *(_make_attack(f"crf{crf}", "h264", crf, partial(compress, crf=crf)) for crf in (23, 28, 40)),
    *(_make_attack(f"resize{100 // by}", "resize", by, partial(reduce_size, factor=1 / by)) for by in (2, 4)),
    *(
        _make_attack(f"blur{sigma}", "blur", sigma, partial(_change_each, change=partial(_blur, sigma=sigma)))
        for sigma in (1, 3)
    ),
    *(_make_attack(f"noise{sigma}", "noise", sigma, partial(add_noise, sigma=sigma)) for sigma in (5, 15)),
    *(
        _make_attack(
            f"jpeg{quality}",
            "jpeg",
            100 - quality,
            partial(_change_each, change=partial(_compress_jpeg, quality=quality)),
        )
        for quality in (80, 50, 20)
    ),
    _make_attack("halfrate", "rate", 2, partial(drop_frames, keep=2), rate=0.5),
    _make_attack("crop90", "crop", 0.1, partial(_change_each, change=partial(_crop, share=0.9))),
    _make_attack("darker", "brightness", -40, partial(_change_each, change=partial(_change_tone, offset=-40))),
    _make_attack("brighter", "brightness", 40, partial(_change_each, change=partial(_change_tone, offset=40))),
    _make_attack("flatter", "contrast", -0.3, partial(_change_each, change=partial(_change_tone, gain=0.7))),
    _make_attack("harsher", "contrast", 0.3, partial(_change_each, change=partial(_change_tone, gain=1.3))),
    _make_edit("stabilised", stabilise),
    _make_edit("upscaled", partial(_change_each, change=_upscale)),
    _make_edit("beautified", partial(_change_each, change=_beautify)),
)
PERTURBATIONS: Mapping[str, Perturbation] = MappingProxyType({each.name: each for each in _GRID})
"""By name, in the order of tables: `none` first, families together and rising in strength, edits last."""


def find_perturbation(name: str) -> Perturbation:
    """A perturbation by name.

    Raises:
        UnknownNameError: There is no such perturbation.
    """
    if name not in PERTURBATIONS:
        raise UnknownNameError("perturbation", name, PERTURBATIONS)
    return PERTURBATIONS[name]


# ---------------------------------------------------------------- for training


def degrade(frames: Frame, fps: float, generator: np.random.Generator) -> Frame:
    """A clip uint8 (T, H, W, 3) as it may come from outside: reduced to 0.4-1 of its size, then H.264 at CRF 24-42."""
    factor, crf = generator.uniform(0.4, 1.0), int(generator.integers(24, 43))
    return np.stack(list(compress(reduce_size(frames, fps, factor=factor), fps, crf=crf)))
