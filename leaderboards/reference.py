"""The papers' own figures, as printed: reference rows that stand apart from what this suite measured.

Out: the tables of `published/reference.json`, typed and validated, digits as printed. Values from a paper
were measured on other data with other code, so they are shown beside a leaderboard, never ranked in it.
"""

from __future__ import annotations

from decimal import Decimal
from importlib import resources
from typing import Self

from pydantic import Field, model_validator

from dancebench.core.schema import Document, Name, Strict
from dancebench.leaderboards.records import RunKind


class Paper(Strict):
    """Where figures come from."""

    citation: str
    url: str


class ReferenceColumn(Strict):
    """What one column of a printed table holds."""

    name: str
    unit: str
    higher_is_better: bool | None
    """None where neither direction is better."""


class ReferenceRow(Strict):
    """One row of a printed table."""

    name: str
    values: list[Decimal]
    """Decimal, so that 14.70 stays 14.70."""


class ReferenceTable(Strict):
    """One printed table, and what a reader must know before using it."""

    id: Name
    paper: str
    """A key of `Reference.papers`."""
    number: str
    """As the paper counts, e.g. `Table 3a`."""
    kind: RunKind
    title: str
    columns: list[ReferenceColumn] = Field(min_length=1)
    rows: list[ReferenceRow] = Field(min_length=1)
    remarks: list[str]

    @model_validator(mode="after")
    def _is_rectangular(self) -> Self:
        for row in self.rows:
            if len(row.values) != len(self.columns):
                raise ValueError(f"row '{row.name}' of {self.id} needs {len(self.columns)} values")
        return self


class Reference(Document):
    """`published/reference.json`."""

    papers: dict[str, Paper]
    tables: list[ReferenceTable]

    @model_validator(mode="after")
    def _names_resolve(self) -> Self:
        ids = [table.id for table in self.tables]
        if len(set(ids)) != len(ids):
            raise ValueError("a table stands twice")
        unknown = {table.paper for table in self.tables} - self.papers.keys()
        if unknown:
            raise ValueError(f"tables from unknown papers: {', '.join(sorted(unknown))}")
        return self

    def of_kind(self, kind: RunKind) -> list[ReferenceTable]:
        """The tables that belong beside the leaderboard of `kind`, in the papers' order."""
        return [table for table in self.tables if table.kind == kind]


def load_reference() -> Reference:
    """Read the reference tables that come with the package."""
    packaged = resources.files("dancebench.leaderboards") / "published" / "reference.json"
    with resources.as_file(packaged) as path:
        return Reference.load(path)
