"""A subject's training frames and pose maps (conditioning images) as uint8, and the training examples made of them."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import psutil
import torch

from dancebench.core.errors import BenchError
from dancebench.core.nn.distributed import world_size
from dancebench.core.opencv import cv2
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.datasets.pose.skeleton import NOSE, Keypoints, has_person, scale_keypoints
from dancebench.datasets.subjects.dataset import Subject
from dancebench.datasets.subjects.masks import PersonMasks, find_person_masks
from dancebench.datasets.video.clips import VideoReader
from dancebench.datasets.video.frames import resize

Pixels = npt.NDArray[np.uint8]

_BYTES_PER_FRAME: Final = 2_000_000
"""Largest size of a frame and its pose map together that is cached; larger pose maps are drawn when needed."""
_SHARE_OF_MEMORY: Final = 0.5
"""Share of the free memory that the clips of all workers may take before they are streamed from the disk."""


@dataclass(frozen=True)
class Batch:
    """Training examples of n frames each, on the training device.

    Attributes:
        pose_maps: Conditioning images (stick figures), float32 (B, n, 3, H, W) in [-1, 1].
        frames: The real frames, the same shape and range.
        keypoints: float32 (B, n, 75, 3) in pixels of these frames.
        index: Positions of these frames in the training span, [B, n].
    """

    pose_maps: torch.Tensor
    frames: torch.Tensor
    keypoints: torch.Tensor
    index: npt.NDArray[np.intp]


@dataclass(frozen=True)
class HostBatch:
    """A batch before it is moved and converted: uint8 (B, n, H, W, 3), float32 (B, n, 75, 3)."""

    pose_maps: torch.Tensor
    frames: torch.Tensor
    keypoints: torch.Tensor
    index: npt.NDArray[np.intp]

    def pin(self) -> HostBatch:
        """A copy in page-locked memory, from which a GPU copies while it computes."""
        return HostBatch(self.pose_maps.pin_memory(), self.frames.pin_memory(), self.keypoints.pin_memory(), self.index)

    def to(self, device: torch.device) -> Batch:
        """Move as bytes, then convert on the device."""
        maps, frames = (_to_float(pixels.to(device, non_blocking=True)) for pixels in (self.pose_maps, self.frames))
        return Batch(maps, frames, self.keypoints.to(device, non_blocking=True), self.index)


@dataclass(frozen=True)
class Motion:
    """Poses that drive a synthesis.

    Attributes:
        keypoints: float32 [T, 75, 3], in pixels of an image of `size`.
        size: (height, width).
        pose_maps: Iterates over the pose maps (conditioning images) at a requested size, uint8 RGB [h, w, 3].
        face_centres: float32 [T, 2], (x, y) in pixels of `size`; NaN where no face is seen.
    """

    keypoints: Keypoints
    size: tuple[int, int]
    pose_maps: Callable[[tuple[int, int]], Iterator[Pixels]]
    face_centres: npt.NDArray[np.float32]


class CachedFrames:
    """The images of a span, all cached or read when needed; indexed like an array.

    Args:
        read: Maps positions in the span to images, uint8 [N, H, W, 3].
        count: Number of images.
        cached: Whether all are read at the first use and kept.
        release: Closes what reading needs, called once all are cached.
    """

    def __init__(
        self,
        read: Callable[[Sequence[int]], Pixels],
        count: int,
        *,
        cached: bool,
        release: Callable[[], object] = lambda: None,
    ) -> None:
        self._read = read
        self._release = release
        self._count = count
        self._cached = cached
        self._kept: Pixels | None = None
        self._lock = threading.Lock()  # a loading thread may read ahead, and a reader serves one thread at a time

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: npt.NDArray[np.intp]) -> Pixels:
        """uint8 [*index.shape, H, W, 3]."""
        with self._lock:
            if self._cached and self._kept is None:
                self._kept = self._read_all()
            if self._kept is not None:
                return self._kept[index]
            images = self._read(index.reshape(-1).tolist())
            return images.reshape(*index.shape, *images.shape[1:])

    def _read_all(self) -> Pixels:
        """Read all images one by one into a preallocated array: a list of them first would take twice the memory."""
        kept: Pixels | None = None
        for t in range(self._count):
            frame = self._read([t])[0]
            kept = np.empty((self._count, *frame.shape), np.uint8) if kept is None else kept
            kept[t] = frame
        assert kept is not None  # an empty clip is never indexed
        self._release()
        return kept


class FrameMasks(Protocol):
    """The person masks of training frames."""

    def find(self, report: ReportProgress = ignore_progress) -> object:
        """Find them where that was not done before.

        Raises:
            BenchError: They cannot be found.
        """

    def __getitem__(self, index: npt.NDArray[np.intp]) -> Pixels:
        """Share of the person in each pixel of these frames, 0 to 255: uint8 [*index.shape, H, W]."""

    @property
    def shows_person(self) -> npt.NDArray[np.bool_]:
        """In which frames any pixel shows the person: bool [T]."""


class SpanMasks:
    """The person masks of a span at the training size, found in the clip when they are first used.

    Args:
        find: Finds those of the whole clip, reporting progress.
        span: The frames of the clip that they are taken from.
        size: (H, W).
    """

    def __init__(self, find: Callable[[ReportProgress], PersonMasks], span: range, size: tuple[int, int]) -> None:
        self._find = find
        self._span = span
        self._size = size
        self._found: PersonMasks | None = None

    def find(self, report: ReportProgress = ignore_progress) -> PersonMasks:
        """The masks of the whole clip at its own size; found at the first call.

        Raises:
            BenchError: They cannot be found.
        """
        if self._found is None:
            self._found = self._find(report)
        return self._found

    def __getitem__(self, index: npt.NDArray[np.intp]) -> Pixels:
        """Share of the person in each pixel of the span's frames, 0 to 255: uint8 [*index.shape, H, W]."""
        masks, (height, width) = self.find(), self._size
        taken = [
            cv2.resize(masks[self._span[t]].astype(np.uint8) * 255, (width, height), interpolation=cv2.INTER_AREA)
            for t in index.reshape(-1).tolist()
        ]
        return np.asarray(taken, np.uint8).reshape(*index.shape, height, width)

    @property
    def shows_person(self) -> npt.NDArray[np.bool_]:
        """In which frames of the span any pixel shows the person: bool [T]."""
        return self.find().shows_person[self._span.start : self._span.stop]


