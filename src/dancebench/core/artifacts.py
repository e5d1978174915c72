"""Artifacts: files with a record beside them of what they were made from; made again only where that changed.

A record's class says what decides the artifact (`key`) and which files belong to it (`files`). It is written last:
where it is missing, or one of its files is missing or changed, there is no artifact.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from dancebench.core.files import sha256_once
from dancebench.core.schema import Document


class ArtifactRecord(Document):
    """The JSON that stands for an artifact."""

    @property
    @abstractmethod
    def key(self) -> Any:
        """What the artifact was made from, as JSON: under another key it is another artifact."""

    @abstractmethod
    def files(self, path: Path) -> Mapping[Path, str]:
        """The artifact's files and their SHA-256, for a record that lies at `path`."""


Record = TypeVar("Record", bound=ArtifactRecord)


def find_existing(path: Path, record_type: type[Record], key: Any) -> Record | None:
    """The artifact whose record lies at `path`, if it was made from `key` and its files are as it left them.

    Raises:
        NewerSchemaError: A later release wrote the record.
    """
    record = record_type.load_if_usable(path)
    if record is None or record.key != key:
        return None
    intact = all(file.is_file() and sha256_once(file) == sha256 for file, sha256 in record.files(path).items())
    return record if intact else None


def reuse_or_make(path: Path, record_type: type[Record], key: Any, make: Callable[[], Record]) -> Record:
    """The artifact at `path`: the existing one if it was made from `key`, else what `make` makes.

    Args:
        path: Of the record.
        record_type: Its class.
        key: What decides the artifact.
        make: Writes the files and returns the record, which is saved here once they are whole.

    Raises:
        NewerSchemaError: A later release wrote the record.
    """
    existing = find_existing(path, record_type, key)
    if existing is not None:
        return existing
    record = make()
    record.save(path)
    return record
