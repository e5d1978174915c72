"""Time of scoring relative to decoding alone, and that its memory does not grow with the length of a video."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import pytest
from outside_files import make_detector, moving, write_video
from speed.timing import medians, show

from dancebench.datasets.video.decoding import inspect, stream
from dancebench.datasets.video.frames import Letterbox
from dancebench.detect.casework.score import score_video
from dancebench.detect.protocol.card import load_detector

pytestmark = pytest.mark.speed
CLIP, SIZE = (256, 128), (128, 64)
_PEAK = """
import re, sys
from pathlib import Path
from dancebench.detect.protocol.card import load_detector
from dancebench.detect.casework.score import score_video
record = score_video(Path(sys.argv[2]), load_detector(Path(sys.argv[1]))).record
peak = re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())
print(record.n_frames, record.status, int(peak[1]) / 1024)
"""


def test_scoring_costs_at_most_what_decoding_costs(tmp_path: Path) -> None:
    """Ten seconds of 1080p: decoding and resizing its frames alone, against scoring from start to end."""
    loaded = load_detector(make_detector(tmp_path / "detector", size=SIZE, clip=CLIP))
    path = write_video(tmp_path / "large.mp4", moving(250, (1080, 1920)), options={"preset": "ultrafast"})
    letterbox = Letterbox((1080, 1920), CLIP)

    def decode() -> None:
        for _, frame in stream(path):
            letterbox.apply(frame)

    decoding, scoring = medians(decode, lambda: score_video(path, loaded), repeats=3)
    alone, inspecting = medians(decode, lambda: inspect(path), repeats=1)
    show("scoring 1080p over decoding it", f"{decoding / scoring:.2f}x ({250 / scoring:.0f} frames per second)")
    show("inspecting 1080p, all decoded and none converted", f"{inspecting / alone:.2f}x of decoding")
    assert decoding / scoring >= 0.5


def test_memory_of_an_hour(tmp_path: Path) -> None:
    """An hour of 320x180 at 5 fps, the same ten seconds over and over.

    The peak is Linux's VmHWM of the address space: that of `getrusage` survives exec, so a child would start with
    the peak of the process that runs the tests.
    """
    make_detector(tmp_path / "detector", size=SIZE, clip=CLIP)
    short = write_video(tmp_path / "short.mp4", moving(50, (180, 320)), rate=5, options={"bf": "0"})
    peak = {}
    for turns in (1, 360):
        path = repeat(short, tmp_path / f"{turns}.mp4", turns)
        command = [sys.executable, "-c", _PEAK, str(tmp_path / "detector"), str(path)]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        assert int(printed[0]) == 50 * turns
        assert printed[1] != "failed"
        peak[turns] = float(printed[2])
    show("peak memory of scoring an hour", f"{peak[360]:.0f} MiB, of ten seconds {peak[1]:.0f} MiB")
    assert peak[360] < 1500
    assert peak[360] < peak[1] + 250  # what allocators keep; the frames alone would take 3 GB


def repeat(source: Path, path: Path, turns: int) -> Path:
    """Write the packets of `source`, `turns` times over."""
    with av.open(str(path), "w") as target:
        out = None
        for turn in range(turns):
            with av.open(str(source)) as container:
                stream_in = container.streams.video[0]
                out = out or target.add_stream_from_template(stream_in)
                base = stream_in.time_base or Fraction(1, 5)
                shift = round(turn * 10 / base)
                for packet in container.demux(stream_in):
                    if packet.pts is None or packet.dts is None:
                        continue
                    packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, out
                    target.mux(packet)
    return path
