"""Whether a manifest can be trusted: its rows in, nothing or the offending pairs out.

People do not leak: whoever is seen or drives in one split is in no other, and no file stands in two. All
clips have one size, since every clip that a detector sees is written from frames of one size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dancebench.core.errors import BenchError
from dancebench.datasets.manifest import VideoRow

_SHOWN = 3


def audit_leaks(rows: Sequence[VideoRow]) -> None:
    """Refuse a manifest in which the test is known from the training.

    Raises:
        BenchError: A person (as subject or as source of the motion) or a file stands in two splits; the
            message names the pairs of videos.
    """
    people = ((person, row) for row in rows for person in (row.subject_id, row.source_id))
    _refuse_shared("The person '{}'", people, "Give each person one split.")
    files = ((row.sha256, row) for row in rows)
    _refuse_shared("The file with sha256 {:.12}…", files, "Give each video one split.")


def clip_size(rows: Sequence[VideoRow]) -> tuple[int, int]:
    """The (height, width) of all clips.

    Raises:
        BenchError: There are none, or they have several sizes.
    """
    sizes = sorted({(row.height, row.width) for row in rows})
    if len(sizes) != 1:
        found = ", ".join(f"{height}x{width}" for height, width in sizes) or "none"
        raise BenchError(
            f"The clips of a manifest have one size; here: {found} (height x width).",
            hint="Prepare all recordings to the same size.",
        )
    return sizes[0]


def _refuse_shared(what: str, entries: Iterable[tuple[str, VideoRow]], hint: str) -> None:
    """Raise where one key occurs in two splits."""
    first: dict[str, VideoRow] = {}
    leaks = []
    for key, row in entries:
        seen = first.setdefault(key, row)
        if seen.split != row.split:
            pair = f"{seen.video_id} ({seen.split}) and {row.video_id} ({row.split})"
            leaks.append(f"{what.format(key)} is in {pair}")
    if leaks:
        more = f" and {len(leaks) - _SHOWN} more" if len(leaks) > _SHOWN else ""
        raise BenchError(f"Leak between splits: {'; '.join(leaks[:_SHOWN])}{more}.", hint=hint)
