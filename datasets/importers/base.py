"""The importer interface and registry: another project's folder in, validated footage of one person out.

A new layout is one new module in `datasets/importers/` with a function under a decorator:

    @IMPORTERS.register("edn")
    def import_edn(request: ImportRequest) -> Imported: ...
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dancebench.core.registry import Registry
from dancebench.datasets.subjects.footage import Imported

DEFAULT_FPS: Final = 30.0
"""Frame rate of numbered frames unless stated: that of the Everybody-Dance-Now release."""


@dataclass(frozen=True)
class ImportRequest:
    """The options of an import; an importer refuses those that it does not use.

    Attributes:
        folder: A folder in the importer's layout.
        frames: The frames themselves, where the layout does not hold them: a video or a folder of images.
        fps: Rate at which numbered frames were taken; None: `DEFAULT_FPS`.
    """

    folder: Path
    frames: Path | None = None
    fps: float | None = None


Importer = Callable[[ImportRequest], Imported]
"""Reads and validates a whole folder; raises BenchError where it is not in the layout."""

IMPORTERS: Registry[Importer] = Registry(
    "layout",
    package="dancebench.datasets.importers",
    group="dancebench.importers",
    list_missing=lambda entry: [] if callable(entry) else ["a function of an ImportRequest"],
)
