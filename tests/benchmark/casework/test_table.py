"""The table of scores: columns that fit are shown, and only a path is broken over lines."""

import pytest
from outside_files import make_detector, moving, write_video
from rich.console import Console

from dancebench.benchmark.casework.table import make_score_table
from dancebench.detect.casework.score import VideoScore, score_video
from dancebench.detect.protocol.card import load_detector


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> list[VideoScore]:
    """One video that was scored, with a 95% confidence interval, and one that failed."""
    root = tmp_path_factory.mktemp("table")
    loaded = load_detector(make_detector(root / "detector"))
    path = write_video(root / "a.mp4", moving(60))
    scored = [score_video(video, loaded).record for video in (path, root / "missing.mp4")]
    names = ("evidence/2026-11/person-of-interest_front-camera.mp4", "missing.mp4")
    return [score.model_copy(update={"path": name}) for score, name in zip(scored, names, strict=True)]


@pytest.mark.parametrize(("width", "shown"), [(120, 6), (80, 6), (64, 4), (44, 3)])
def test_columns_that_fit_are_whole(scores: list[VideoScore], width: int, shown: int) -> None:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(make_score_table(scores, width=width))
    lines = [line.rstrip() for line in capture.get().splitlines()]
    assert max(map(len, lines)) <= width
    titles = ("video", "status", "log10 LR", "distance", "threshold", "pairs")
    assert [title in capture.get() for title in titles] == [True] * shown + [False] * (len(titles) - shown)
    assert scores[0].llr_interval is not None
    for whole in ("abstained" if scores[0].status == "abstained" else "ok", "failed", "]"):
        assert whole in capture.get()
    (rule,) = (number for number, line in enumerate(lines) if "─" in line)
    room = lines[rule - 1].index("status")
    path = "".join(line[:room].strip() for line in lines[rule + 1 :])
    assert path == "evidence/2026-11/person-of-interest_front-camera.mp4missing.mp4"


def test_a_path_breaks_after_slashes_and_words(scores: list[VideoScore]) -> None:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(make_score_table(scores))
    firsts = [line.split()[0] for line in capture.get().splitlines()[4:] if line.strip()]
    assert firsts[:3] == ["evidence/2026-11/", "person-of-interest_", "front-camera.mp4"]
