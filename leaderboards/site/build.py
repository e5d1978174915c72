"""The site on disk: records with what lies beside them in, pages with their strips and videos out.

The same records, rows and fakes give the same bytes. What is costly is kept: the curves of a run by the hashes of its
record and rows, a strip and its video by those of the clips in it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from dancebench.core.files import remove_others, write_text
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.leaderboards.columns import COLUMNS
from dancebench.leaderboards.matrix import group_matrices
from dancebench.leaderboards.records import RunKind
from dancebench.leaderboards.reference import load_reference
from dancebench.leaderboards.significance.differences import Runs
from dancebench.leaderboards.site.material import Material
from dancebench.leaderboards.site.pages import KINDS, Contents, SectionView, render_pages, view_section
from dancebench.leaderboards.site.parts import load_part
from dancebench.leaderboards.tables import Section, group_sections

MEDIA: Final = "media"
"""Folder of strips and videos, beside the pages."""
MAX_SECTION_ROWS: Final = 100
"""Rows of a section that a page shows: the best."""
MAX_ROWS: Final = 300
"""Rows of a page; the sections beyond it are named alone. The tables have all."""


def write_site(
    results_dir: Path,
    runs: Runs,
    site_dir: Path,
    *,
    parts_dir: Path,
    material: Material,
    report: ReportProgress = ignore_progress,
) -> list[Path]:
    """Write every page; returns them, the first one first.

    Args:
        results_dir: Folder of the records, with their rows.
        runs: What `read_runs` gives for it.
        site_dir: Folder of the pages; strips and videos that no page shows any more are removed from it.
        parts_dir: Where what was drawn of single runs is kept.
        material: What the workspace holds beside the records.
        report: Progress.

    Raises:
        BenchError: The folder cannot be written.
    """
    contents = _collect(results_dir, runs, parts_dir, material, report)
    pages = render_pages(contents)
    for name, text in pages.items():
        write_text(site_dir / name, text)
    _remove_unused(site_dir / MEDIA, contents)
    remove_others(parts_dir, "*.json", {f"{record.run.id}.json" for record in runs.records})
    return [site_dir / name for name in pages]


def check_site(results_dir: Path, runs: Runs, site_dir: Path, material: Material) -> list[str]:
    """Names of the site's pages that are missing or differ from what `write_site` would write; nothing is written."""
    pages = render_pages(_collect(results_dir, runs, None, material, ignore_progress))
    return [
        name
        for name, text in pages.items()
        if not (site_dir / name).is_file() or (site_dir / name).read_bytes() != text.encode()
    ]


def _collect(
    results_dir: Path, runs: Runs, parts_dir: Path | None, material: Material, report: ReportProgress
) -> Contents:
    records, skipped, differences = runs
    views: dict[RunKind, list[SectionView]] = {}
    others: dict[RunKind, list[Section]] = {}
    for kind in KINDS:
        found = group_sections(records, kind) if kind in COLUMNS else []
        shown = _choose_shown(found)
        others[kind] = found[len(shown) :]
        views[kind] = []
        for number, (section, whole) in enumerate(zip(shown, found, strict=False), start=1):
            report(f"drawing {kind}", number - 1, len(shown))
            own = [row.record for row in section.rows]
            parts = {record.run.id: load_part(record, results_dir, parts_dir, material) for record in own}
            exhibits = material.find_exhibits(section) if kind == "synthesis" else None
            hidden = len(whole.rows) - len(section.rows)
            report(f"drawing {kind}", number, len(shown))
            views[kind].append(view_section(section, number, parts, differences.find(whole), exhibits, hidden))
    return Contents(views, others, group_matrices(records), skipped, len(records), load_reference())


def _choose_shown(sections: list[Section]) -> list[Section]:
    """The sections that a page has room for, in their order, with their best rows."""
    shown, room = [], MAX_ROWS
    for section in sections:
        if room <= 0:
            break
        rows = section.rows[: min(room, MAX_SECTION_ROWS)]
        shown.append(section if len(rows) == len(section.rows) else replace(section, rows=rows))
        room -= len(rows)
    return shown


def _remove_unused(folder: Path, contents: Contents) -> None:
    used = {
        path.name
        for views in contents.sections.values()
        for view in views
        if view.exhibits is not None
        for exhibit in view.exhibits.shown
        for path in (exhibit.image, exhibit.video)
    }
    remove_others(folder, "*", used)
