"""The layout of a workspace: where every file and folder lies, from one root."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dancebench.core.errors import BenchError
from dancebench.core.files import sweep, to_file_name
from dancebench.core.schema import Document

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class WorkspaceRecord(Document):
    """`workspace.json`: marks the root and its format."""


@dataclass(frozen=True)
class Workspace:
    """Paths of a workspace; nothing is created until it is written."""

    root: Path

    def open(self) -> Workspace:
        """Check that this release can use the workspace, mark a new one, and remove what killed processes left.

        Raises:
            NewerSchemaError: A later release wrote it.
            BenchError: It cannot be written.
        """
        marker = self.root / "workspace.json"
        if marker.exists():
            WorkspaceRecord.load(marker)
            sweep(self.root)
        else:
            WorkspaceRecord().save(marker)
        return self

    def view(self) -> Workspace:
        """Check that this release can read the workspace, and write nothing: it may lie on a read-only share.

        Raises:
            NewerSchemaError: A later release wrote it.
            BenchError: It is not a folder.
        """
        if self.root.exists() and not self.root.is_dir():
            raise BenchError(f"{self.root} is not a folder.", hint="Name the folder of a workspace.")
        marker = self.root / "workspace.json"
        if marker.exists():
            WorkspaceRecord.load(marker)
        return self

    def dataset(self, name: str) -> Path:
        return self.root / "datasets" / validate_name("dataset", name)

    def synth(self, method: str, dataset: str, subject: str, variant: str) -> Path:
        """Folder of a trained synthesizer; `variant` is the preset and the seed."""
        return self.root / "synths" / method / dataset / subject / variant

    def ancestor(self, method: str, dataset: str, side: str, variant: str) -> Path:
        """Folder of a generator of many people, from which those of a side of the split start."""
        return self.root / "ancestors" / method / dataset / side / variant

    def fake(self, method: str, dataset: str, subject: str, variant: str, *, source: str) -> Path:
        """A fake clip; the record of how it was made lies beside it as `.json`."""
        return self.root / "fakes" / method / dataset / subject / variant / f"{source}.mp4"

    def failures(self, method: str, dataset: str, subject: str, variant: str) -> Path:
        """Folder of the failure cases of a synthesizer's fake: `failures.json` and `failures.png`."""
        return self.root / "failures" / method / dataset / subject / variant

    def novelty(self, method: str, dataset: str, subject: str, variant: str) -> Path:
        """Folder of how a fake's quality depends on how new its poses are: `novelty.json` and `novelty.svg`."""
        return self.root / "novelty" / method / dataset / subject / variant

    def real(self, dataset: str, subject: str, long_side: int) -> Path:
        """The real clip that fakes of this size are compared with."""
        return self.root / "reals" / dataset / subject / f"{long_side}.mp4"

    @staticmethod
    def find_dataset_name(clip: str) -> str | None:
        """Name of the dataset of a `fake` or a `real`, by its path relative to the root; None for another path."""
        match PurePosixPath(clip).parts:
            case ("reals", dataset, _, _) | ("fakes", _, dataset, _, _, _):
                return dataset
        return None

    def motion(self, sha256: str, fps: float) -> Path:
        """Folder of the poses extracted from a driving video, at a frame rate."""
        return self.root / "motions" / f"{sha256[:16]}-{fps:g}"

    @property
    def found_poses(self) -> Path:
        """Folder of the poses that were found on clips outside the workspace, by the clips' hashes."""
        return self.root / "found-poses"

    @property
    def transfers(self) -> Path:
        """Side-by-side videos of targets driven by one motion."""
        return self.root / "transfers"

    def detector(self, detector: str, run: str) -> Path:
        return self.root / "detectors" / to_file_name(detector) / run

    def list_detectors(self) -> list[Path]:
        """Folders of the trained detectors, the latest last; the parent's name is the detector's."""
        cards = sorted(self.root.glob("detectors/*/*/card.json"), key=lambda card: card.stat().st_mtime)
        return [card.parent for card in cards]

    def list_datasets(self) -> list[str]:
        """Names of the datasets."""
        return sorted(path.parent.name for path in self.root.glob("datasets/*/dataset.json"))

    def manifest(self, run: str) -> Path:
        """The videos of a detection run, whose paths are relative to the root; earlier releases kept it there."""
        path, earlier = self.root / "manifests" / f"{run}.jsonl", self.root / f"{run}.manifest.jsonl"
        return earlier if earlier.exists() and not path.exists() else path

    def corpus(self, name: str) -> Path:
        """Folder of an outside corpus: `corpus.json`, `manifest.jsonl`, `card.jsonld` and `files.json`; no video."""
        return self.root / "corpora" / validate_name("corpus", name)

    def list_corpora(self) -> list[str]:
        """Names of the outside corpora."""
        return sorted(path.parent.name for path in self.root.glob("corpora/*/corpus.json"))

    @property
    def protocols(self) -> Path:
        """Folder of the workspace's own protocols, `NAME.json`."""
        return self.root / "protocols"

    def video_set(self, sha256: str) -> Path:
        """The description of a set of videos, by the hash of its manifest's rows."""
        return self.root / "manifests" / f"{sha256[:16]}.video_set.json"

    def view_of_video(self, view: str, fps: float, digest: str) -> Path:
        """A video as a detector looks at it; the record of how it was made lies beside it as `.json`."""
        return self.root / "views" / f"{to_file_name(view)}-{fps:g}" / digest[:2] / f"{digest[:24]}.mp4"

    def study(self, name: str) -> Path:
        """Folder of a perceptual study."""
        return self.root / "studies" / validate_name("study", name)

    @property
    def results(self) -> Path:
        return self.root / "results"

    @property
    def leaderboards(self) -> Path:
        return self.root / "leaderboards"

    @property
    def site(self) -> Path:
        """Folder of the report's pages, with its strips and videos."""
        return self.leaderboards / "site"

    @property
    def detector_cards(self) -> Path:
        """Folder of the model cards, `DETECTOR-DIGEST.md`."""
        return self.leaderboards / "cards"

    @property
    def site_parts(self) -> Path:
        """Folder of what the report draws of single runs, by run."""
        return self.root / "site-parts"


def validate_name(kind: str, name: str) -> str:
    """`name`, if it can be a folder name: letters, digits, dot, dash, underscore.

    Raises:
        BenchError: It holds anything else (a path separator, say).
    """
    if not _NAME.fullmatch(name):
        raise BenchError(
            f"'{name}' cannot be the name of a {kind}.",
            hint="Use up to 64 letters, digits, dots, dashes and underscores.",
        )
    return name
