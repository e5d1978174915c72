"""The videos that a detector is trained on, tested on or asked about: a manifest in memory.

A manifest's paths are relative to its own folder, to the workspace if it lies in the workspace's `manifests/`, or to
the root that the record of its corpus names. A video's bytes are compared with the manifest's hash when it is first
asked for, once in a command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_json, sha256_once
from dancebench.core.workspace import Workspace
from dancebench.datasets.corpora.manifest import PictureKind, Split, VideoRow, read_manifest, resolve_inside
from dancebench.datasets.corpora.record import CorpusRecord
from dancebench.datasets.subjects.dataset import Dataset
from dancebench.datasets.video.frames import IMAGE_SUFFIXES, list_images


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

        Rows of an earlier release do not state the kind of their pictures; in a workspace, their dataset does.

        Raises:
            BenchError: It is missing or damaged, repeats a video, or a path leaves the folder.
        """
        corpus = CorpusRecord.beside(manifest)
        if corpus is not None:
            return cls(Path(corpus.root), tuple(read_manifest(manifest, Path(corpus.root))))
        root = manifest.absolute().parent
        if root.name == "manifests" and (root.parent / "workspace.json").exists():
            root = root.parent
        rows = tuple(read_manifest(manifest, root))
        return cls(root, _state_pictures(Workspace(root), rows))

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[VideoRow]:
        return iter(self.rows)

    @property
    def sha256(self) -> str:
        """Hash of the rows: equal hashes are the same videos in the same splits, their kind stated or not."""
        return sha256_json(
            [row.model_dump(mode="json", exclude={"pictures"}, exclude_defaults=True) for row in self.rows]
        )

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

    @property
    def real_pictures(self) -> tuple[PictureKind, ...]:
        """Kinds of pictures of its reals, sorted; none where they might be others than those that are stated."""
        kinds = {row.pictures for row in self.rows if row.label == 0}
        if None in kinds and "camera" not in kinds:
            return ()
        return tuple(sorted(kind for kind in kinds if kind is not None))

    def hash_files(self) -> None:
        """Read every file for its hash now, so that worker processes need not; a missing one is met by `path`."""
        for row in self.rows:
            path = resolve_inside(self.root, row.path)
            if path.is_file():
                sha256_once(path)

    def path(self, row: VideoRow) -> Path:
        """Where a video lies, after its bytes were compared with the manifest's hash, if there is one.

        Raises:
            BenchError: It is missing, or its SHA-256 is not that of the manifest; or no view could be made of it.
        """
        if row.problem is not None:
            raise BenchError(row.problem)
        path = resolve_inside(self.root, row.path)
        if not (path.is_dir() if f".{row.codec}" in IMAGE_SUFFIXES else path.is_file()):
            raise BenchError(f"{row.video_id}: {path} does not exist.", hint="Make the manifest's videos again.")
        if row.sha256 is not None and _hash_video(path) != row.sha256:
            raise BenchError(
                f"{row.video_id}: {path} was changed after the manifest was written.",
                hint="Make the video and its manifest again.",
            )
        return path


def _hash_video(path: Path) -> str:
    """SHA-256 of a file's bytes; of a folder of images over their names and hashes."""
    if path.is_dir():
        return sha256_json([[image.name, sha256_once(image)] for image in list_images(path)])
    return sha256_once(path)


def _state_pictures(workspace: Workspace, rows: tuple[VideoRow, ...]) -> tuple[VideoRow, ...]:
    """The rows with the kinds of pictures that their datasets state, as far as they state none and there is one."""
    names = {row.video_id: workspace.find_dataset_name(row.path) for row in rows if row.pictures is None}
    kinds = {name: _list_pictures(workspace, name) for name in set(names.values())}
    return tuple(
        row.model_copy(update={"pictures": kinds[names[row.video_id]].get(row.subject_id)})
        if row.video_id in names
        else row
        for row in rows
    )


def _list_pictures(workspace: Workspace, dataset: str | None) -> dict[str, PictureKind]:
    """Subject -> kind of pictures; empty without a dataset of that name that can be read."""
    if dataset is None:
        return {}
    try:
        return {entry.id: entry.pictures for entry in Dataset.open(workspace, dataset).record.subjects}
    except BenchError:
        return {}
