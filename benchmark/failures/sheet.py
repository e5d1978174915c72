"""The sheet of failure cases: by kind a row of moments, the real frame beside the fake, the reason under each.

An export, not evidence.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Final

import numpy as np

from dancebench.benchmark.failures.kinds import KINDS
from dancebench.benchmark.failures.records import FailureRecord, KindRecord, Moment
from dancebench.benchmark.report.panels import join_panels
from dancebench.core.files import write_bytes
from dancebench.core.opencv import cv2
from dancebench.datasets.video.clips import VideoReader
from dancebench.datasets.video.upright import Frame

_GAP: Final = 14
_LINE: Final = 17
_LETTER: Final = 7.2
"""Pixels of a letter at the size of the reasons, on average and rounded up."""
_INK: Final = (30, 30, 30)
_MARK: Final = (255, 60, 40)
_LEAST_WIDTH: Final = 900


def save_sheet(path: Path, record: FailureRecord, fake: Path, real: Path) -> None:
    """Write the sheet of a record as a PNG.

    Args:
        path: Of the PNG.
        record: Its failure cases.
        fake: Clip file of the fake.
        real: That of the recording, of the same frames.
    """
    with VideoReader(fake) as fakes, VideoReader(real) as reals:
        rows = [
            (_describe(name, kind), [_draw_moment(each, kind, fakes, reals, record.method) for each in kind.worst])
            for name, kind in record.kinds.items()
        ]
    width = max([_LEAST_WIDTH, *(sum(each.shape[1] + _GAP for each in pictures) for _, pictures in rows)])
    about = f"{record.method}, {record.preset}, seed {record.seed}: {record.dataset}/{record.subject}"
    parts = [_write_lines([f"{about}: the worst moments of {record.n_frames} frames"], width, scale=0.6)]
    for title, pictures in rows:
        parts.append(_write_lines([title], width, scale=0.5))
        if pictures:
            parts.append(_pad(np.hstack([_pad_right(each) for each in pictures]), width))
    encoded, data = cv2.imencode(".png", np.vstack(parts)[..., ::-1])
    assert encoded  # an 8-bit colour image always encodes
    write_bytes(path, data.tobytes())


def _describe(name: str, kind: KindRecord) -> str:
    title = KINDS[name].title
    if kind.share is None:
        return f"{title}: not measured: {kind.reason}"
    return f"{title}: {kind.share:.0%} of {kind.n} frames at {kind.threshold:g} or more ({kind.unit})"


def _draw_moment(moment: Moment, kind: KindRecord, fakes: VideoReader, reals: VideoReader, method: str) -> Frame:
    """Real and fake side by side with the place marked, over the lines of the reason; all rows of one height."""
    pictures = [_mark(reader[moment.t], moment) for reader in (reals, fakes)]
    panels = join_panels(pictures, ["real", method])
    below = "" if moment.score >= kind.threshold else " (below the threshold)"
    lines = textwrap.wrap(f"frame {moment.frame}: {moment.reason}{below}", int(panels.shape[1] / _LETTER))
    text = _write_lines([*lines, "", "", ""][:3], panels.shape[1], scale=0.4)
    return np.vstack([panels, text])


def _mark(frame: Frame, moment: Moment) -> Frame:
    """The frame, enlarged so that a thin line does not cover it, with the moment's box."""
    scale = max(1, 512 // frame.shape[0])
    large = np.ascontiguousarray(frame.repeat(scale, axis=0).repeat(scale, axis=1))
    if moment.box is not None:
        top, bottom, left, right = (edge * scale for edge in moment.box)
        cv2.rectangle(large, (left, top), (right - 1, bottom - 1), _MARK, max(2, large.shape[0] // 200))
    return large


def _write_lines(lines: list[str], width: int, *, scale: float) -> Frame:
    canvas = np.full((_LINE * len(lines) + 8, width, 3), 255, np.uint8)
    for k, line in enumerate(lines):
        at = (4, _LINE * (k + 1) - 2)
        cv2.putText(canvas, line, at, cv2.FONT_HERSHEY_SIMPLEX, scale, _INK, 1, cv2.LINE_AA)
    return canvas


def _pad_right(picture: Frame) -> Frame:
    return np.pad(picture, ((0, 0), (0, _GAP), (0, 0)), constant_values=255)


def _pad(picture: Frame, width: int) -> Frame:
    return np.pad(picture, ((0, 0), (0, width - picture.shape[1]), (0, 0)), constant_values=255)
