"""Names of files in a report: as text, and as bytes where text cannot hold them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import StringConstraints

from dancebench.core.errors import replace_undecodable
from dancebench.core.schema import Strict

PathBytes = Annotated[str, StringConstraints(pattern="^([0-9a-f]{2})+$")]
"""A path as the file system knows it, in hexadecimal."""


class PassedOver(Strict):
    """A file or folder that a search came upon and that was not scored."""

    path: str
    path_bytes: PathBytes | None
    """As in `VideoScore`."""
    reason: str


def make_passed_over(path: Path, reason: str) -> PassedOver:
    """Name what was not scored, and why."""
    return PassedOver(**describe_path(path), reason=reason)


def describe_path(path: Path) -> dict[str, Any]:
    """`path` as text, with replacement signs, and `path_bytes`, where that is not what the file system knows."""
    text, raw = replace_undecodable(str(path)), os.fsencode(path)
    return {"path": text, "path_bytes": None if raw == text.encode() else raw.hex()}


def restore_path(path: str, path_bytes: str | None) -> Path:
    """The path that `describe_path` described."""
    return Path(path if path_bytes is None else os.fsdecode(bytes.fromhex(path_bytes)))
