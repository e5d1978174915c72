"""Reading and writing video: a path goes in and RGB frames with time stamps come out, or the other way round.

    probe        facts of a file; frames are counted by decoding, since headers and packets may be wrong
    stream       any video file, frame by frame, upright, with its times (PyAV)
    VideoReader  random access to the same frames (decord for prepared clips, else PyAV)
    write_clip   the one encoder: every clip that a detector scores, real or fake, is written here

Frames are uint8 RGB (H, W, 3); times are seconds. decord and PyAV give the same pixels for what `write_clip`
wrote (tested); for other files they may not, so there `VideoReader` uses PyAV.
"""

from __future__ import annotations

import itertools
import math
import operator
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, SupportsIndex

import av
import av.container
import av.video
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from dancebench.core.errors import BenchError
from dancebench.core.files import atomic_path, remember_sha256, sha256_file
from dancebench.datasets.video.decoding import (
    Inspection,
    VideoInfo,
    describe_pyav,
    inspect,
    probe,
    stream,
    survey,
)  # fmt: skip
from dancebench.datasets.video.losses import Losses
from dancebench.datasets.video.random_access import PyavFrames
from dancebench.datasets.video.upright import SQUARE, Frame

__all__ = [
    "ENCODER",
    "ClipInfo",
    "EncoderSettings",
    "Frame",
    "VideoInfo",
    "VideoReader",
    "describe_encoder",
    "describe_pyav",
    "probe",
    "stream",
    "to_clip_rate",
    "write_clip",
]  # fmt: skip

_MAX_DENOMINATOR: Final = 1001
"""Enough for the NTSC rates (30000/1001)."""


@dataclass(frozen=True)
class EncoderSettings:
    """How every clip is encoded.

    One thread, since x264's decisions depend on the number; no B-frames and no scene cuts, so that the type
    of a frame follows from its index alone and never from what it shows; short groups of pictures, so that
    random access is cheap. BT.601 in the limited range is what all readers assume at these sizes.
    """

    codec: Literal["libx264"] = "libx264"
    preset: str = "medium"
    crf: int = 18
    pix_fmt: str = "yuv420p"
    gop: int = 15
    b_frames: int = 0
    threads: int = 1
    colorspace: Literal["bt601"] = "bt601"
    color_range: Literal["limited"] = "limited"


ENCODER: Final = EncoderSettings()
_COLORSPACE: Final = Colorspace.ITU601
_RANGE: Final = ColorRange.MPEG
_TO_YUV: Final = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


@dataclass(frozen=True)
class ClipInfo:
    """A clip that `write_clip` wrote."""

    path: Path
    sha256: str
    n_frames: int
    fps: float
    height: int
    width: int
    bytes: int
    encoder: str


# ---------------------------------------------------------------- random access


