"""Toy corpora for protocols: rows of a manifest without a video, and their record in a workspace."""

from pathlib import Path
from typing import Any

from dancebench.core.workspace import Workspace
from dancebench.datasets.corpora.manifest import Person, VideoRow, write_manifest
from dancebench.detect.protocol.selection import CorpusCopy

FOUR = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
SPLITS = ("train", "validation", "test")


def make_row(video_id: str, people: tuple[str, ...], method: str | None = None, **facts: Any) -> VideoRow:
    """A video that nobody has opened; the first of the people is seen, the second gave the face."""
    roles = [Person(id=name, role=role) for name, role in zip(people, ("target", "donor"), strict=False)]
    unknown = dict.fromkeys(("sha256", "split", "fps", "n_frames", "codec", "crf", "width", "height"))
    given = {"video_id": video_id, "path": f"{video_id}.mp4", "label": int(method is not None), "method": method}
    return VideoRow.model_validate(
        unknown | given | {"people": roles, "group": "" if people else video_id, "status": "claimed"} | facts
    )


def make_ffpp(clips: int = 30, *, crossing: bool = False, compressions: tuple[str, ...] = ("c23",)) -> list[VideoRow]:
    """Pairs of clips as FaceForensics++ has them: each clip real and, in every method, with the other's face.

    Args:
        clips: An even number; they go to train, validation and test in turn, two by two.
        crossing: Whether a clip of the test part shows a person of the training part.
        compressions: Of every clip.
    """
    rows = []
    for clip in range(clips):
        other, split = clip ^ 1, SPLITS[clip // 2 % 3]
        names = {number: f"p{number:03d}" for number in (clip, other)}
        if crossing:
            names = {number: "p000" if number == 4 else name for number, name in names.items()}
        for compression in compressions:
            group = 0 if crossing and clip // 2 == 2 else clip // 2
            shared = {"official_split": split, "compression": compression, "group": f"g{group:02d}"}
            rows.append(make_row(f"{compression}/{clip:03d}", (names[clip],), **shared))
            rows += [
                make_row(
                    f"{compression}/{method}/{clip:03d}_{other:03d}", (names[clip], names[other]), method, **shared
                )
                for method in (*FOUR, "FaceShifter")
            ]
    return rows


def make_copy(folder: Path, layout: str, rows: list[VideoRow], **facts: Any) -> CorpusCopy:
    """A corpus that was read: its manifest in a folder."""
    write_manifest(folder / layout / "rows.jsonl", rows)
    return CorpusCopy(facts.pop("name", layout), layout, folder / layout / "rows.jsonl", **facts)


def save_corpus(workspace: Workspace, name: str, layout: str, rows: list[VideoRow], **facts: Any) -> None:
    """The same in a workspace, with the record that `bench data corpus` writes beside the manifest."""
    from dancebench.datasets.corpora.manifest import Terms
    from dancebench.datasets.corpora.record import CorpusRecord

    folder = workspace.corpus(name)
    write_manifest(folder / "manifest.jsonl", rows)
    lists = dict.fromkeys(
        ("counts", "missing", "extra", "mismatches", "problems", "not_understood", "without_real", "notes"), ()
    )
    CorpusRecord.model_validate(
        lists
        | {
            "name": name, "layout": layout, "layout_source": "built in", "root": str(folder),
            "read_from": str(folder), "version": None,
            "terms": Terms(licence="none"), "url": "", "title": layout, "lists": {}, "unreadable": {},
            "n_videos": len(rows), "n_people": 0, "n_groups": 0, "n_identified": 0, "split": "official", "seed": 0,
            "splits": {}, "manifest_sha256": "", "deep": False, "near_duplicates": None,
        }
        | facts
    ).save(folder / "corpus.json")  # fmt: skip
