"""The card of a dataset: for people (README.md with Hugging Face front matter) and for tools (Croissant 1.0, JSON-LD).

In: a dataset of the workspace. Out: `README.md`, `croissant.json` and `subjects.jsonl`, the table that the Croissant
file describes: a line for each person, prepared or not. Neither clips nor poses are offered, and no text of a
permission or name of a recording is told. No look-up is made.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

from dancebench.core.files import write_json, write_text
from dancebench.datasets.corpora.card import CONTEXT, describe_field
from dancebench.datasets.subjects.dataset import Dataset
from dancebench.datasets.subjects.records import SubjectEntry

README, CROISSANT, SUBJECTS = "README.md", "croissant.json", "subjects.jsonl"
_FIELDS: Final[dict[str, tuple[str, str]]] = {
    "id": ("sc:Text", "Identifier of the person."),
    "role": ("sc:Text", "target, train, validation, holdout or driver: no person has two."),
    "pictures": ("sc:Text", "drawn or camera."),
    "source": ("sc:Text", "Kind of the source: file, drawn or imported."),
    "permission": ("sc:Text", "consent or legal-basis; empty where the clip is not prepared."),
    "licence": ("sc:Text", "Of the recording; empty where the clip is not prepared."),
    "n_frames": ("sc:Integer", "Frames of the prepared clip; 0 where it is not prepared."),
    "person_frames": ("sc:Integer", "Frames in which the body was found."),
    "fps": ("sc:Float", "Frames per second; 0 where the clip is not prepared."),
    "clip_sha256": ("sc:Text", "Of the prepared clip."),
    "poses_sha256": ("sc:Text", "Of its poses."),
}
_KNOWN_LICENCES: Final = {
    "mit": "mit", "cc0": "cc0-1.0", "cc0-1.0": "cc0-1.0", "cc-by-4.0": "cc-by-4.0", "apache-2.0": "apache-2.0",
    "bsd-3-clause": "bsd-3-clause",
}  # fmt: skip
"""A licence as datasets name it -> Hugging Face's identifier; any other is `other`, with its name."""
_SIZES: Final = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def write_dataset_card(dataset: Dataset, folder: Path) -> list[Path]:
    """Write the card of a dataset; returns the files, the one for people first.

    Args:
        dataset: Its people may be prepared or not.
        folder: Where the files go.

    Raises:
        BenchError: The folder cannot be written, or a person's record is damaged.
    """
    subjects = [_describe_subject(dataset, entry) for entry in dataset.record.subjects]
    lines = "".join(json.dumps(subject, ensure_ascii=False) + "\n" for subject in subjects)
    write_text(folder / SUBJECTS, lines)
    write_json(folder / CROISSANT, describe_dataset(dataset, hashlib.sha256(lines.encode()).hexdigest()))
    write_text(folder / README, render_readme(dataset, subjects))
    return [folder / README, folder / CROISSANT, folder / SUBJECTS]


def describe_dataset(dataset: Dataset, subjects_sha256: str) -> dict[str, Any]:
    """The card as JSON-LD; `subjects_sha256` is the hash of `subjects.jsonl`."""
    record = dataset.record
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": record.name,
        "description": _summarise(dataset),
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "license": record.licence,
        "version": f"0.0.0+{record.dataset_id[:12]}",
        "rai:dataLimitations": _list_limitations(dataset),
        "rai:personalSensitiveInformation": _describe_privacy(dataset),
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "subjects-file",
                "name": SUBJECTS,
                "description": "A line for each person; clips and poses are not part of it.",
                "contentUrl": SUBJECTS,
                "encodingFormat": "application/jsonlines",
                "sha256": subjects_sha256,
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "subjects",
                "name": "subjects",
                "description": "The people of the dataset.",
                "key": {"@id": "subjects/id"},
                "field": [describe_field("subjects", "subjects-file", name, *about) for name, about in _FIELDS.items()],
            }
        ],
    }