class VideoReader:
    """Random access to the frames of a clip, like a sequence that also reads many at once.

    Frame `i` is the i-th that `stream` gives. Of a clip that `write_clip` wrote its packets are believed (its hash is
    what shows damage); any other file is decoded once when it is opened, so that its frames are known. What a decoder
    conceals in a damaged frame may differ from one decoding to the next.

    Args:
        path: A prepared clip; other videos work too.
        decoder: "auto" takes decord for what `write_clip` wrote and PyAV for all else, or where decord is
            absent, fails, or is switched off (environment variable DECORD=off).
        found: An inspection or survey of the file, which is believed.

    Attributes:
        decoder: The decoder, with its version.
        timestamps: float64 [T], seconds from the first frame on.

    Raises:
        BenchError: As `probe`; or decord was asked for by name and cannot read the file.
    """

    def __init__(
        self,
        path: Path,
        *,
        decoder: Literal["auto", "decord", "pyav"] = "auto",
        found: Inspection | None = None,
    ) -> None:
        if found is None:
            surveyed = survey(path)
            found = surveyed if _was_written_here(surveyed) else inspect(path, surveyed)
        self.info = found.info
        self.timestamps = found.timeline.timestamps
        self._pyav = PyavFrames(found)
        self._decord: Any = None
        self._strict = decoder == "decord"
        if decoder == "decord" or (decoder == "auto" and _was_written_here(found)):
            self._decord = self._open_decord()

    @property
    def height(self) -> int:
        """Pixels."""
        return self.info.height

    @property
    def width(self) -> int:
        """Pixels."""
        return self.info.width

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.info.fps

    @property
    def decoder(self) -> str:
        """The decoder, with its version."""
        return describe_pyav() if self._decord is None else f"decord {_import_decord().__version__}"

    def __len__(self) -> int:
        return len(self.timestamps)

    def __getitem__(self, index: SupportsIndex) -> Frame:
        """Frame uint8 (H, W, 3); negative indices count from the end, as in a list."""
        frame: Frame = self.read([index])[0]
        return frame

    def __iter__(self) -> Iterator[Frame]:
        return (self[index] for index in range(len(self)))

    def read(self, indices: Iterable[SupportsIndex]) -> Frame:
        """Frames uint8 (N, H, W, 3), in the requested order.

        Raises:
            IndexError: An index lies outside the clip.
            BenchError: A frame is damaged.
        """
        wanted = [self._resolve_index(index) for index in indices]
        if not wanted:
            return np.empty((0, self.height, self.width, 3), dtype=np.uint8)
        if self._decord is not None:
            try:
                batch: Frame = self._decord.get_batch(wanted).asnumpy()
                return batch
            except Exception as error:
                if self._strict:
                    raise self._decord_error(error) from error
                self._decord = None  # PyAV from now on: same pixels
        return self._pyav.read(wanted)

    def close(self) -> None:
        """Close the file; the reader cannot be used afterwards."""
        self._decord = None
        self._pyav.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _resolve_index(self, index: SupportsIndex) -> int:
        position = operator.index(index)
        if not -len(self) <= position < len(self):
            raise IndexError(f"frame {position} of a clip of {len(self)}")
        return position % len(self)

    def _open_decord(self) -> Any:
        try:
            # One thread: decord's default number fails on some files.
            opened = _import_decord().VideoReader(str(self.info.path.absolute()), num_threads=1)
            # get_batch can hang when the container claims more frames than there are.
            if len(opened) != len(self):
                raise RuntimeError(f"it counts {len(opened)} frames, there are {len(self)}")
            opened.get_batch([0])  # fail here already: decord cannot read some widths below 80
            return opened
        except Exception as error:
            if self._strict:
                raise self._decord_error(error) from error
            return None

    def _decord_error(self, error: Exception) -> BenchError:
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        return BenchError(f"decord cannot read {self.info.path}: {reason}.", hint="Use decoder='pyav'.")


def _was_written_here(found: Inspection) -> bool:
    """Whether the stream is of the kind that `write_clip` writes, and whole."""
    info = found.info
    kind = (info.codec, info.pix_fmt, info.rotation, found.colours, found.picture.pixel_aspect, info.start_s)
    return (
        kind == ("h264", ENCODER.pix_fmt, 0, (_COLORSPACE, _RANGE), SQUARE, 0.0)
        and found.claimed_frames == info.n_frames
        and not found.picture.interlaced
        and found.losses == Losses(packets=info.n_frames, coded=info.n_frames)
        and found.n_streams == 1
        and found.timeline.is_stamped
        and found.stamps_increase
        and not found.timeline.breaks
    )


def _import_decord() -> Any:
    if os.environ.get("DECORD") == "off":
        raise ImportError("DECORD=off")
    import decord  # has no wheel on some platforms, where PyAV is used instead

    decord.logging.set_level(decord.logging.QUIET)
    return decord


# ---------------------------------------------------------------- writing


def describe_encoder(encoder: EncoderSettings = ENCODER) -> str:
    """The encoder, with its version and all settings, as recorded with every clip."""
    return f"{describe_pyav()} " + " ".join(f"{key}={value}" for key, value in asdict(encoder).items())


