"""Versioned JSON files: validated on read, upgraded when older, refused by name when newer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from dancebench.core.errors import BenchError
from dancebench.core.files import write_json

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""An identifier that is also a safe folder name: letters, digits, dot, dash, underscore."""


class NewerSchemaError(BenchError):
    """The file was written by a later release of dancebench."""


class Strict(BaseModel):
    """A typed value: unknown fields are errors, and so is NaN, which JSON cannot hold."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())


class Document(Strict):
    """A JSON file of the workspace.

    Subclasses raise `SCHEMA_VERSION` when the format changes and override `upgrade` to read older files.
    """

    SCHEMA_VERSION: ClassVar[int] = 1
    schema_version: int = 1

    @classmethod
    def upgrade(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Bring the fields of an older version up to `SCHEMA_VERSION`."""
        return data

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and validate `path`.

        Raises:
            NewerSchemaError: A later release wrote the file.
            BenchError: The file is missing, not JSON, or does not match this schema.
        """
        kind = cls.__name__
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise BenchError(f"{path} does not exist.", hint=f"Expected a {kind} file there.") from None
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise BenchError(f"{path} is not valid JSON ({error}).", hint="Restore or remove it.") from error
        version = data.get("schema_version") if isinstance(data, dict) else None
        if not isinstance(version, int):
            raise BenchError(f"{path} has no schema_version.", hint=f"Expected a {kind} file there.")
        if version > cls.SCHEMA_VERSION:
            raise NewerSchemaError(
                f"{path} has schema version {version}; this release reads up to {cls.SCHEMA_VERSION}.",
                hint="Upgrade dancebench, or use another --workspace.",
            )
        if version < cls.SCHEMA_VERSION:
            data = cls.upgrade(data) | {"schema_version": cls.SCHEMA_VERSION}
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise BenchError(
                f"{path} is not a valid {kind} file: {where}: {first['msg']}.", hint="Restore or remove it."
            ) from error

    @classmethod
    def load_if_usable(cls, path: Path) -> Self | None:
        """The document, for callers that can make it again; None where it is missing, damaged or does not match.

        Raises:
            NewerSchemaError: A later release wrote the file.
        """
        try:
            return cls.load(path)
        except NewerSchemaError:
            raise
        except BenchError:
            return None

    def save(self, path: Path) -> None:
        """Write the document atomically."""
        write_json(path, self.model_dump(mode="json"))
