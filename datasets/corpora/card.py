"""`card.jsonld`: what a corpus is, for other tools, in Croissant (MLCommons, version 1.0, JSON-LD).

It describes the manifest beside it; the videos stay where they are and are not offered. No look-up is made: the
context of the format stands in the card.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from dancebench.core.files import write_json
from dancebench.datasets.corpora.manifest import VideoRow
from dancebench.datasets.corpora.record import CorpusRecord

CONTEXT: Final[dict[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""Of the format: no look-up is needed."""
_FIELDS: Final[dict[str, tuple[str, str]]] = {
    "video_id": ("sc:Text", "Full identifier of the video."),
    "path": ("sc:Text", "Relative to the root of the corpus."),
    "label": ("sc:Integer", "1 for a fake, 0 for a real."),
    "split": ("sc:Text", "train, validation or holdout; empty where the video is in none."),
    "official_split": ("sc:Text", "As the corpus was published."),
    "group": ("sc:Text", "Connected component over people and clips: what no split may part."),
    "real_of": ("sc:Text", "The real that a fake was made from."),
    "method": ("sc:Text", "How a fake was made."),
    "family": ("sc:Text", "Kind of method."),
    "compression": ("sc:Text", "As the corpus calls it."),
    "sha256": ("sc:Text", "Of the file, where it was read."),
}


def write_card(path: Path, record: CorpusRecord, rows: Sequence[VideoRow]) -> None:
    """Write the card of a corpus.

    Args:
        path: The JSON-LD file, beside the manifest.
        record: Of the corpus.
        rows: Of its manifest.
    """
    write_json(path, describe_corpus(record, rows))


def describe_corpus(record: CorpusRecord, rows: Sequence[VideoRow]) -> dict[str, Any]:
    """The card as JSON-LD."""
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": record.name,
        "description": _describe_in_words(record, rows),
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "license": record.terms.licence if record.terms.form is None else record.terms.form,
        "usageInfo": record.terms.licence,
        **({"url": record.url} if record.url else {}),
        "version": f"0.0.0+{record.manifest_sha256[:12]}",
        "rai:dataLimitations": _list_limitations(record),
        "rai:personalSensitiveInformation": "Pictures of people; some carry a known identity.",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "manifest",
                "name": "manifest.jsonl",
                "description": "One line per video; the videos themselves are not part of it.",
                "contentUrl": "manifest.jsonl",
                "encodingFormat": "application/jsonlines",
                "sha256": record.manifest_sha256,
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "videos",
                "name": "videos",
                "description": "The videos of the corpus.",
                "key": {"@id": "videos/video_id"},
                "field": [describe_field("videos", "manifest", name, *about) for name, about in _FIELDS.items()],
            }
        ],
    }


def describe_field(record_set: str, file: str, name: str, data_type: str, description: str) -> dict[str, Any]:
    """A field of a record set: the column `name` of a file of lines.

    Args:
        record_set: Its id.
        file: The id of the file object.
        name: Of field and column.
        data_type: `sc:Text`, say.
        description: In words.
    """
    return {
        "@type": "cr:Field",
        "@id": f"{record_set}/{name}",
        "name": name,
        "description": description,
        "dataType": data_type,
        "source": {"fileObject": {"@id": file}, "extract": {"column": name}},
    }


def _describe_in_words(record: CorpusRecord, rows: Sequence[VideoRow]) -> str:
    reals = sum(row.label == 0 for row in rows)
    people = (
        f"{record.n_people} people" if record.n_identified == record.n_videos else "people who are not all identified"
    )
    return (
        f"{record.title}{f' v{record.version}' if record.version else ''}: {reals} reals and {len(rows) - reals} fakes "
        f"of {people}, in {record.n_groups} groups that no split may part. Split: {record.split}."
    )


def _list_limitations(record: CorpusRecord) -> list[str]:
    split = record.splits[record.split]
    disjoint = {
        True: "No person is on two sides of the split.",
        False: "People are on several sides of the split.",
        None: "Nobody knows who is seen: nothing is said of people.",
    }[split.person_disjoint]
    return [
        disjoint,
        *record.problems,
        f"{len(record.missing)} videos of its lists are missing, {len(split.left_out)} are on no side of the split.",
    ]
