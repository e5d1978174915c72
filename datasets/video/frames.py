"""Frames of any recording, resampling (dropping frames by time stamp) and letterboxing.

A video file or a folder of images goes in; (time in seconds, uint8 RGB (H, W, 3)) comes out. Pixel
coordinates are (x, y) with the centre of the first pixel at (0, 0). All resizing of frames happens here, but for
pixels that are made square while a video is decoded.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import av.error
import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError
from dancebench.core.files import read_bytes, sha256_file, sha256_json
from dancebench.core.opencv import cv2
from dancebench.datasets.video.clips import to_clip_rate
from dancebench.datasets.video.containers import NotAVideoError, open_video
from dancebench.datasets.video.decoding import Inspection, describe_pyav, inspect, stream
from dancebench.datasets.video.picture_size import TooLargeError, check_image, undecodable_image_error
from dancebench.datasets.video.upright import Frame, composite_over_black

IMAGE_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})
_IMAGE_HEADS: Final = (
    b"\xff\xd8\xff",
    b"\x89PNG",
    b"BM",
    b"GIF8",
    b"II*\0",
    b"MM\0*",
    b"\xff\x0a",
    b"\0\0\0\x0cjP  ",
    b"\0\0\0\x0cJXL ",
)
_IMAGE_BRANDS: Final = (b"avif", b"heic", b"heix", b"heim", b"heis", b"mif1")
"""Of images in the container of MP4."""
DEFAULT_FOLDER_FPS: Final = 25.0
_SAME_RATE: Final = 1.005
"""A source up to this factor faster than the target keeps all frames: dropping one in hundreds would be visible."""
_EARLY: Final = 0.25
"""Share of a source period by which a frame may precede its tick: some containers round to milliseconds."""

Item = TypeVar("Item")
Floats = npt.NDArray[np.floating[Any]]


class FrameSource(Protocol):
    """A recording that can be read from its first frame any number of times."""

    @property
    def height(self) -> int:
        """Pixels."""

    @property
    def width(self) -> int:
        """Pixels."""

    @property
    def fps(self) -> float:
        """Frames per second."""

    @property
    def n_frames(self) -> int:
        """Frames that `frames` gives."""

    @property
    def sha256(self) -> str:
        """Hash of the content: of the file, or of the names and hashes of the images."""

    @property
    def decoder(self) -> str:
        """The decoder, with its version."""

    def frames(self) -> Iterator[tuple[float, Frame]]:
        """(seconds, uint8 RGB (H, W, 3)) in order, times strictly increasing."""


@dataclass(frozen=True)
class VideoSource:
    """A video file, and what was found when it was decoded to count its frames."""

    path: Path
    height: int
    width: int
    fps: float
    n_frames: int
    sha256: str
    decoder: str
    found: Inspection

    def frames(self) -> Iterator[tuple[float, Frame]]:
        """(seconds, uint8 RGB (H, W, 3)) in order."""
        return stream(self.path)


@dataclass(frozen=True)
class FolderSource:
    """A folder of images, one per frame."""

    images: tuple[Path, ...]
    height: int
    width: int
    fps: float
    n_frames: int
    sha256: str
    decoder: str

    def frames(self) -> Iterator[tuple[float, Frame]]:
        """(seconds, uint8 RGB (H, W, 3)) in order."""
        for index, image in enumerate(self.images):
            yield index / self.fps, decode_image(image, read_bytes(image))


def open_source(path: Path, *, fps: float = DEFAULT_FOLDER_FPS) -> FrameSource:
    """Open a video file, or a folder of images in the order of the numbers in their names.

    A folder is read and checked whole, so that a bad image is reported before long work begins.

    Args:
        path: A video, or a folder of png, jpg, jpeg, bmp or webp.
        fps: Frame rate of a folder; a video has its own.

    Raises:
        BenchError: As `probe`; a single picture; a folder without images; an image that cannot be decoded, is too large
            or differs in size.
    """
    if path.is_dir():
        return _open_folder(path, fps)
    refuse_single_picture(path)
    found = inspect(path)
    info = found.info
    return VideoSource(
        path, info.height, info.width, info.fps, info.n_frames, sha256_file(path), describe_pyav(), found
    )


def list_clock_breaks(source: FrameSource) -> frozenset[int]:
    """The frames of a recording before which its clock jumps; a folder of images has no clock."""
    return frozenset(source.found.timeline.breaks) if isinstance(source, VideoSource) else frozenset()


def number_by_clock(
    frames: Iterable[tuple[float, Item]], breaks: Collection[int]
) -> Iterator[tuple[float, tuple[int, Item]]]:
    """Add to each frame the number of its segment by the clock: (seconds, frame) → (seconds, (segment, frame))."""
    segment = 0
    for index, (seconds, frame) in enumerate(frames):
        segment += index in breaks
        yield seconds, (segment, frame)


def is_single_picture(path: Path) -> bool:
    """Whether a file is an image: it begins like one, and no second frame comes out of it.

    Raises:
        OSError: It cannot be read.
    """
    if not path.is_file():
        return False
    with path.open("rb") as handle:
        head = handle.read(12)
    image = head.startswith(_IMAGE_HEADS) or (head[:4], head[8:]) == (b"RIFF", b"WEBP")
    if not image and not (head[4:8] == b"ftyp" and head[8:] in _IMAGE_BRANDS):
        return False
    try:
        with open_video(path) as (container, source):
            packets = (packet for packet in container.demux(source) if packet.size)
            return len(list(itertools.islice(packets, 2))) < 2
    except TooLargeError:  # whoever opens it says so
        return False
    except (BenchError, av.error.FFmpegError):
        return True


def refuse_single_picture(path: Path) -> None:
    """Raise an error for an image.

    Raises:
        NotAVideoError: The file is a single picture.
    """
    if is_single_picture(path):
        raise NotAVideoError(
            f"{path} is a single picture, and not a video: consecutive frames are needed.",
            "a single picture",
            hint="Name a video, or a folder that holds the images of a clip.",
        )


def _open_folder(path: Path, fps: float) -> FolderSource:
    if not (math.isfinite(fps) and fps > 0):
        raise BenchError(f"A folder of images cannot have {fps} frames per second.")
    images = list_images(path)
    if not images:
        raise BenchError(
            f"{path} holds no images.", hint=f"Expected {', '.join(sorted(IMAGE_SUFFIXES))}, or name a video."
        )
    hashes: list[tuple[str, str]] = []
    shape: tuple[int, ...] = ()
    for image in images:
        data = read_bytes(image)
        hashes.append((image.name, hashlib.sha256(data).hexdigest()))
        found = decode_image(image, data).shape
        shape = shape or found
        if found != shape:
            raise BenchError(
                f"{image} is {found[0]} x {found[1]} (height x width); the images before are {shape[0]} x {shape[1]}.",
                hint="All images of a folder must have one size.",
            )
    decoder = f"opencv {cv2.__version__}"
    return FolderSource(tuple(images), shape[0], shape[1], fps, len(images), sha256_json(hashes), decoder)


def is_frame(path: Path) -> bool:
    """Whether a file in a folder of images is one of them, by its name."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def list_images(folder: Path) -> list[Path]:
    """The frames in a folder of images, in the order of the numbers in their names."""
    return sorted(filter(is_frame, folder.iterdir()), key=lambda image: natural_key(image.name))


