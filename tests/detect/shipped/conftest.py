"""Material of the shipped detector: a folder of tiny videos of three sources, and their list."""

import csv
from pathlib import Path

import pytest
from outside_files import moving, write_video

SOURCES = {"laboratory": ("ada", "bob"), "garden": ("cy", "dee"), "street": ("eve", "fay")}
FIELDS = ("path", "label", "people", "method", "real_of", "licence", "source", "author")


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`videos/` and `list.csv`: of each person a real and fakes of two methods, which are grainier."""
    root = tmp_path_factory.mktemp("material")
    rows = []
    for number, (person, source) in enumerate((person, name) for name, people in SOURCES.items() for person in people):
        terms = {"licence": "CC-BY-4.0", "source": source, "author": f"people of the {source}"}
        for method, rate in (("", 15), ("flat", 15), ("grain", 15)):
            frames = moving(20, (64, 64), seed=number)
            if method == "flat":
                frames = [frame // 32 * 32 for frame in frames]
            if method == "grain":
                frames = [frame ^ (16 * (index % 2)) for index, frame in enumerate(frames)]
            path = root / "videos" / f"{person}-{method or 'real'}.mp4"
            path.parent.mkdir(exist_ok=True)
            write_video(path, frames, rate)
            rows.append(
                {"path": path.name, "label": "fake" if method else "real", "people": person, "method": method,
                 "real_of": f"{person}-real.mp4" if method else "", **terms}
            )  # fmt: skip
    write_list(root / "list.csv", rows)
    return root


def write_list(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path
