"""Toy trees of outside corpora, from what is published of their names, counts and lists alone.

`ffpp_names()` and the like give whole corpora as names; `write_tree` writes a few of them as tiny videos.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from dancebench.datasets.corpora.tree import Tree
from dancebench.datasets.video.clips import write_clip

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")
CROSSING = {  # the seven pairs of clips of one recording in two official parts of FaceForensics++
    ("605", "606"): ("train", "val"), ("639", "640"): ("train", "val"), ("755", "756"): ("test", "train"),
    ("837", "838"): ("val", "train"), ("875", "876"): ("val", "train"), ("954", "955"): ("train", "test"),
    ("982", "983"): ("val", "train"),
}  # fmt: skip
SAME_FACE = (("043", "343"), ("179", "183", "826"))
CELEBRITIES = [number for number in range(62) if number not in (14, 15, 18)]
COMPONENTS = (
    [7, 10, 11, 12, 13], list(range(39, 49)), list(range(49, 59)), [59, 60, 61],
    [*range(7), 8, 9, 16, 17, *range(19, 36), 37, 38],
)  # fmt: skip
"""Celebrities of Celeb-DF who are swapped among each other, computed from the public list; 36 is in no swap of it."""


def names_tree(names: Iterable[str]) -> Tree:
    """A tree that is nowhere: for layouts, which read names and open no video."""
    return Tree(Path("/nowhere"), tuple(sorted(names)))


def write_tree(root: Path, names: Iterable[str], *, seed: int = 0) -> Path:
    """Write a tiny video, or an image, in place of each name; all different."""
    rng = np.random.default_rng(seed)
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = rng.integers(0, 255, (3, 4, 4, 3), dtype=np.uint8)
        pictures = [cv2.resize(small, (32, 32), interpolation=cv2.INTER_LINEAR) for small in noise]
        if path.suffix == ".mp4":
            write_clip(path, pictures, 25.0)
        elif path.suffix in (".png", ".jpg"):
            cv2.imwrite(str(path), pictures[0])
        else:
            path.write_text("text")
    return root


def link_tree(root: Path, names: Iterable[str], video: Path) -> Path:
    """One video under many names, as links."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(video, path)
        except OSError:
            shutil.copyfile(video, path)
    return root


def write_lists(folder: Path, lists: Mapping[str, object]) -> Path:
    """Write each list as JSON, or as the text that it is."""
    for name, value in lists.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return folder


# ---------------------------------------------------------------- FaceForensics++ and what is built on it


def ffpp_pairs() -> dict[str, list[list[str]]]:
    """360/70/70 pairs in which the seven recordings lie as in the published lists."""
    part = {clip: side for clips, sides in CROSSING.items() for clip, side in zip(clips, sides, strict=True)}
    part |= {clip: "train" for clips in SAME_FACE for clip in clips}
    free = [f"{number:03d}" for number in range(1000) if f"{number:03d}" not in part]
    sizes = {"train": 720, "val": 140, "test": 140}
    pairs = {}
    for side, size in sizes.items():
        clips = [clip for clip, of in part.items() if of == side]
        taken = size - len(clips)
        clips, free = sorted(clips) + free[:taken], free[taken:]
        pairs[side] = [[clips[k], clips[k + size // 2]] for k in range(size // 2)]
    return pairs


def ffpp_conversion(pairs: Mapping[str, Sequence[Sequence[str]]]) -> dict[str, str]:
    """1,000 clips of 977 recordings: the seven that cross, and 15 more within the training part."""
    recording = {f"{number:03d}": f"rec{number:03d}" for number in range(1000)}
    for first, second in CROSSING:
        recording[second] = recording[first]
    train = sorted({clip for pair in pairs["train"] for clip in pair} - {c for clips in CROSSING for c in clips})
    free = [clip for clip in train if clip not in {c for clips in SAME_FACE for c in clips}]
    for k in range(15):
        recording[free[2 * k + 1]] = recording[free[2 * k]]
    recording[free[30]] = recording[free[0]]  # one recording gives three
    return {clip: f"{name} {k}" for k, (clip, name) in enumerate(recording.items())}


def ffpp_names(pairs: Mapping[str, Sequence[Sequence[str]]], compression: str = "c23") -> list[str]:
    reals = [f"original_sequences/youtube/{compression}/videos/{number:03d}.mp4" for number in range(1000)]
    swaps = [f"{a}_{b}" for part in pairs.values() for pair in part for a, b in (pair, pair[::-1])]
    return reals + [
        f"manipulated_sequences/{method}/{compression}/videos/{swap}.mp4" for method in METHODS for swap in swaps
    ]


def dfd_names(compression: str = "c23") -> list[str]:
    """363 reals of 28 actors, 3,068 fakes, every actor with others."""
    scenes = [f"scene_{k}" for k in range(13)]
    reals = [(actor, scene) for actor in range(1, 29) for scene in scenes][:363]
    fakes = [(a, 1 + (a + step) % 28, scene) for step in range(9) for a, scene in reals][:3068]
    folder = "manipulated_sequences/DeepFakeDetection"
    return [f"original_sequences/actors/{compression}/videos/{a:02d}__{scene}.mp4" for a, scene in reals] + [
        f"{folder}/{compression}/videos/{a:02d}_{d:02d}__{scene}__ABCD{k:04d}.mp4"
        for k, (a, d, scene) in enumerate(fakes)
    ]


# ---------------------------------------------------------------- Celeb-DF


def celebdf_names(counts: tuple[int, int, int] = (590, 300, 5639)) -> list[str]:
    """Reals of 59 celebrities, reals of the web, and swaps within the groups that the test list shows."""
    n_celeb, n_youtube, n_fakes = counts
    reals = [(CELEBRITIES[k % 59], k // 59) for k in range(n_celeb)]
    others = {celebrity: [c for c in group if c != celebrity] for group in COMPONENTS for celebrity in group}
    swaps = [(t, d, n) for t, n in reals for d in others.get(t, [])]
    rng = np.random.default_rng(0)
    chosen = sorted(rng.permutation(len(swaps))[:n_fakes].tolist())
    return (
        [f"Celeb-real/id{t}_{n:04d}.mp4" for t, n in reals]
        + [f"YouTube-real/{k:05d}.mp4" for k in range(n_youtube)]
        + [f"Celeb-synthesis/id{t}_id{d}_{n:04d}.mp4" for t, d, n in (swaps[k] for k in chosen)]
    )


def celebdf_list(names: Sequence[str], sizes: tuple[int, int, int] = (70, 108, 340)) -> list[str]:
    """The testing videos, 1 = REAL, so that 51 of the 59 celebrities are in the reals."""
    youtube = [name for name in names if name.startswith("YouTube")][: sizes[0]]
    shown = set(CELEBRITIES[:51])
    celeb = [name for name in names if name.startswith("Celeb-real") and _celebrity(name) in shown][: sizes[1]]
    fakes = [name for name in names if name.startswith("Celeb-synthesis")][::16][: sizes[2]]
    return [f"1 {name}" for name in youtube + celeb] + [f"0 {name}" for name in fakes]


def _celebrity(name: str) -> int:
    return int(name.rpartition("/")[2].split("_")[0].removeprefix("id"))