@dataclass(frozen=True)
class TrainingClip:
    """The training span of a subject's clip at the training size.

    Attributes:
        frames: uint8 RGB [T, H, W, 3] by index.
        pose_maps: The conditioning images (stick figures), the same shape.
        keypoints: float32 [T, 75, 3] in pixels of `size`.
        face_centres: float32 [T, 2], (x, y) in pixels of `size`; NaN where no face is seen.
        starts_segment: bool [T], True where a frame does not follow the one before.
        size: (H, W).
        masks: Which pixels show the person.
        at: Loads the same span at another size, named by its longer side.
        person_starts: Frames from which on another person is shown; none in the clip of one person.
    """

    frames: CachedFrames
    pose_maps: CachedFrames
    keypoints: Keypoints
    face_centres: npt.NDArray[np.float32]
    starts_segment: npt.NDArray[np.bool_]
    size: tuple[int, int]
    masks: FrameMasks
    at: Callable[[int], TrainingClip]
    person_starts: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.keypoints)

    @property
    def people(self) -> npt.NDArray[np.intp]:
        """Which person each frame shows, counted from 0: int [T]."""
        return np.searchsorted(np.asarray(self.person_starts, np.intp), np.arange(len(self)), side="right")

    def list_example_starts(self, window: int) -> npt.NDArray[np.intp]:
        """First frames of the examples: `window` consecutive frames, each with a person.

        Raises:
            BenchError: There is none.
        """
        person = has_person(self.keypoints)
        starts = [
            t
            for t in range(len(person) - window + 1)
            if person[t : t + window].all() and not self.starts_segment[t + 1 : t + window].any()
        ]
        if not starts:
            raise BenchError(
                f"The training span has no {window} consecutive frames with a person in each "
                f"({int(person.sum())} of {len(person)} frames show one).",
                hint="Use a longer clip, or one in which the person stays in view.",
            )
        return np.array(starts, dtype=np.intp)

    def read_host_batch(self, index: npt.NDArray[np.intp]) -> HostBatch:
        """The frames `index` [B, n], in host memory."""
        return HostBatch(
            torch.from_numpy(self.pose_maps[index]),
            torch.from_numpy(self.frames[index]),
            torch.from_numpy(self.keypoints[index]),
            index,
        )

    def read_batch(self, index: npt.NDArray[np.intp], device: torch.device) -> Batch:
        """The frames `index` [B, n], on the device."""
        return self.read_host_batch(index).to(device)

    def segments(self) -> list[range]:
        """The segments of consecutive frames, in order."""
        edges = [*np.flatnonzero(self.starts_segment).tolist(), len(self)]
        return [range(a, b) for a, b in itertools.pairwise(edges)]

    def make_motion(self, span: range) -> Motion:
        """The motion of a part of the training span."""

        def resize_pose_maps(size: tuple[int, int]) -> Iterator[Pixels]:
            for t in span:
                yield resize(self.pose_maps[np.array([t], np.intp)][0], size)

        part = slice(span.start, span.stop)
        return Motion(self.keypoints[part], self.size, resize_pose_maps, self.face_centres[part])


