"""Versioned JSON files: validated on read, upgraded when older, refused by name when newer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Self, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.core.files import read_bytes, write_json

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""An identifier that is also a safe folder name: letters, digits, dot, dash, underscore."""


MAX_COUNT: Final = 2**53
"""The largest count that a file may state; a number with many digits has no place among floats."""


class NewerSchemaError(BenchError):
    """The file was written by a later release of dancebench."""


class Strict(BaseModel):
    """A typed value: unknown fields are errors, and so is NaN, which JSON cannot hold."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())


Config = TypeVar("Config", bound=Strict)


def set_fields(owner: str, config: Config, values: Mapping[str, Any], set_by: Mapping[str, str]) -> Config:
    """A configuration with other values of some of its fields.

    Args:
        owner: What is configured, for messages.
        config: The configuration to start from; it is not changed.
        values: By the field's name, behind those of the fields that hold it: `schedule.steps`.
        set_by: Fields that may not be set so, at any depth, and what sets them instead.

    Raises:
        UnknownNameError: There is no such field.
        BenchError: The field may not be set so, or its value is refused.
    """
    if not values:
        return config
    data = config.model_dump()
    for path, value in values.items():
        *outer, field = path.split(".")
        if field in set_by:
            raise BenchError(f"'{owner}.{path}' is not set here.", hint=f"It is set by {set_by[field]}.")
        part: Any = config
        target = data
        for name in outer:
            _require_field(owner, part, name)
            part, target = getattr(part, name), target[name]
            if not isinstance(part, BaseModel):
                raise BenchError(f"'{owner}.{path}': '{name}' has no fields.", hint=f"It is {json.dumps(target)}.")
        _require_field(owner, part, field)
        target[field] = value
    try:
        return type(config).model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join([owner, *(str(part) for part in first["loc"])])
        raise BenchError(
            f"{where} is refused: {first['msg']}.", hint=f"Set for '{owner}': {describe_fields(values)}."
        ) from error


def describe_fields(values: Mapping[str, Any]) -> str:
    """What `set_fields` is given, in a line."""
    return ", ".join(f"{path}={json.dumps(value)}" for path, value in sorted(values.items()))


def _require_field(owner: str, part: BaseModel, name: str) -> None:
    fields = type(part).model_fields
    if name not in fields:
        raise UnknownNameError(f"setting of '{owner}'", name, fields)


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
            BenchError: The file is missing, cannot be read, is not JSON, or does not match this schema.
        """
        kind = cls.__name__
        try:
            data = json.loads(read_bytes(path).decode())
        except FileNotFoundError:
            raise BenchError(f"{path} does not exist.", hint=f"Expected a {kind} file there.") from None
        except (
            ValueError,
            RecursionError,
        ) as error:  # a number of 5,000 digits is a ValueError, deep nesting the other
            raise BenchError(f"{path} is not valid JSON ({error}).", hint="Restore or remove it.") from error
        version = data.get("schema_version") if isinstance(data, dict) else None
        if not isinstance(version, int):
            raise BenchError(f"{path} has no schema_version.", hint=f"Expected a {kind} file there.")
        if version > cls.SCHEMA_VERSION:
            raise NewerSchemaError(
                f"{path} has schema version {version}; this release reads up to {cls.SCHEMA_VERSION}.",
                hint="Upgrade dancebench, or use another --workspace.",
            )
        try:
            if version < cls.SCHEMA_VERSION:
                data = cls.upgrade(data) | {"schema_version": cls.SCHEMA_VERSION}
            return cls.model_validate(data)
        except (LookupError, TypeError, AttributeError) as error:  # `upgrade` reads fields that nobody has checked
            raise BenchError(
                f"{path} is not a valid {kind} file of version {version}: {type(error).__name__}: {error}.",
                hint="Restore or remove it.",
            ) from error
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