def render_readme(dataset: Dataset, subjects: list[dict[str, Any]]) -> str:
    """The card for people, behind its front matter."""
    record = dataset.record
    roles = Counter(str(subject["role"]) for subject in subjects)
    prepared = sum(bool(subject["n_frames"]) for subject in subjects)
    size = f"{record.prepare.height}x{record.prepare.width}"
    parts = [
        _render_front_matter(dataset, sum(int(subject["n_frames"]) for subject in subjects)),
        f"# {record.name}",
        _summarise(dataset),
        "## What is in it",
        _bullets(
            [
                f"people: {len(subjects)}, by role: {', '.join(f'{role} {n}' for role, n in sorted(roles.items()))}",
                f"prepared clips: {prepared} of {len(subjects)}, {size} (height x width), at most "
                f"{record.prepare.fps:g} frames per second",
                f"split of each clip in time: the first {record.split.train_fraction:.0%} trains, the rest is held out",
                f"poses: {record.poses.description}",
                f"dataset_id: `{record.dataset_id}`",
            ]
        ),
        "## Licence and permission",
        _bullets([f"licence: {record.licence}", _describe_privacy(dataset), *_count_permissions(subjects)]),
        "## Limits",
        _bullets(_list_limitations(dataset)),
        "## Must not be used for",
        _bullets(
            [
                "synthesizing a person who has not consented to it",
                "recognising or identifying people",
                "statements about people, recordings or methods unlike these: what was measured here holds here",
            ]
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _describe_subject(dataset: Dataset, entry: SubjectEntry) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": entry.id, "role": entry.role, "pictures": entry.pictures, "source": entry.source.kind,
        "permission": "", "licence": "", "n_frames": 0, "person_frames": 0, "fps": 0.0,
        "clip_sha256": "", "poses_sha256": "",
    }  # fmt: skip
    if dataset.is_prepared(entry.id):
        found = dataset.subject(entry.id).record
        row |= {
            "permission": found.permission.kind, "licence": found.licence, "n_frames": found.n_frames,
            "person_frames": found.person_frames, "fps": found.fps, "clip_sha256": found.clip_sha256,
            "poses_sha256": found.poses_sha256,
        }  # fmt: skip
    return row


def _render_front_matter(dataset: Dataset, frames: int) -> str:
    """YAML that is JSON line by line, so that no text of a dataset is taken for markup."""
    licence = dataset.record.licence
    known = _KNOWN_LICENCES.get(licence.lower())
    size = next((name for limit, name in _SIZES if frames < limit), "1M<n<10M")
    fields: dict[str, Any] = {
        "pretty_name": dataset.record.name,
        "license": known or "other",
        **({} if known else {"license_name": licence}),
        "task_categories": ["video-classification"],
        "tags": ["video", "media-forensics", "deepfake-detection", "motion-transfer", "croissant"],
        "size_categories": [size],
    }
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()]
    return "\n".join(["---", *lines, "---"])


def _summarise(dataset: Dataset) -> str:
    kinds = Counter(entry.pictures for entry in dataset.record.subjects)
    people = " and ".join(f"{count} {_name_people(kind, count)}" for kind, count in sorted(kinds.items()))
    return (
        f"Clips of {people or 'nobody yet'} with their poses, prepared for synthesis of people and for its detection. "
        "Splits are by person: no person has two roles."
    )


def _name_people(kind: str, count: int) -> str:
    one, many = ("drawn dancer", "drawn dancers") if kind == "drawn" else ("recorded person", "recorded people")
    return one if count == 1 else many


def _describe_privacy(dataset: Dataset) -> str:
    if all(entry.pictures == "drawn" for entry in dataset.record.subjects):
        return "Nobody is shown: the people are drawn by a program."
    return "Recordings of people, who can be recognised: each needs consent as a target, and a legal basis otherwise."


def _count_permissions(subjects: list[dict[str, Any]]) -> list[str]:
    kinds = Counter(str(subject["permission"]) for subject in subjects if subject["permission"])
    return [f"people by {kind}: {count}" for kind, count in sorted(kinds.items())]


def _list_limitations(dataset: Dataset) -> list[str]:
    people = len(dataset.record.subjects)
    drawn = sum(entry.pictures == "drawn" for entry in dataset.record.subjects)
    found = [
        f"{people} people: intervals are by person, and unreliable below 10.",
        "Age, gender, skin tone, clothing and disability are not recorded: nothing can be said of subgroups.",
        "One person, one recording, one place: who a person is, and where, cannot be told apart.",
    ]
    if drawn:
        found.append(f"{drawn} of them are drawn: what holds for drawn dancers need not hold for camera footage.")
    return found


def _bullets(texts: list[str]) -> str:
    return "\n".join(f"- {' '.join(text.split())}" for text in texts)
