"""The permission to use a recording: a target's consent, or the legal basis for everybody else."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from dancebench.core.errors import BenchError, replace_undecodable
from dancebench.core.files import read_bytes
from dancebench.datasets.subjects.records import Permission, Role


@dataclass(frozen=True)
class StatedPermission:
    """A permission as it was stated.

    Attributes:
        record: What the subject's record keeps.
        files: The document to keep beside the clip, by the name it gets; empty for a plain statement.
    """

    record: Permission
    files: dict[str, Path] = field(default_factory=dict)


def state_permission(role: Role, *, consent: str | None, legal_basis: str | None) -> StatedPermission:
    """Check and record the permission that a role needs.

    Args:
        role: A target needs `consent`, every other role a `legal_basis`.
        consent: A statement, or the path of a document.
        legal_basis: Likewise.

    Raises:
        BenchError: The needed one is missing or empty (says why it is needed), or names a file that does
            not exist or cannot be read.
    """
    if role == "target":
        kind, flag, stated = "consent", "--consent", consent
        reason = "a target's likeness is synthesized, which needs that person's consent"
    else:
        kind, flag, stated = "legal-basis", "--legal-basis", legal_basis
        reason = "recordings of people are personal data, and their use needs a legal basis"
    if stated is None or not stated.strip():
        raise BenchError(
            f"No {kind.replace('-', ' ')} is stated: {reason}.",
            hint=f'{flag} "TEXT" or {flag} FILE (a release form, a licence that covers this use).',
        )
    path = _find_document(stated.strip(), flag)
    text = replace_undecodable(path.name if path else stated.strip())
    data = read_bytes(path) if path else text.encode()
    if not data.strip():
        raise BenchError(f"{path} is empty.", hint=f"{flag} needs a document that says something.")
    record = Permission.model_validate({"kind": kind, "text": text, "sha256": hashlib.sha256(data).hexdigest()})
    return StatedPermission(record, {f"permission{path.suffix}": path} if path else {})


def _find_document(stated: str, flag: str) -> Path | None:
    """The file that `stated` names; None for a statement. One word that looks like a path must be one."""
    if os.path.isfile(stated):  # false for a text that is too long for a name; Path.is_file raises
        return Path(stated)
    one_word = not any(character.isspace() for character in stated)
    if one_word and ("/" in stated or Path(stated).suffix):
        problem = "is not a regular file" if os.path.exists(stated) else "does not exist"
        raise BenchError(f"{stated} {problem}.", hint=f'{flag} takes an existing file, or a "TEXT".')
    return None
