"""The videos that a detector is trained on, tested on or asked about: a manifest in memory.

A manifest's paths are relative to its own folder, or to the workspace if it lies in the workspace's `manifests/`. A
video's bytes are compared with the manifest's hash when it is first asked for, once in a command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_json, sha256_once
from dancebench.datasets.corpora.manifest import Split, VideoRow, read_manifest, resolve_inside


@dataclass(frozen=True)
class VideoSet:
    """Rows of a manifest, and where their videos lie.

    Attributes:
        root: The folder that the rows' paths are relative to.
        rows: The videos, in the manifest's order.

    >>> from dancebench import VideoSet
    >>> videos = VideoSet.open(manifest)
    >>> held_out = videos.split("holdout")
    >>> fakes = held_out.select(lambda row: row.label == 1)
    >>> all(videos.path(row).is_file() for row in fakes)
    True
    """

    root: Path
    rows: tuple[VideoRow, ...]

    @classmethod
    def open(cls, manifest: Path) -> VideoSet:
        """Read a manifest; its videos are looked at when they are asked for.

        Raises:
            BenchError: It is missing or damaged, repeats a video, or a path leaves the folder.
        """
        root = manifest.absolute().parent
        if root.name == "manifests" and (root.parent / "workspace.json").exists():
            root = root.parent
        return cls(root, tuple(read_manifest(manifest, root)))

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[VideoRow]:
        return iter(self.rows)

    @property
    def sha256(self) -> str:
        """Hash of the rows: equal hashes are the same videos in the same splits."""
        return sha256_json([row.model_dump(mode="json") for row in self.rows])

    def split(self, *names: Split) -> VideoSet:
        """The videos of some splits."""
        return self.select(lambda row: row.split in names)

    def select(self, keep: Callable[[VideoRow], bool]) -> VideoSet:
        """The videos for which `keep` is true."""
        return VideoSet(self.root, tuple(row for row in self.rows if keep(row)))

    @property
    def methods(self) -> frozenset[str]:
        """The synthesis methods of its fakes."""
        return frozenset(row.method for row in self.rows if row.method is not None)

    def hash_files(self) -> None:
        """Read every file for its hash now, so that worker processes need not; a missing one is met by `path`."""
        for row in self.rows:
            path = resolve_inside(self.root, row.path)
            if path.is_file():
                sha256_once(path)

    def path(self, row: VideoRow) -> Path:
        """Where a video lies, after its bytes were compared with the manifest's hash.

        Raises:
            BenchError: It is missing, or its SHA-256 is not that of the manifest.
        """
        path = resolve_inside(self.root, row.path)
        if not path.is_file():
            raise BenchError(f"{row.video_id}: {path} does not exist.", hint="Make the manifest's videos again.")
        if sha256_once(path) != row.sha256:
            raise BenchError(
                f"{row.video_id}: {path} was changed after the manifest was written.",
                hint="Make the video and its manifest again.",
            )
        return path
