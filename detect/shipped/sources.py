"""Where the shipped detector's material comes from: rows of the material in; every author, source and licence out."""

from __future__ import annotations

from collections.abc import Sequence

from dancebench.core.schema import Document, Strict
from dancebench.datasets.corpora.manifest import VideoRow

FILE = "sources.json"


class SourceVideo(Strict):
    """A video that the detector was made from."""

    video_id: str
    sha256: str
    """Of the file as it was read."""
    method: str | None
    """Of a fake; fakes fix threshold and calibration alone. None: a real, which it has learned from."""


class Source(Strict):
    """Videos of one origin."""

    source: str
    author: str
    licence: str
    people: int
    videos: tuple[SourceVideo, ...]


class SourcesRecord(Document):
    """`sources.json`: what the shipped detector was made from."""

    sources: tuple[Source, ...]


def list_sources(rows: Sequence[VideoRow]) -> SourcesRecord:
    """List the sources of rows that `read_material` gave, in alphabetical order."""
    parts: dict[tuple[str, str, str], list[VideoRow]] = {}
    for row in rows:
        licence = row.terms.licence if row.terms else ""
        parts.setdefault((row.attributes["source"], row.attributes["author"], licence), []).append(row)
    return SourcesRecord(
        sources=tuple(
            Source(
                source=source,
                author=author,
                licence=licence,
                people=len({row.subject_id for row in of_source}),
                videos=tuple(
                    SourceVideo(video_id=row.video_id, sha256=row.sha256 or "", method=row.method) for row in of_source
                ),
            )
            for (source, author, licence), of_source in sorted(parts.items())
        )
    )
