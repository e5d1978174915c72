"""Search for videos: names of a command line in; the files to look at, and what is passed over, out.

A file that is named, or that a pattern matches, is scored whatever it is called. A folder is searched with all folders
in it, linked ones too, each once however many links lead to it. Every regular file in it is looked at: whether it is a
video is found by opening it (`explain_passing_over`), which a worker process does, since a file may hang or crash
its reader. Nothing is left out in silence.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dancebench.core.errors import BenchError
from dancebench.core.files import is_temporary
from dancebench.datasets.video.containers import NotAVideoError, open_video
from dancebench.datasets.video.frames import is_frame, is_single_picture
from dancebench.detect.casework.file_names import PassedOver, make_passed_over, restore_path

VIDEO_SUFFIXES: Final = frozenset({
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif", ".mpg", ".mpeg", ".m2v", ".ts", ".mts", ".m2ts", ".3gp",
    ".3g2", ".wmv", ".asf", ".flv", ".f4v", ".vob", ".ogv", ".mxf", ".dv", ".mjpeg", ".mjpg", ".ivf", ".h264", ".264",
    ".h265", ".265", ".hevc", ".obu", ".apng",
})  # fmt: skip
"""A file of such a name that cannot be opened is a damaged video: a row with its reason, not passed over."""
_SINGLE_PICTURE: Final = "a single picture"


@dataclass
class Search:
    """What the names of a command line lead to."""

    paths: dict[Path, bool] = field(default_factory=dict)
    """Files, and folders of images, in order, each once; whether it was found in a folder, not named by itself."""
    passed_over: list[PassedOver] = field(default_factory=list)
    """What is known to be no video before it is opened."""

    @property
    def searched(self) -> frozenset[Path]:
        """Those of the paths that were found in a folder."""
        return frozenset(path for path, found in self.paths.items() if found)


def find_files(names: Sequence[str], *, image_folders: bool = False) -> Search:
    """List the files that `names` lead to, each once, in order; a name without a match is kept as a path.

    Args:
        names: Files, folders (searched with all that is in them) and patterns, as supplied on a command line.
        image_folders: Take each folder that holds two or more images for one clip.
    """
    search = Search()
    for name in names:
        if os.path.isdir(name):
            _search_folder(Path(name), search, image_folders)
        elif os.path.lexists(name):
            search.paths.setdefault(Path(name), False)
        elif "**" in Path(name).parts:
            _match_at_any_depth(Path(name), search, image_folders)
        else:
            for match in sorted(map(Path, glob.glob(name))) or [Path(name)]:
                if os.path.isdir(match):  # false where Path.is_dir raises: a name that is too long
                    _search_folder(match, search, image_folders)
                else:
                    search.paths.setdefault(match, False)
    return search


def explain_passing_over(path: Path) -> str | None:
    """Why a file that was found in a folder is not scored; None for a video, or for what seems a damaged one."""
    try:
        if is_single_picture(path):
            return _SINGLE_PICTURE
        if path.suffix.lower() in VIDEO_SUFFIXES or path.is_dir():
            return None
        with open_video(path):
            return None
    except NotAVideoError as error:
        return error.what
    except BenchError:
        return None  # a video that cannot be decoded: its row says why
    except OSError as error:
        return f"it cannot be read: {error.strerror}"


def summarise_passed_over(passed_over: Sequence[PassedOver], shown: int = 5) -> list[str]:
    """One line for each reason: how many were passed over for it, and the first of them by name."""
    by_reason: dict[str, list[str]] = {}
    for each in passed_over:
        by_reason.setdefault(each.reason, []).append(each.path)
    lines = []
    for reason, paths in by_reason.items():
        more = f" and {len(paths) - shown} more" if len(paths) > shown else ""
        lines.append(f"passed over ({reason}): {len(paths)}: {', '.join(paths[:shown])}{more}")
    if len(by_reason.get(_SINGLE_PICTURE, ())) > 1:
        lines.append("Folders of images are scored as clips with --frames-per-second.")
    return lines


# ---------------------------------------------------------------- folders


def _search_folder(top: Path, search: Search, image_folders: bool) -> None:
    files: list[Path] = []
    for folder, inside in _walk(top, search.passed_over):
        images = list(filter(is_frame, inside))
        if image_folders and len(images) > 1:
            files.append(folder)
            inside = [path for path in inside if path not in set(images)]
        files += inside
    if not files:
        search.passed_over.append(make_passed_over(top, "a folder without files"))
    for path in sorted(files):
        search.paths.setdefault(path, True)


def _walk(top: Path, passed_over: list[PassedOver]) -> Iterator[tuple[Path, list[Path]]]:
    """Each folder under `top` with the regular files in it; a folder is reached by its own path before any link."""
    folders, links = [top], list[Path]()
    seen = set[tuple[int, int]]()
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        try:
            state = os.stat(folder)
            entries = sorted(os.listdir(folder))
        except OSError as error:
            passed_over.append(make_passed_over(folder, f"a folder that cannot be read: {error.strerror}"))
            continue
        if (state.st_dev, state.st_ino) in seen:
            passed_over.append(make_passed_over(folder, "a link to a folder that is searched already"))
            continue
        seen.add((state.st_dev, state.st_ino))
        files = []
        for path in (folder / name for name in entries):
            mode, reason = _look_at(path)
            if reason is not None:
                passed_over.append(make_passed_over(path, reason))
            elif stat.S_ISDIR(mode):
                (links if path.is_symlink() else folders).append(path)
            else:
                files.append(path)
        yield folder, files


def _look_at(path: Path) -> tuple[int, str | None]:
    """The mode of what lies there, and why it is passed over, if it is neither a folder nor a regular file."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        kind = "a link that leads nowhere" if path.is_symlink() else "it cannot be read"
        return 0, f"{kind}: {error.strerror}"
    if is_temporary(path):
        return mode, "an unfinished write of another command"
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        return mode, "neither a file nor a folder"
    return mode, None


