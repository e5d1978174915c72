"""The leaderboards with the site: a workspace in; tables, pages and pictures out, or what of them is out of date."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dancebench.benchmark.report.exhibits import ExhibitMaker
from dancebench.benchmark.report.novelty import NoveltyMeasure
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.core.workspace import Workspace
from dancebench.leaderboards import board
from dancebench.leaderboards.cards.detector import render_detector_cards, write_detector_cards
from dancebench.leaderboards.records import RunRecord, Skipped
from dancebench.leaderboards.significance.differences import read_runs
from dancebench.leaderboards.site.build import MEDIA, check_site, write_site
from dancebench.leaderboards.site.material import Exhibits
from dancebench.leaderboards.tables import Section


@dataclass(frozen=True)
class Written:
    """What was written, and what it was made from."""

    records: list[RunRecord]
    skipped: list[Skipped]
    tables: list[Path]
    site: list[Path]
    """The pages, the first one first."""
    cards: list[Path]
    """Of the detectors."""


class WorkspaceMaterial:
    """What a workspace shows of its runs, as `leaderboards.site.material.Material`."""

    def __init__(self, workspace: Workspace, *, makes: bool) -> None:
        self._exhibits = ExhibitMaker(workspace, workspace.site / MEDIA, makes=makes)
        self._novelty = NoveltyMeasure(workspace)

    def find_exhibits(self, section: Section) -> Exhibits:
        """See `ExhibitMaker.find`."""
        return self._exhibits.find(section)

    def name_poses(self, record: RunRecord) -> str:
        """See `NoveltyMeasure.name_poses`."""
        return self._novelty.name_poses(record)

    def measure_novelty(self, record: RunRecord, subject: str) -> npt.NDArray[np.float64] | str:
        """See `NoveltyMeasure.measure`."""
        return self._novelty.measure(record, subject)


def write_leaderboards(workspace: Workspace, report: ReportProgress = ignore_progress) -> Written:
    """Rebuild tables, site and model cards from the run records.

    Raises:
        BenchError: The workspace cannot be written.
    """
    runs = read_runs(workspace.results)
    tables = board.rebuild(workspace.results, workspace.leaderboards, runs)
    site = write_site(
        workspace.results, runs, workspace.site,
        parts_dir=workspace.site_parts, material=WorkspaceMaterial(workspace, makes=True), report=report,
    )  # fmt: skip
    cards = write_detector_cards(runs.records, workspace.detector_cards)
    return Written(runs.records, runs.skipped, tables, site, cards)


def check_leaderboards(workspace: Workspace) -> list[str]:
    """Names of the tables, and of the site's pages and the model cards where there are any, that differ from a rebuild.

    Nothing is written. A page names its strips and videos by the hashes of the clips in them, so a missing one differs.
    """
    runs = read_runs(workspace.results)
    differing = board.check(workspace.results, workspace.leaderboards, runs)
    if workspace.site.is_dir():
        pages = check_site(workspace.results, runs, workspace.site, WorkspaceMaterial(workspace, makes=False))
        differing += [f"{workspace.site.name}/{page}" for page in pages]
    if workspace.detector_cards.is_dir():
        cards = workspace.detector_cards
        texts = render_detector_cards(runs.records)
        known = {path.name: path.read_bytes() for path in sorted(cards.glob("*.md"))}
        changed = [name for name in sorted(known.keys() | texts) if known.get(name) != texts.get(name, "").encode()]
        differing += [f"{cards.name}/{name}" for name in changed]
    return differing
