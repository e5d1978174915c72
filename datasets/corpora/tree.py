"""The files of a corpus: a root goes in, what lies under it comes out, listed once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final

from dancebench.core.errors import BenchError, replace_undecodable
from dancebench.datasets.video.frames import IMAGE_SUFFIXES

VIDEO_SUFFIXES: Final = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".gif", ".m4v", ".mpg", ".ts"})


@dataclass(frozen=True)
class Tree:
    """Files under a root.

    Attributes:
        root: The folder.
        files: Paths relative to it, with `/`, sorted; hidden ones are left out.
        prefix: What leads from the root of the corpus to this one: empty, or ends with `/`.
        undecodable: Paths that are not UTF-8, which no manifest can hold; what cannot be shown of them is replaced.
    """

    root: Path
    files: tuple[str, ...]
    prefix: str = ""
    undecodable: tuple[str, ...] = ()

    @classmethod
    def scan(cls, root: Path) -> Tree:
        """List a folder.

        Raises:
            BenchError: It is no folder, or it cannot be listed.
        """
        if not root.is_dir():
            raise BenchError(f"{root} is not a folder.", hint="Name the folder that holds the corpus.")
        found: list[str] = []
        seen: set[tuple[int, int]] = set()  # a link may lead back up
        for folder, names, files in os.walk(root, onerror=_refuse, followlinks=True):
            stat = os.stat(folder)
            if (stat.st_dev, stat.st_ino) in seen:
                names.clear()
                continue
            seen.add((stat.st_dev, stat.st_ino))
            names[:] = sorted(name for name in names if not name.startswith("."))
            relative = PurePosixPath(Path(folder).relative_to(root).as_posix())
            found += [(relative / name).as_posix() for name in files if not name.startswith(".")]
        shown = {name: replace_undecodable(name) for name in found}
        files_of_text = sorted(name for name in found if shown[name] == name)
        return cls(root, tuple(files_of_text), undecodable=tuple(sorted(shown[n] for n in found if shown[n] != n)))

    @cached_property
    def names(self) -> frozenset[str]:
        """The files, for look-ups."""
        return frozenset(self.files)

    @cached_property
    def image_folders(self) -> dict[str, int]:
        """Folders that hold images -> how many."""
        counts: dict[str, int] = {}
        for name in self.files:
            path = PurePosixPath(name)
            if path.suffix.lower() in IMAGE_SUFFIXES:
                counts[path.parent.as_posix()] = counts.get(path.parent.as_posix(), 0) + 1
        return counts

    def find(self, name: str) -> Path | None:
        """The file of that name that lies least deep; None if there is none."""
        found = [path for path in self.files if path.rpartition("/")[2] == name]
        return self.root / min(found, key=lambda path: (path.count("/"), path)) if found else None


def _refuse(error: OSError) -> None:
    raise BenchError(
        f"{error.filename} cannot be listed: {error.strerror}.", hint="Check its permissions (chmod u+rx)."
    ) from error
