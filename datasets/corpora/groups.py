"""Groups of videos that no split may part: connected components over people, files and the reals of fakes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dancebench.datasets.corpora.manifest import VideoRow


def group_rows(rows: Sequence[VideoRow]) -> list[VideoRow]:
    """Give each row the name of its group: the first of the people in it by name, else of its clips.

    Two videos are in one group if a person has a part in both, in whatever role, if one was made from the other or
    both from one real, if they are parts of one file, or if they were given one group before.
    """
    nodes: dict[str, int] = {}
    edges: list[tuple[int, int]] = []
    for index, row in enumerate(rows):
        edges += [(index, len(rows) + nodes.setdefault(key, len(nodes))) for key in _list_keys(row)]
    ends = np.array(edges, dtype=np.int64).reshape(-1, 2)
    size = len(rows) + len(nodes)
    graph = coo_array((np.ones(len(ends), dtype=np.int8), (ends[:, 0], ends[:, 1])), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    names: dict[int, str] = {}
    for index, row in enumerate(rows):
        number = int(component[index])
        name = min((person.id for person in row.people), default=f"~{row.video_id}")  # ~: people come first
        names[number] = min(name, names.get(number, name))
    return [
        row.model_copy(update={"group": names[int(component[index])].removeprefix("~")})
        for index, row in enumerate(rows)
    ]


def _list_keys(row: VideoRow) -> list[str]:
    """What a video shares with others of its group."""
    people = [f"person {person.id}" for person in row.people]
    given = [] if row.group is None else [f"group {row.group}"]
    return [*people, *given, f"video {row.real_of or row.video_id}", f"file {row.path}"]