def list_other_files(folder: Path) -> list[str]:
    """Names, in order, of what lies in a folder of images and is none of its frames."""
    return sorted((path.name for path in folder.iterdir() if not is_frame(path)), key=natural_key)


def natural_key(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """Sort key that orders names by the numbers in them: frame9 before frame10."""
    parts = [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", name)]
    return parts, name


def decode_image(path: Path, data: bytes) -> Frame:
    """The picture that the content of an image file holds, uint8 RGB [H, W, 3]; `path` is for messages.

    Raises:
        BenchError: It cannot be decoded, or is too large.
    """
    check_image(path, data)
    raw = np.frombuffer(data, dtype=np.uint8)
    if path.suffix.lower() not in {".jpg", ".jpeg"}:  # JPEG has no transparency
        stored = _imdecode(path, raw, cv2.IMREAD_UNCHANGED)
        if stored.ndim == 3 and stored.shape[2] == 4:
            straight = stored if stored.dtype == np.uint8 else np.floor_divide(stored, 257, out=stored).astype(np.uint8)
            return composite_over_black(straight[..., [2, 1, 0, 3]])
        del stored
    pixels = _imdecode(path, raw, cv2.IMREAD_COLOR)  # 8 bits, rotated as Exif says
    return np.ascontiguousarray(pixels[..., ::-1])


def _imdecode(path: Path, raw: npt.NDArray[np.uint8], flags: int) -> npt.NDArray[Any]:
    """BGR or BGRA."""
    try:
        pixels: npt.NDArray[Any] | None = cv2.imdecode(raw, flags)
    except cv2.error as error:
        raise undecodable_image_error(path) from error
    if pixels is None:
        raise undecodable_image_error(path)
    return pixels


# ---------------------------------------------------------------- rate


def reduce_rate(source_fps: float, target_fps: float) -> Fraction:
    """The nominal rate of a resampled clip: the target's, or the source's where that is slower."""
    return to_clip_rate(min(source_fps, target_fps))


def resample(
    frames: Iterable[tuple[float, Item]], source_fps: float, target_fps: float
) -> Iterator[tuple[float, Item]]:
    """Drop frames by time stamp down to at most `target_fps`; never repeat one, which would create false pairs.

    The first frame at or after each tick of the target's grid is kept; the grid begins at the first frame (a
    quarter of a source period early counts as on time). A source no faster than the target keeps all frames;
    its clip then has the source's rate, see `reduce_rate`.

    Args:
        frames: (seconds, frame), times strictly increasing.
        source_fps: Mean rate of the source.
        target_fps: The most frames per second to keep.

    Yields:
        The frames kept, with their own time stamps, at least 1 / target - 1.25 / source seconds apart.
    """
    if source_fps <= target_fps * _SAME_RATE:
        yield from frames
        return
    early = _EARLY * target_fps / source_fps  # in ticks
    spacing = 1 - (1 + _EARLY) * target_fps / source_fps  # in ticks; matters only where the rate varies
    start: float | None = None
    tick, last = 0, -math.inf
    for seconds, frame in frames:
        start = seconds if start is None else start
        position = (seconds - start) * target_fps
        if position >= tick - early and position - last >= spacing - 1e-9:
            yield seconds, frame
            tick, last = math.floor(position + early) + 1, position


# ---------------------------------------------------------------- geometry


@dataclass(frozen=True)
class Letterbox:
    """Fits one image size into another: aspect kept, black bars, never stretched.

    Attributes:
        source: (height, width) in pixels.
        target: (height, width) in pixels.
    """

    source: tuple[int, int]
    target: tuple[int, int]

    def __post_init__(self) -> None:
        if min(*self.source, *self.target) < 1:
            raise BenchError(f"A picture of {self.source} cannot be fitted into {self.target}.")

    @property
    def inner(self) -> tuple[int, int]:
        """(height, width) of the image within its bars."""
        scale = min(self.target[0] / self.source[0], self.target[1] / self.source[1])
        height, width = (max(1, round(side * scale)) for side in self.source)
        return min(height, self.target[0]), min(width, self.target[1])

    @property
    def offset(self) -> tuple[int, int]:
        """Size of the (top, left) bars in pixels."""
        height, width = self.inner
        return (self.target[0] - height) // 2, (self.target[1] - width) // 2

    def apply(self, frame: Frame) -> Frame:
        """(H, W, 3) of the source size → (H', W', 3) of the target size.

        Raises:
            BenchError: The frame is not of the source size.
        """
        if frame.shape[:2] != self.source:
            raise BenchError(
                f"A frame of {frame.shape[0]} x {frame.shape[1]} came where {self.source[0]} x "
                f"{self.source[1]} (height x width) was expected.",
            )
        if self.source == self.target:
            return frame
        (height, width), (top, left) = self.inner, self.offset
        boxed = np.zeros((*self.target, frame.shape[2]), dtype=np.uint8)  # (H', W', 3)
        boxed[top : top + height, left : left + width] = _resize_to(frame, height, width)
        return boxed

    def map_points(self, xy: Floats) -> Floats:
        """Source pixel coordinates float (..., 2) → target pixel coordinates, pixel centres at integers."""
        scale, shift = self._scale_and_offset()
        return ((xy + 0.5) * scale - 0.5 + shift).astype(xy.dtype)

    def unmap_points(self, xy: Floats) -> Floats:
        """Target pixel coordinates float (..., 2) → source pixel coordinates; undoes `map_points`."""
        scale, shift = self._scale_and_offset()
        return ((xy - shift + 0.5) / scale - 0.5).astype(xy.dtype)

    def _scale_and_offset(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Scale and shift of (x, y)."""
        (height, width), (top, left) = self.inner, self.offset
        scale = np.array([width / self.source[1], height / self.source[0]])
        return scale, np.array([left, top], dtype=np.float64)


def _resize_to(frame: Frame, height: int, width: int) -> Frame:
    if frame.shape[:2] == (height, width):
        return frame
    shrinks = height * width < frame.shape[0] * frame.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized: Frame = cv2.resize(np.ascontiguousarray(frame), (width, height), interpolation=method)
    return resized


def resize(frames: Frame, size: tuple[int, int]) -> Frame:
    """Letterbox one frame (H, W, 3) or many (N, H, W, 3) to `size` = (height, width)."""
    letterbox = Letterbox((frames.shape[-3], frames.shape[-2]), size)
    if frames.ndim == 3:
        return letterbox.apply(frames)
    boxed = np.empty((len(frames), *size, 3), dtype=np.uint8)
    for index, frame in enumerate(frames):
        boxed[index] = letterbox.apply(frame)
    return boxed
