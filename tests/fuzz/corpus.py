"""The valid files that are mutated, made by the program itself: tiny videos of one drawn dancer, and a tiny workspace.

BASE/workspace    the dancer, a method trained on it, two detectors, their records, manifests
BASE/detector     a detector of camera footage with random weights, so that outside videos are not all abstained from
BASE/videos       one dancer as cameras, broadcasts and editing would leave it
BASE/images edn openpose report.json scores consent.txt    what else the commands open

Made twice they differ in times, and in the keys of what is signed. `--only` takes the ones that are there.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from foreign_videos import copy_packets, write_field_coded, write_streams
from outside_files import make_detector, write_video
from signed_files import make_signer
from typer.testing import CliRunner

from dancebench.benchmark.cli import app
from dancebench.core.opencv import cv2
from dancebench.datasets.corpora.manifest import read_manifest
from dancebench.datasets.video.decoding import stream

Frame = npt.NDArray[np.uint8]
SIZE = (128, 64)
N_FRAMES = 18
VIDEOS: dict[str, dict[str, Any]] = {
    "plain.mp4": {},
    "rotated.mov": {"matrix": (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)},
    "anamorphic.mp4": {"sample_aspect_ratio": Fraction(2, 1)},
    "fragmented.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov", "frag_size": "2000"}},
    "deep.mp4": {"pix_fmt": "yuv420p10le", "container_options": {"movflags": "faststart"}},
    "interlaced.mp4": {"options": {"x264-params": "tff=1"}, "container_options": {"movflags": "faststart"}},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=error:pools=none"}},
    "mpeg4.m4v": {"codec": "mpeg4"},
    "phone.3gp": {"codec": "mpeg4"},
    "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
    "mjpeg.mov": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "bframes.mkv": {"options": {"bf": "3", "g": "5"}},
    "lossless.mkv": {"codec": "ffv1"},
    "vp8.webm": {"codec": "libvpx"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "raw.avi": {"codec": "rawvideo", "pix_fmt": "bgr24"},
    "broadcast.ts": {"codec": "mpeg2video"},
    "avc.ts": {},
    "disc.mpg": {"codec": "mpeg2video"},
    "disc.vob": {"codec": "mpeg2video"},
    "web.flv": {"codec": "flv"},
    "avc.flv": {},
    "media.wmv": {"codec": "wmv2"},
    "studio.mxf": {"codec": "mpeg2video"},
    "free.ogv": {"codec": "libvpx"},
    "loop.gif": {"codec": "gif", "pix_fmt": "rgb8"},
}
"""Arguments of `write_video` by the file's name."""


def make_corpus(base: Path) -> list[str]:
    """Make everything under an empty folder; takes a minute.

    Returns the names of videos that this machine's libraries cannot write.
    """
    with contextlib.chdir(base):
        _make_workspace()
        make_detector(Path("detector"), size=(64, 32), clip=SIZE)
        frames = _read_dancer(Path("workspace/datasets/demo-tiny/subjects/1/clip.mp4"))
        missing = _write_videos(Path("videos"), frames)
        _write_images(Path("images"), frames)
        _write_edn(Path("edn"), frames)
        _write_openpose(Path("openpose"), frames)
        _write_submissions(Path("scores"))
        Path("consent.txt").write_text("I agree to all of this. Signed, the dancer.\n")
        report = run_bench("score videos/plain.mp4 videos/avc.ts --detector detector --format json --pairs 4 --jobs 1")
        Path("report.json").write_text(report)
    return missing


def run_bench(words: str) -> str:
    """Run a command that must succeed; returns its standard output."""
    result = CliRunner().invoke(app, words.split())
    if result.exit_code:
        raise RuntimeError(f"bench {words}: {result.output}") from result.exception
    return result.stdout


def _make_workspace() -> None:
    run_bench("synth --dataset demo-tiny --subject 1 --preset tiny --method nearest --workspace workspace --jobs 1")
    run_bench(
        "detect --holdout --dataset demo-tiny --preset tiny --method nearest --detector pair-patch --detector spectrum"
        " --workspace workspace --jobs 1"
    )


