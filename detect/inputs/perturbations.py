"""Perturbations: attacks and benign edits; a benign edit that is flagged is a false positive.

In: RGB frames uint8 (H, W, 3), even height and width of at least 32, in order, and their rate. Out: perturbed
frames of the same size, one for each input frame (`halfrate`: for every second). Only the noise is random, and it
is seeded by the frame's index alone: the same frames give the same perturbed frames.

    attack   what sharing and re-encoding do to a video, or what somebody does to hide a fake
    edit     benign edit, which authentic videos undergo too: it must not be taken for synthesis

Frames are processed one at a time; only `stabilise` holds half a second to each side, and `compress` a file on
disk. Sizes (sigmas, diameters) are in pixels of the clip. A new perturbation is a function and its line in
`_ALL`.
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
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import UnknownNameError
from dancebench.core.opencv import cv2
from dancebench.datasets.video.clips import ENCODER, Frame, stream, write_clip

Apply = Callable[[Iterable[Frame], float], Iterator[Frame]]
"""Maps frames and their rate in frames per second to the perturbed frames."""
PerturbationKind = Literal["none", "attack", "edit"]

NONE = "none"
"""The perturbation that leaves a video unchanged."""
MID_GREY = 127.5
_NOISE = 20250
"""Seed of the noise, beside the frame's index."""


@dataclass(frozen=True)
class Perturbation:
    """A named change of a clip."""

    name: str
    family: str
    """Perturbations of one family differ only in strength; `edit` holds the benign edits, which have no order."""
    strength: float
    """Position on its family's curve: larger is stronger, and a sign is a direction."""
    kind: PerturbationKind
    apply: Apply
    rate: float = 1.0
    """Frames per second after the change, as a share of those before."""


# ---------------------------------------------------------------- on the sequence of frames


def pass_through(frames: Iterable[Frame], fps: float) -> Iterator[Frame]:
    """Yield the frames unchanged."""
    yield from frames


def compress(frames: Iterable[Frame], fps: float, *, crf: int) -> Iterator[Frame]:
    """Encode as H.264 at a constant rate factor: 0 (lossless) to 51 (worst)."""
    with tempfile.TemporaryDirectory(prefix="dancebench-") as folder:
        path = Path(folder) / "compressed.mp4"
        write_clip(path, frames, fps, encoder=replace(ENCODER, crf=crf))
        yield from (frame for _, frame in stream(path))


def drop_frames(frames: Iterable[Frame], fps: float, *, keep: int) -> Iterator[Frame]:
    """Keep every `keep`-th frame, from the first on."""
    yield from (frame for index, frame in enumerate(frames) if index % keep == 0)


def add_noise(frames: Iterable[Frame], fps: float, *, sigma: float) -> Iterator[Frame]:
    """Add white Gaussian noise of `sigma` grey levels to each channel; the same at the same frame index of any clip."""
    for index, frame in enumerate(frames):
        yield to_uint8(frame + np.random.default_rng((_NOISE, index)).normal(0, sigma, frame.shape))


# ---------------------------------------------------------------- on each frame


def _change_each(frames: Iterable[Frame], fps: float, *, change: Callable[[Frame], Frame]) -> Iterator[Frame]:
    yield from map(change, frames)


def reduce_size(frames: Iterable[Frame], fps: float, *, factor: float) -> Iterator[Frame]:
    """Downscale by `factor` with area averaging, and upscale to the original size with cubic interpolation."""
    for frame in frames:
        yield reduce_frame(frame, factor)


def reduce_frame(frame: Frame, factor: float) -> Frame:
    """As `reduce_size`, of one frame."""
    return _resize_like(_shrink(frame, factor), frame, cv2.INTER_CUBIC)


def blur(frame: Frame, sigma: float) -> Frame:
    """Blur by a Gaussian of `sigma` pixels."""
    blurred: Frame = cv2.GaussianBlur(frame, (0, 0), sigma)
    return blurred


def compress_jpeg(frame: Frame, quality: int) -> Frame:
    """Encode as JPEG of a quality from 1 to 100 (best), and decode."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded: Frame = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return decoded


def _crop(frame: Frame, share: float) -> Frame:
    """Crop to the middle `share` of height and width, and enlarge to the original size."""
    height, width = (round(share * side) for side in frame.shape[:2])
    top, left = (frame.shape[0] - height) // 2, (frame.shape[1] - width) // 2
    return _resize_like(frame[top : top + height, left : left + width], frame, cv2.INTER_CUBIC)


def _change_tone(frame: Frame, offset: float = 0.0, gain: float = 1.0) -> Frame:
    """Brighten by `offset` grey levels, and scale the contrast by `gain` about the middle grey."""
    return to_uint8(gain * (frame - MID_GREY) + MID_GREY + offset)


def _upscale(frame: Frame) -> Frame:
    """Halve the size, then enlarge and sharpen as upscalers do: Lanczos interpolation and an unsharp mask."""
    large = _resize_like(_shrink(frame, 0.5), frame, cv2.INTER_LANCZOS4)
    sharp: Frame = cv2.addWeighted(large, 1.8, blur(large, 1.5), -0.8, 0)
    return sharp


def _beautify(frame: Frame) -> Frame:
    """Smooth skin and keep edges as beauty filters do: a bilateral filter over the whole frame."""
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


def to_uint8(values: npt.NDArray[np.floating[Any]]) -> Frame:
    """Round and clip to pixels."""
    return values.round().clip(0, 255).astype(np.uint8)


# ---------------------------------------------------------------- stabilisation

ZOOM = 1.05
"""Factor by which a stabiliser enlarges, so that the shifted picture still fills the frame."""
_REACH_SECONDS = 0.5
_CORNERS = 100
_MIN_CORNERS = 8
"""With fewer tracked corners the camera's motion is taken as zero: frames without texture, cuts."""


