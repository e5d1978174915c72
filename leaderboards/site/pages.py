"""The pages of the site: sections, matrices, figures and the papers' rows in, HTML text out.

A page is one file with its styles and its script in it; strips and videos lie beside it. Whatever comes from a record
is escaped. The layout and the fixed sentences are in `assets/`.
"""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import jinja2
from markupsafe import Markup

from dancebench.core.errors import escape_unprintable
from dancebench.leaderboards.breakdowns import make_breakdowns
from dancebench.leaderboards.markdown import REFERENCE_TITLE
from dancebench.leaderboards.matrix import Matrix
from dancebench.leaderboards.records import RunKind, Skipped
from dancebench.leaderboards.reference import Paper, Reference
from dancebench.leaderboards.significance.differences import SectionDifferences
from dancebench.leaderboards.site.cells import (
    Table,
    make_breakdown_table,
    make_group_table,
    make_main_table,
    make_matrix_tables,
    make_reference_table,
    make_theme_tables,
)
from dancebench.leaderboards.site.figures import (
    Figure,
    Parts,
    draw_breakdown,
    draw_novelty,
    draw_overlays,
    draw_people,
    draw_run_curves,
)
from dancebench.leaderboards.site.material import Exhibits
from dancebench.leaderboards.tables import Section

KINDS: Final[tuple[RunKind, ...]] = ("synthesis", "detection", "perceptual")
"""A page each."""
_SHAPES: Final[dict[RunKind, str]] = {
    "synthesis": "How near the fakes are to the real frames of the same motion: the measures of Everybody Dance Now, "
    "Table 3a, and of Dance Dance Generation, Tables 1 to 3.",
    "detection": "How well detectors tell fakes of people whom they never saw: the shape of Everybody Dance Now, Table "
    "5, with training by test set, other methods, perturbations and calibration.",
    "perceptual": "What people choose who see two videos: the shape of Everybody Dance Now, Tables 1 to 4, and of "
    "Dance Dance Generation, Table 4.",
}
_FIRST: Final[dict[RunKind, str]] = {
    "synthesis": "bench synth --subject all",
    "detection": "bench detect --holdout",
    "perceptual": "a study with votes",
}


@dataclass(frozen=True)
class SectionView:
    """A section as its page shows it."""

    anchor: str
    section: Section
    main: Table
    warnings: Sequence[str]
    remarks: Sequence[str]
    groups: Sequence[Table]
    group_reasons: Sequence[str]
    themes: Sequence[Table]
    figures: Sequence[Figure]
    breakdowns: Sequence[tuple[Table, Figure | None]]
    run_curves: Sequence[tuple[str, Sequence[Figure]]]
    exhibits: Exhibits | None
    hidden: int
    """Rows that the page has no room for."""


@dataclass(frozen=True)
class Contents:
    """What the site is made from."""

    sections: dict[RunKind, list[SectionView]]
    others: dict[RunKind, list[Section]]
    """Sections that a page has no room for."""
    matrices: Sequence[Matrix]
    skipped: Sequence[Skipped]
    n_records: int
    reference: Reference


def view_section(
    section: Section,
    number: int,
    parts: Parts,
    compared: SectionDifferences | None,
    exhibits: Exhibits | None,
    hidden: int = 0,
) -> SectionView:
    """Tables and figures of a section.

    Args:
        section: With the rows that are shown.
        number: Of the section among those of its kind, from 1.
        parts: Of the runs of its rows.
        compared: Who of the section is told apart; None where nothing was compared.
        exhibits: Strips and videos; None for a kind that has none.
        hidden: Further rows that the section has.
    """
    warnings = section.list_warnings()
    figures = draw_people(section)
    if section.kind == "synthesis":
        figures.append(draw_novelty(section, parts))
    if section.kind == "detection":
        figures += draw_overlays(section, parts)
    return SectionView(
        anchor=f"{section.kind}-{number}",
        section=section,
        main=make_main_table(section),
        warnings=warnings,
        remarks=[remark for remark in section.list_remarks() if remark not in warnings],
        groups=make_group_table(section, compared) if compared is not None and compared.compared else [],
        group_reasons=[] if compared is None or compared.compared else compared.reasons,
        themes=make_theme_tables(section),
        figures=figures,
        breakdowns=[
            (make_breakdown_table(table, section), draw_breakdown(table, section)) for table in make_breakdowns(section)
        ],
        run_curves=draw_run_curves(section, parts) if section.kind == "detection" else [],
        exhibits=exhibits,
        hidden=hidden,
    )


def render_pages(contents: Contents) -> dict[str, str]:
    """File name to HTML of every page."""
    matrices = [(each.title, make_matrix_tables(each)) for each in contents.matrices]
    pages = {"index.html": _render("index.html.j2", "Overview", contents, "index")}
    for kind in KINDS:
        pages[f"{kind}.html"] = _render(
            "board.html.j2", kind.capitalize(), contents, kind,
            kind=kind, shape=_SHAPES[kind], first=_FIRST[kind], views=contents.sections[kind],
            others=[each.title for each in contents.others[kind]],
            matrices=matrices if kind == "detection" else [],
            references=_list_references(contents.reference, kind),
        )  # fmt: skip
    return pages


def _list_references(reference: Reference, kind: RunKind) -> list[tuple[Paper, list[Table]]]:
    found = []
    for key, paper in reference.papers.items():
        tables = [make_reference_table(table) for table in reference.of_kind(kind) if table.paper == key]
        if tables:
            found.append((paper, tables))
    return found


def _render(template: str, title: str, contents: Contents, current: str, **values: object) -> str:
    return _open_environment().get_template(template).render(
        title=title, current=current, kinds=KINDS, contents=contents, reference_title=REFERENCE_TITLE, shapes=_SHAPES,
        style=Markup(_read_asset("style.css")), script=Markup(_read_asset("tables.js")), **values,
    )  # fmt: skip


@functools.cache
def _open_environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read_asset),
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.finalize = lambda value: escape_unprintable(value) if type(value) is str else value  # markup is kept
    return environment


@functools.cache
def _read_asset(name: str) -> str:
    return (importlib.resources.files("dancebench.leaderboards.site") / "assets" / name).read_text("utf-8")