# ---------------------------------------------------------------- patterns


def _match_at_any_depth(pattern: Path, search: Search, image_folders: bool) -> None:
    """Find what a pattern with `**` matches; glob would go through looped links again and again."""
    first = pattern.parts.index("**")
    rest = list(pattern.parts[first:])
    folders_alone = rest[-1] == "**"  # what is in the folders that the rest of the pattern matches
    while rest and rest[-1] == "**":
        rest.pop()
    tops = sorted(glob.glob(str(Path(*pattern.parts[:first])))) if first else ["."]
    matched = False
    for top in map(Path, filter(os.path.isdir, tops)):
        for path in _list_matches(top, rest, search) if rest else [top]:
            if path.is_dir():
                _search_folder(path, search, image_folders)
            elif not folders_alone:
                search.paths.setdefault(path, True)
            matched = matched or path.is_dir() or not folders_alone
    if not matched:
        search.paths.setdefault(pattern, False)


def _list_matches(top: Path, pattern: Sequence[str], search: Search) -> list[Path]:
    """Files and folders under `top` whose path matches; a folder that cannot be searched is passed over."""
    passed_over: list[PassedOver] = []
    found = [path for folder, files in _walk(top, passed_over) for path in (folder, *files)]
    search.passed_over += [each for each in passed_over if os.path.isdir(restore_path(each.path, each.path_bytes))]
    return sorted(path for path in found if _matches(path.relative_to(top).parts, pattern))


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path matches, part by part, as with glob: names that begin with a dot only where it is written."""
    if not pattern:
        return not parts
    if parts and parts[0].startswith(".") and not pattern[0].startswith("."):
        return pattern[0] == "**" and _matches(parts, pattern[1:])
    if pattern[0] == "**":
        return _matches(parts, pattern[1:]) or (bool(parts) and _matches(parts[1:], pattern))
    return bool(parts) and fnmatch.fnmatch(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])
