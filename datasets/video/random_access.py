"""Random access to the frames of any video through PyAV: an inspection goes in, frames by their numbers come out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import Final

import av
import numpy as np

from dancebench.core.errors import BenchError
from dancebench.datasets.video.containers import open_video
from dancebench.datasets.video.decoding import Inspection, decode_packets
from dancebench.datasets.video.losses import Losses, Tally
from dancebench.datasets.video.upright import Frame, to_upright

_AHEAD: Final = 30
"""Decoding this many frames forward, two groups of pictures of a prepared clip, is cheaper than a seek."""

_GAP: Final = 1.5
"""Median steps from one frame to the next from which a frame between them may have been left out."""


def can_seek(found: Inspection) -> bool:
    """Whether a frame that is decoded from the key frame before it is as if it were decoded from the start.

    It is where the container's stamps are those of frames, each once, and nothing was damaged, hidden, cut off or left
    out: a frame that is gone leaves a gap, and what refers to it is decoded from whatever the decoder holds.
    """
    indexed = found.info.container.startswith(("mov,", "matroska,"))
    n_frames = found.info.n_frames
    whole = found.losses == Losses(packets=n_frames, coded=n_frames)
    stamped = found.timeline.is_stamped and not found.timeline.breaks and not found.in_coding_order
    steps = np.diff(found.timeline.timestamps)
    gapless = len(steps) == 0 or bool(steps.max() < _GAP * np.median(steps))
    return indexed and whole and stamped and gapless


class PyavFrames:
    """Random access through PyAV: seek to the key frame before, or start again, and decode up to the wanted frame."""

    def __init__(self, found: Inspection) -> None:
        self._found = found
        self._index_of: dict[int | None, int] = {}
        """Of stamps; empty where frames can only be counted from the start."""
        if can_seek(found):
            self._index_of = {stamp: index for index, stamp in enumerate(found.timeline.pts)}
        self._file = ExitStack()
        self._frames: Iterator[tuple[int, av.VideoFrame]] = iter(())
        self._position = -1
        """Index of the frame decoded last."""

    def read(self, indices: Sequence[int]) -> Frame:
        """Frames uint8 (N, H, W, 3), in the requested order.

        Raises:
            BenchError: A frame cannot be decoded.
        """
        found: dict[int, Frame] = {}
        for index in sorted(set(indices)):  # one forward pass, whatever the requested order
            found[index] = self._decode_frame(index)
        return np.stack([found[index] for index in indices])

    def close(self) -> None:
        """Close the file; the next read opens it again."""
        self._frames = iter(())
        self._file.close()

    def _decode_frame(self, index: int) -> Frame:
        near = self._position < index and (not self._index_of or index <= self._position + _AHEAD)
        frame = self._decode_forward(index) if near else None
        if frame is None and self._index_of:
            self._rewind(self._found.timeline.pts[index])
            frame = self._decode_forward(index)
        if frame is None:
            self._rewind(None)
            frame = self._decode_forward(index)
        if frame is None:
            seconds = self._found.timeline.timestamps[index]
            raise BenchError(
                f"Frame {index} of {self._found.info.path} ({seconds:.2f} s) cannot be decoded.",
                hint="The file is damaged there: prepare or copy it again.",
            )
        return frame

    def _decode_forward(self, index: int) -> Frame | None:
        """Decode up to frame `index`; None if it is not reached."""
        with suppress(BenchError):  # the file is damaged; decoding from the start shows whether this frame is
            for position, frame in self._frames:
                self._position = position
                if self._position >= index:
                    return to_upright(frame, self._found.picture.pixel_aspect) if self._position == index else None
        return None

    def _rewind(self, pts: int | None) -> None:
        """Reopen at the key frame before `pts`, or at the start."""
        self.close()
        self._position = -1
        container, source = self._file.enter_context(open_video(self._found.info.path))
        if pts is not None:
            container.seek(pts, stream=source)
        frames = decode_packets(container, source, Tally())
        by_stamp = ((self._index_of.get(frame.pts, -1), frame) for frame in frames)
        self._frames = by_stamp if self._index_of else enumerate(frames)