def scale_to_long_side(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    """`size` reduced so that its larger side is `long_side`; the aspect is kept.

    Clip sizes are multiples of 64 with a simple aspect, so both sides come out whole.
    """
    height, width = size
    scale = long_side / max(height, width)
    return round(height * scale), round(width * scale)


def load_training_clip(subject: Subject, long_side: int, sharing: int = 1) -> TrainingClip:
    """The training span of a subject at `long_side`; pixels are read when they are first needed.

    `sharing` is the number of processes that hold a clip in this machine's memory at once, besides ranks.

    Raises:
        BenchError: The clip is smaller than that: its frames would have to be upscaled.
    """
    if long_side > max(subject.size):
        raise BenchError(
            f"The clip of '{subject.id}' is {subject.size[0]}x{subject.size[1]} (height x width); the longer side of "
            f"the synthesized frames would be {long_side}.",
            hint="Choose a smaller --preset, or prepare the recording at a larger --size in another dataset.",
        )
    size = scale_to_long_side(subject.size, long_side)
    span = subject.train
    keypoints = subject.keypoints()[span.start : span.stop]
    starts_segment = subject.starts_segment[span.start : span.stop].copy()
    starts_segment[:1] = True
    frame_bytes = size[0] * size[1] * 3
    memory_budget = _SHARE_OF_MEMORY * psutil.virtual_memory().available / (sharing * world_size())

    draw_pose_map = subject.make_pose_map_drawer()

    @functools.cache
    def open_reader() -> VideoReader:
        return subject.open_reader()  # stays open while it is needed: a streamed clip is read at every step

    def read_frames(index: Sequence[int]) -> Pixels:
        return np.stack([resize(open_reader()[span.start + t], size) for t in index])

    def draw_pose_maps(index: Sequence[int]) -> Pixels:
        return np.stack([draw_pose_map(span.start + t, size) for t in index])

    cache_frames = frame_bytes * len(span) <= memory_budget
    cache_pose_maps = 2 * frame_bytes <= _BYTES_PER_FRAME and 2 * frame_bytes * len(span) <= memory_budget
    across, down = size[1] / subject.size[1], size[0] / subject.size[0]
    return TrainingClip(
        frames=CachedFrames(read_frames, len(span), cached=cache_frames, release=open_reader.cache_clear),
        pose_maps=CachedFrames(draw_pose_maps, len(span), cached=cache_pose_maps),
        keypoints=scale_keypoints(keypoints, across, down),
        face_centres=scale_points(locate_faces(subject)[span.start : span.stop], across, down),
        starts_segment=starts_segment,
        size=size,
        masks=SpanMasks(functools.partial(find_person_masks, subject), span, size),
        at=lambda other: load_training_clip(subject, other, sharing),
    )


def locate_faces(subject: Subject) -> npt.NDArray[np.float32]:
    """Centre of the face in each frame of a clip: that of a supplied face bounding box, else the nose.

    Returns:
        float32 [T, 2], (x, y) in clip pixels; NaN where no face is seen.
    """
    boxes = subject.face_boxes()
    if boxes is not None:
        top, bottom, left, right = boxes.T
        return np.asarray(np.stack([(left + right - 1) / 2, (top + bottom - 1) / 2], axis=1), np.float32)
    return locate_noses(subject.keypoints())


def locate_noses(keypoints: Keypoints) -> npt.NDArray[np.float32]:
    """(x, y) of the nose, float32 [T, 2] from [T, 75, 3]; NaN where it was not found."""
    nose = keypoints[:, NOSE]
    return np.asarray(np.where(nose[:, 2:] > 0, nose[:, :2], np.nan), np.float32)


def scale_points(points: npt.NDArray[np.float32], across: float, down: float) -> npt.NDArray[np.float32]:
    """Points float32 [..., 2] of an image after it is resized by the two factors (pixel centres at +0.5)."""
    factors = np.array([across, down], np.float32)
    return np.asarray((points + np.float32(0.5)) * factors - np.float32(0.5), np.float32)


def to_tensor(pixels: Pixels, device: torch.device) -> torch.Tensor:
    """uint8 [..., H, W, 3] → float32 (..., 3, H, W) in [-1, 1]."""
    return _to_float(torch.from_numpy(np.ascontiguousarray(pixels)).to(device))


def _to_float(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 (..., H, W, 3) → float32 (..., 3, H, W) in [-1, 1], on the same device."""
    return pixels.movedim(-1, -3).contiguous().float().div_(127.5).sub_(1.0)


def to_pixels(image: torch.Tensor) -> Pixels:
    """Float (3, H, W) in [-1, 1] → uint8 [H, W, 3], rounded and clipped."""
    levels = image.float().add(1.0).mul(127.5).round().clamp(0, 255).byte()
    pixels: Pixels = levels.permute(1, 2, 0).contiguous().cpu().numpy()
    return pixels
