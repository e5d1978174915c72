"""Shared by tests of scoring: videos of foreign make, and a detector that was not trained but has a card."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from dancebench.core.files import sha256_file
from dancebench.datasets.corpora.manifest import PictureKind
from dancebench.detect.detectors.pair_patch import PairPatch, PairPatchConfig
from dancebench.detect.evaluation.calibration import Calibration, Calibrations
from dancebench.detect.evaluation.likelihood_ratios.bounds import bound_by_people
from dancebench.detect.evaluation.metrics import ErrorRates, Thresholds
from dancebench.detect.evaluation.training_domain import fit_training_domain, measure_clip
from dancebench.detect.protocol.card import CARD, ClipFormat, DetectorCard

Frames = Sequence[npt.NDArray[np.uint8]]
SIZE = (64, 32)


def moving(n_frames: int, size: tuple[int, int] = SIZE, seed: int = 0) -> list[npt.NDArray[np.uint8]]:
    """Frames of a bright bar that moves over a still texture: uint8 RGB (H, W, 3)."""
    height, width = size
    generator = np.random.default_rng(seed)
    coarse = generator.integers(60, 160, (-(-height // 8), -(-width // 8), 3), dtype=np.uint8)
    still = coarse.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
    frames = []
    for t in range(n_frames):
        frame = still.copy()
        frame[:, (t + seed) * 2 % width :][:, : max(width // 8, 1)] = 230
        frames.append(frame)
    return frames


def write_video(
    path: Path,
    frames: Frames,
    rate: int = 25,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    layout: str = "rgb24",
    stamps: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
    matrix: Sequence[int] | None = None,
    **context: Any,
) -> Path:
    """Write a video as foreign software might, with any encoder settings."""
    base = time_base or Fraction(1, rate)
    with av.open(str(path), "w", container_options=container_options or {}) as container:
        out: Any = container.add_stream(codec, rate=rate, options=options or {})
        out.height, out.width, out.pix_fmt = *frames[0].shape[:2], pix_fmt
        out.codec_context.time_base = base
        out.metadata.update(metadata or {})
        if matrix is not None:
            out.set_display_matrix(matrix)
        for key, value in context.items():
            setattr(out.codec_context, key, value)
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format=layout).reformat(format=pix_fmt)
            frame.pts, frame.time_base = stamps[index] if stamps else index, base
            container.mux(out.encode(frame))
        container.mux(out.encode(None))
    return path


def write_sound(path: Path) -> Path:
    """Write a file with a second of silence and no video."""
    with av.open(str(path), "w") as container:
        out: Any = container.add_stream("aac", rate=44100)
        out.layout = "mono"
        for k in range(40):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            silence.sample_rate, silence.pts = 44100, k * 1024
            container.mux(out.encode(silence))
        container.mux(out.encode(None))
    return path


def make_calibration(temperature: float, offset: float, subjects: int, *, separable: bool = False) -> Calibration:
    """A calibration that ends at ln(people + 1) on both sides."""
    return Calibration(
        temperature=temperature,
        offset=offset,
        subjects=subjects,
        items=2 * subjects,
        separable=separable,
        methods=("drawn",),
        unseen_methods=("drawn",),
        bounds=bound_by_people(subjects, subjects),
    )


def make_detector(
    folder: Path,
    *,
    size: tuple[int, int] = SIZE,
    clip: tuple[int, int] = SIZE,
    pictures: tuple[PictureKind, ...] = ("camera",),
) -> Path:
    """Write a detector with random weights, whose card has videos like those of `moving` as its training domain.

    By its card they are camera footage, unless `pictures` says otherwise.

    Returns its folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = PairPatchConfig(height=size[0], width=size[1], ndf=8, pairs=16)
    detector = PairPatch(config)
    detector.save(folder)
    people = [f"s{seed}" for seed in range(12)]
    features = [measure_clip(iter(moving(24, clip, seed))) for seed in range(12)]
    calibration = make_calibration(temperature=2.0, offset=0.25, subjects=8)
    DetectorCard(
        detector="pair-patch",
        config=config.model_dump(mode="json"),
        parameters=detector.parameters,
        weights_sha256=sha256_file(folder / detector.WEIGHTS),
        origin=None,
        training_id="0" * 64,
        data={},
        pictures=pictures,
        clip_format=ClipFormat(
            clip_height=clip[0], clip_width=clip[1], fps_min=25, fps_max=25, methods=("drawn",), encoder="none"
        ),
        training_domain=fit_training_domain(features, people),
        aggregator="mean-logit",
        learned=None,
        thresholds=Thresholds(video=0.0, pair=0.0),
        calibration=Calibrations(
            video=calibration, pair=calibration, uncertainty=None, uncertainty_reason="made by hand"
        ),
        metrics={},
        error_rates=ErrorRates(false_positive_rate=0.1, n_real=10, false_negative_rate=0.2, n_fake=10),
        ratios=None,
        flags=(),
    ).save(folder / CARD)
    return folder
