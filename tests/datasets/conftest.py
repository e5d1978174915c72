"""Fixtures that write unusual videos."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest


@pytest.fixture
def make_video(tmp_path: Path) -> Callable[..., Path]:
    """Write frames with any codec, pixel format, time stamps and display matrix; returns the path."""

    def make(
        name: str,
        frames: Sequence[npt.NDArray[Any]],
        *,
        codec: str = "libx264",
        pix_fmt: str = "yuv420p",
        layout: str = "rgb24",
        stamps: Sequence[int] | None = None,
        time_base: Fraction = Fraction(1, 30),
        matrix: Sequence[int] | None = None,
        options: Mapping[str, str] | None = None,
        container_options: Mapping[str, str] | None = None,
        reformat: Mapping[str, Any] | None = None,
        **context: Any,
    ) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w", container_options=dict(container_options or {})) as container:
            out: Any = container.add_stream(codec, rate=30, options=dict(options or {}))
            out.height, out.width, out.pix_fmt = *frames[0].shape[:2], pix_fmt
            out.codec_context.time_base = time_base
            for key, value in context.items():
                setattr(out.codec_context, key, value)
            if matrix is not None:
                out.set_display_matrix(matrix)
            for k, frame in enumerate(frames):
                image = av.VideoFrame.from_ndarray(frame, format=layout)
                image = image.reformat(format=pix_fmt, **(reformat or {}))
                image.pts, image.time_base = stamps[k] if stamps else k, time_base
                container.mux(out.encode(image))
            container.mux(out.encode(None))
        return path

    return make


@pytest.fixture
def audio_only(tmp_path: Path) -> Path:
    """An mp4 with one second of silence and nothing else."""
    path = tmp_path / "audio.mp4"
    with av.open(str(path), "w") as container:
        out: Any = container.add_stream("aac", rate=44100)
        out.layout = "mono"
        for k in range(40):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            silence.sample_rate, silence.pts = 44100, k * 1024
            container.mux(out.encode(silence))
        container.mux(out.encode(None))
    return path