def stabilise(frames: Iterable[Frame], fps: float) -> Iterator[Frame]:
    """Smooth the camera's path: median shift of tracked corners, a Gaussian over a second, sub-pixel warps.

    The frame is enlarged by `ZOOM`, as stabilisers do, and shifted within the margin that this gives. So a still
    camera's clip changes too: it is cropped and resampled, and where people fill the frame, their motion is partly
    taken for the camera's and shifts the background a little.
    """
    reach = max(1, round(_REACH_SECONDS * fps))
    empty: list[_TrackedFrame | None] = [None] * (2 * reach + 1)
    window = deque(empty, maxlen=len(empty))  # the frames before and after the one in its middle
    for tracked in itertools.chain(_track_camera(frames), itertools.repeat(None, reach)):
        window.append(tracked)
        if window[reach] is not None:
            yield _stabilise_frame(window, reach)


class _TrackedFrame(NamedTuple):
    frame: Frame
    shift: npt.NDArray[np.float64]
    """(2,) pixels to the right and down by which the camera has moved the scene since the first frame."""


def _track_camera(frames: Iterable[Frame]) -> Iterator[_TrackedFrame]:
    previous, shift = None, np.zeros(2)
    for frame in frames:
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        if previous is not None:
            shift = shift + _estimate_shift(previous, grey)
        previous = grey
        yield _TrackedFrame(frame, shift)


def _estimate_shift(before: Frame, after: Frame) -> npt.NDArray[np.float64]:
    """Estimate the shift of the scene between two grey frames (H, W): the median over corners, mostly background."""
    corners = cv2.goodFeaturesToTrack(before, _CORNERS, qualityLevel=0.01, minDistance=max(2, min(before.shape) // 32))
    if corners is None:
        return np.zeros(2)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, None)
    steps = (moved - corners)[found.astype(bool)]  # (N, 2)
    return np.median(steps, axis=0).astype(np.float64) if len(steps) >= _MIN_CORNERS else np.zeros(2)


def _stabilise_frame(window: Sequence[_TrackedFrame | None], centre: int) -> Frame:
    """Shift the frame at `centre` onto the smoothed path."""
    known = [(step, each) for step, each in enumerate(window) if each is not None]
    frame, shift = dict(known)[centre]
    height, width = frame.shape[:2]
    weights = np.exp(-0.5 * np.array([2 * (step - centre) / centre for step, _ in known]) ** 2)
    smooth = weights @ np.array([each.shift for _, each in known]) / weights.sum()
    margin = (ZOOM - 1) / 2 * np.array([width, height])
    left, top = (smooth - shift).clip(-margin, margin) - margin
    matrix = np.array([[ZOOM, 0, left], [0, ZOOM, top]])
    stabilised: Frame = cv2.warpAffine(
        frame, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    return stabilised


# ---------------------------------------------------------------- the grid


def _make_attack(name: str, family: str, strength: float, apply: Apply, rate: float = 1.0) -> Perturbation:
    return Perturbation(name, family, float(strength), "attack", apply, rate)


def _make_edit(name: str, apply: Apply) -> Perturbation:
    return Perturbation(name, "edit", 1.0, "edit", apply)


_ALL = (
    Perturbation(NONE, "none", 0.0, "none", pass_through),
    *(_make_attack(f"crf{crf}", "h264", crf, partial(compress, crf=crf)) for crf in (23, 28, 40)),
    *(_make_attack(f"resize{100 // by}", "resize", by, partial(reduce_size, factor=1 / by)) for by in (2, 4)),
    *(
        _make_attack(f"blur{sigma}", "blur", sigma, partial(_change_each, change=partial(blur, sigma=sigma)))
        for sigma in (1, 3)
    ),
    *(_make_attack(f"noise{sigma}", "noise", sigma, partial(add_noise, sigma=sigma)) for sigma in (5, 15)),
    *(
        _make_attack(
            f"jpeg{quality}",
            "jpeg",
            100 - quality,
            partial(_change_each, change=partial(compress_jpeg, quality=quality)),
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
PERTURBATIONS: Mapping[str, Perturbation] = MappingProxyType({each.name: each for each in _ALL})
"""By name, in the order of tables: `none` first, families together and rising in strength, edits last."""


FAMILIES_IN_TRAINING: Final = ("none", "h264", "resize", "brightness", "contrast")
"""What windows undergo in training, by `degrade` or by `pairs.augment` (brightened, of more or less contrast)."""


def find_perturbation(name: str) -> Perturbation:
    """Find a perturbation by name.

    Raises:
        UnknownNameError: There is no such perturbation.
    """
    if name not in PERTURBATIONS:
        raise UnknownNameError("perturbation", name, PERTURBATIONS)
    return PERTURBATIONS[name]


# ---------------------------------------------------------------- for training


def degrade(frames: Frame, fps: float, generator: np.random.Generator) -> Frame:
    """Degrade a clip uint8 (T, H, W, 3) as sharing does: downscaled to 0.4-1 of its size, then H.264 at CRF 24-42."""
    factor, crf = generator.uniform(0.4, 1.0), int(generator.integers(24, 43))
    return np.stack(list(compress(reduce_size(frames, fps, factor=factor), fps, crf=crf)))
