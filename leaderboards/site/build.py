"""The site on disk: records with what lies beside them in, pages with their strips and videos out.

The same records, rows and fakes give the same bytes. What is costly is kept: the curves of a run by the hashes of its
record and rows, a strip and its video by those of the clips in it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from dancebench.core.files import is_temporary, write_text
from dancebench.leaderboards.matrix import group_matrices
from dancebench.leaderboards.records import RunKind, RunRecord
from dancebench.leaderboards.reference import load_reference
from dancebench.leaderboards.significance.differences import Runs
from dancebench.leaderboards.site.material import Material
from dancebench.leaderboards.site.pages import KINDS, Contents, SectionView, render_pages, view_section
from dancebench.leaderboards.site.parts import load_part
from dancebench.leaderboards.tables import COLUMNS, group_sections

MEDIA: Final = "media"
"""Folder of strips and videos, beside the pages."""
MAX_BYTES: Final = 30_000_000
"""Of the whole site."""


def write_site(results_dir: Path, runs: Runs, site_dir: Path, *, parts_dir: Path, material: Material) -> list[Path]:
    """Write every page; returns them, the first one first.

    Args:
        results_dir: Folder of the records, with their rows.
        runs: What `read_runs` gives for it.
        site_dir: Folder of the pages; strips and videos that no page shows any more are removed from it.
        parts_dir: Where what was drawn of single runs is kept.
        material: What the workspace holds beside the records.

    Raises:
        BenchError: The folder cannot be written.
    """
    contents = _collect(results_dir, runs, parts_dir, material)
    pages = render_pages(contents)
    for name, text in pages.items():
        write_text(site_dir / name, text)
    _remove_unused(site_dir / MEDIA, contents)
    _remove_unused_parts(parts_dir, runs.records)
    return [site_dir / name for name in pages]


def check_site(results_dir: Path, runs: Runs, site_dir: Path, material: Material) -> list[str]:
    """Names of the site's pages that are missing or differ from what `write_site` would write; nothing is written."""
    pages = render_pages(_collect(results_dir, runs, None, material))
    return [
        name
        for name, text in pages.items()
        if not (site_dir / name).is_file() or (site_dir / name).read_bytes() != text.encode()
    ]


def _collect(results_dir: Path, runs: Runs, parts_dir: Path | None, material: Material) -> Contents:
    records, skipped, differences = runs
    parts = {record.run.id: load_part(record, results_dir, parts_dir, material) for record in records}
    sections: dict[RunKind, list[SectionView]] = {}
    for kind in KINDS:
        found = group_sections(records, kind) if kind in COLUMNS else []
        sections[kind] = [
            view_section(
                section, number, parts, differences, material.find_exhibits(section) if kind == "synthesis" else None
            )
            for number, section in enumerate(found, start=1)
        ]
    return Contents(sections, group_matrices(records), skipped, len(records), load_reference())


def _remove_unused(folder: Path, contents: Contents) -> None:
    used = {
        path.name
        for views in contents.sections.values()
        for view in views
        if view.exhibits is not None
        for exhibit in view.exhibits.shown
        for path in (exhibit.image, exhibit.video)
    }
    for path in folder.glob("*"):
        if path.name not in used and not is_temporary(path):
            path.unlink()


def _remove_unused_parts(folder: Path, records: list[RunRecord]) -> None:
    known = {record.run.id for record in records}
    for path in folder.glob("*.json"):
        if path.stem not in known and not is_temporary(path):
            path.unlink()