def write_clip(
    path: Path,
    frames: Iterable[Frame],
    fps: float | Fraction,
    *,
    metadata: Mapping[str, str] | None = None,
    encoder: EncoderSettings = ENCODER,
) -> ClipInfo:
    """Write an H.264 mp4 of constant frame rate atomically.

    The same frames give the same bytes: one thread, no date and no encoder version in the container. Frames
    are consumed one at a time and never kept.

    Args:
        path: File to write; the name ends in `.mp4`.
        frames: uint8 RGB (H, W, 3), all of one even height and width.
        fps: Frames per second.
        metadata: Tags for people, in copies that are published; clips for a detector have none.
        encoder: Settings other than `ENCODER` are for perturbed copies, never for the clips that a detector scores.

    Raises:
        BenchError: No frames, frames of odd or differing size or of another type, a rate that is not
            positive, a full disk or a path that cannot be written.
    """
    rate = to_clip_rate(fps)
    source = iter(frames)
    first = next(source, None)
    if first is None:
        raise BenchError(f"There are no frames to write to {path}.", hint="Check the source of the frames.")
    _check_first(first)
    with atomic_path(path) as temporary:
        count = _encode(temporary, itertools.chain([first], source), rate, first.shape, metadata or {}, encoder)
        digest, size = sha256_file(temporary), temporary.stat().st_size
    remember_sha256(path, digest)
    height, width = first.shape[:2]
    return ClipInfo(path, digest, count, float(rate), height, width, size, describe_encoder(encoder))


def to_clip_rate(fps: float | Fraction) -> Fraction:
    """The rate as stored in a clip: the nearest fraction with a small denominator.

    Raises:
        BenchError: It is not positive and finite.
    """
    if math.isfinite(fps):
        rate = Fraction(fps).limit_denominator(_MAX_DENOMINATOR)
        if rate > 0:
            return rate
    raise BenchError(f"A clip cannot have {float(fps)} frames per second.")


def _check_first(frame: Frame) -> None:
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise BenchError(f"Frames must be uint8 (H, W, 3), not {frame.dtype} {frame.shape}.")
    height, width = frame.shape[:2]
    if height % 2 or width % 2 or not height or not width:
        raise BenchError(
            f"Frames of {height} x {width} cannot be encoded: height and width must be even.",
            hint="Letterbox them to an even size.",
        )


def _encode(
    path: Path,
    frames: Iterable[Frame],
    rate: Fraction,
    shape: tuple[int, ...],
    metadata: Mapping[str, str],
    encoder: EncoderSettings,
) -> int:
    flags = "+faststart+use_metadata_tags" if metadata else "+faststart"
    options = {"fflags": "+bitexact", "movflags": flags}
    with av.open(str(path), "w", format="mp4", container_options=options) as container:
        container.metadata.update(metadata)
        out = _add_output_stream(container, rate, shape, encoder)
        converter = VideoReformatter()  # one for all frames: that of `VideoFrame.reformat` is made anew for each
        count = 0
        for count, frame in enumerate(frames, start=1):
            if frame.shape != shape or frame.dtype != np.uint8:
                raise BenchError(
                    f"Frame {count - 1} is {frame.dtype} {frame.shape}; the clip began with uint8 {shape}."
                )
            picture = converter.reformat(
                av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24"),
                format=encoder.pix_fmt,
                dst_colorspace=_COLORSPACE,
                dst_color_range=_RANGE,
                interpolation=_TO_YUV,
                threads=1,
            )
            picture.pts, picture.time_base = count - 1, 1 / rate
            container.mux(out.encode(picture))
        container.mux(out.encode(None))
    return count


def _add_output_stream(
    container: av.container.OutputContainer, rate: Fraction, shape: tuple[int, ...], encoder: EncoderSettings
) -> av.video.VideoStream:
    x264 = "cpu-independent=1:scenecut=0"  # the same bytes on every processor
    out = container.add_stream(
        encoder.codec,
        rate=rate,
        options={"crf": str(encoder.crf), "preset": encoder.preset, "x264-params": x264},
    )
    out.height, out.width = shape[:2]
    out.pix_fmt = encoder.pix_fmt
    context = out.codec_context
    context.gop_size, context.max_b_frames = encoder.gop, encoder.b_frames
    context.thread_count = encoder.threads
    context.colorspace, context.color_range = _COLORSPACE, _RANGE
    return out