def _read_dancer(clip: Path) -> list[Frame]:
    """Every third frame of the dancer's clip, small."""
    shown = [frame for _, frame in stream(clip)][::3][:N_FRAMES]
    return [np.asarray(cv2.resize(frame, SIZE[::-1], interpolation=cv2.INTER_AREA), np.uint8) for frame in shown]


def _write_videos(folder: Path, frames: Sequence[Frame]) -> list[str]:
    folder.mkdir()
    missing = []
    for name, settings in VIDEOS.items():
        if settings.get("codec", "libx264") not in av.codecs_available:
            missing.append(name)
            continue
        write_video(folder / name, frames, **{"thread_count": 1, **settings})
    _write_with_sound(folder / "sound.mp4", frames)
    make_signer(folder / "plain.mp4")("signed.mp4")
    write_streams(folder / "two_streams.mp4", [frames[:4], frames], default=1)
    write_field_coded(folder / "fields.ts", N_FRAMES, size=(64, 32))
    (folder / "fields.h264").unlink()
    copy_packets(folder / "bframes.mkv", folder / "cut.mkv", lambda index: index > 2)
    copy_packets(folder / "avc.ts", folder / "late.ts", shift=90_000 * 3600)
    return missing


def _write_with_sound(path: Path, frames: Sequence[Frame]) -> None:
    with av.open(str(path), "w") as container:
        picture: Any = container.add_stream("libx264", rate=25)
        picture.height, picture.width, picture.pix_fmt = *frames[0].shape[:2], "yuv420p"
        sound: Any = container.add_stream("aac", rate=44_100)
        sound.layout = "mono"
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(picture.encode(frame))
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            silence.sample_rate, silence.pts = 44_100, index * 1024
            container.mux(sound.encode(silence))
        container.mux(picture.encode(None))
        container.mux(sound.encode(None))


def _write_picture(path: Path, frame: Frame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), frame[..., ::-1]):
        raise RuntimeError(f"{path} cannot be written")


def _write_images(folder: Path, frames: Sequence[Frame]) -> None:
    for kind in ("png", "jpg", "webp", "bmp"):
        for index, frame in enumerate(frames):
            _write_picture(folder / kind / f"frame{index:03d}.{kind}", frame)


def _write_edn(folder: Path, frames: Sequence[Frame]) -> None:
    """The layout of the Everybody-Dance-Now release; pictures turned upside down stand for labels."""
    for part, numbers in (("train", range(9)), ("test", range(10, 12))):
        for number in numbers:
            name = f"frame{number:06d}.png"
            _write_picture(folder / f"{part}_img" / name, frames[number])
            _write_picture(folder / f"{part}_label" / name, frames[number][::-1])
            box = folder / f"{part}_facetexts128" / name.replace("png", "txt")
            box.parent.mkdir(exist_ok=True)
            box.write_text("8 24 20 40\n")


def _write_openpose(folder: Path, frames: Sequence[Frame]) -> None:
    (folder / "poses").mkdir(parents=True)
    write_video(folder / "clip.mp4", frames, thread_count=1)
    for number in range(len(frames)):
        points = [value for k in range(25) for value in (20 + k + number / 4, 10 + 4 * k, 0.9)]
        hand = [value for k in range(21) for value in (20 + k / 2, 60 + k / 2, 0.8)]
        person = {"person_id": [-1], "pose_keypoints_2d": points, "hand_left_keypoints_2d": hand}
        path = folder / "poses" / f"clip_{number:012d}_keypoints.json"
        path.write_text(json.dumps({"version": 1.3, "people": [person]}))


def _write_submissions(folder: Path) -> None:
    """Scores of another system for the videos, and for pairs, of the newest manifest."""
    folder.mkdir()
    manifest = max(Path("workspace/manifests").glob("*.jsonl"), key=os.path.getmtime)
    rows = [row for row in read_manifest(manifest) if row.split != "train"]
    videos = [f"{row.video_id},{row.label + index / 100}" for index, row in enumerate(rows)]
    pairs = [f"{row.video_id},{t / 25},{row.label + t / 10}" for row in rows for t in range(5)]
    (folder / "videos.csv").write_text("\n".join(["video_id,score", *videos]) + "\n")
    (folder / "pairs.csv").write_text("\n".join(["video_id,t,logit", *pairs]) + "\n")
