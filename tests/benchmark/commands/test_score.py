"""`bench score` and the workers behind it."""

import csv
import io
import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from outside_files import make_detector, moving, write_video
from typer.testing import CliRunner

from dancebench.benchmark.casework import scoring
from dancebench.benchmark.casework.scoring import ScoringSetup, score_files
from dancebench.benchmark.casework.table import CSV_COLUMNS, make_csv_row
from dancebench.benchmark.cli import app
from dancebench.benchmark.console import out
from dancebench.core.errors import BenchError
from dancebench.detect.casework.score import ScoredVideo, ScoreReport, ScoreSettings, make_failed_score
from dancebench.detect.protocol.card import CARD, DetectorCard


def bench(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refusal(result: Result) -> str:
    assert result.exit_code == 1, result.output
    assert "hint:" in result.output
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with one detector, and two videos and a letter beside it."""
    root = tmp_path_factory.mktemp("root")
    make_detector(root / "workspace/detectors/pair-patch/detection-1")
    (root / "videos").mkdir()
    write_video(root / "videos/a.mp4", moving(60))
    write_video(root / "videos/[bold]b.mp4", moving(40, (128, 64), 3))
    (root / "videos/letter.mp4").write_text("Dear reader, this is a letter.\n" * 50)
    return root


def score(root: Path, *arguments: object) -> Result:
    return bench("score", *arguments, "--workspace", root / "workspace", "--device", "cpu")


# --- output


def test_report_is_reproduced_until_a_file_changes(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "videos", tmp_path / "videos")
    result = score(root, tmp_path / "videos", "--format", "json", "--jobs", "2", "--pairs", "all")
    assert result.exit_code == 0, result.output
    (tmp_path / "report.json").write_text(result.stdout)
    report = ScoreReport.load(tmp_path / "report.json")
    assert [Path(each.path).name for each in report.videos] == ["[bold]b.mp4", "a.mp4", "letter.mp4"]
    assert [each.status == "failed" for each in report.videos] == [False, False, True]
    assert [each.n_pairs for each in report.videos] == [39, 59, 0]
    assert (report.settings.pairs, report.settings.person_crop, report.device) == ("all", False, "cpu")
    assert {"av", "torch", "libavcodec"} <= report.versions.keys()

    same = score(root, "--verify", tmp_path / "report.json", "--jobs", "1")
    assert same.exit_code == 0, same.output
    assert "a.mp4: the same" in same.output
    write_video(tmp_path / "videos/a.mp4", moving(60, seed=5))
    (tmp_path / "videos/[bold]b.mp4").unlink()
    words = refusal(score(root, "--verify", tmp_path / "report.json", "--jobs", "1"))
    assert "2 of its 3 videos came out differently" in words
    assert "[bold]b.mp4: the file is missing" in words
    assert "a.mp4: the file was changed" in words


def test_table_gives_likelihood_ratios_and_no_verdict(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(out, "width", 400)
    result = score(root, root / "videos", "--jobs", "1")
    assert result.exit_code == 0, result.output
    words = " ".join(result.output.split())
    for expected in (
        "log10 LR", "not a verdict", "8 validation people", "[bold]b.mp4", "is not a video that can be read",
        "1 of 10 real clips for synthesized and 2 of 10 synthesized ones for real",
    ):  # fmt: skip
        assert expected in words


def test_csv_is_flat(root: Path) -> None:
    result = score(root, root / "videos", "--format", "csv", "--jobs", "1")
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert len(rows) == 3
    assert tuple(rows[0]) == CSV_COLUMNS
    assert float(rows[1]["llr_low"]) < float(rows[1]["llr"]) < float(rows[1]["llr_high"])
    assert rows[2]["status"] == "failed"
    assert rows[2]["score"] == ""


def test_each_video_gets_a_page(root: Path, tmp_path: Path) -> None:
    result = score(root, root / "videos", "--format", "html", "--out", tmp_path / "cases", "--jobs", "1")
    assert result.exit_code == 0, result.output
    pages = sorted(page.name for page in (tmp_path / "cases").iterdir())
    assert pages == ["0001-_bold_b.html", "0002-a.html", "0003-letter.html", "report.json"]
    assert len(ScoreReport.load(tmp_path / "cases/report.json").videos) == 3


# --- usage


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("a.mp4", "--format", "xml"), "Unknown format 'xml'"),
        (("a.mp4", "--format", "html"), "go together"),
        (("a.mp4", "--out", "x"), "go together"),
        (("--verify", "r.json", "--person-crop"), "takes its settings from the report"),
        (("--verify", "none.json"), "none.json does not exist"),
    ],
)
def test_refusals(root: Path, arguments: tuple[str, ...], words: str) -> None:
    assert words in refusal(score(root, *arguments))


@pytest.mark.parametrize(
    "arguments", [(), ("a.mp4", "--verify", "r.json"), ("a.mp4", "--pairs", "0"), ("a.mp4", "--pairs", "x")]
)
def test_usage_errors(root: Path, arguments: tuple[str, ...]) -> None:
    assert score(root, *arguments).exit_code == 2


def test_detector_of_a_report_must_be_found(root: Path, tmp_path: Path) -> None:
    card = DetectorCard.load(root / "workspace/detectors/pair-patch/detection-1" / CARD)
    how = ScoringSetup(root / "workspace/detectors/pair-patch/detection-1", ScoreSettings())
    report = scoring.make_report([make_failed_score(Path("a.mp4"), card, "none")], card, how)
    report.model_copy(update={"weights_sha256": "f" * 64}).save(tmp_path / "r.json")
    assert "(weights ffffffffffff…) was not found" in refusal(score(root, "--verify", tmp_path / "r.json"))


# --- workers


def hang_or_die(path: Path, loaded: Any, *_: object, **__: object) -> ScoredVideo:
    """Replaces scoring: behaves as the name of the file says."""
    if path.name == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
    if path.name == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if path.name == "trip":
        raise ZeroDivisionError("one by zero")
    return ScoredVideo(make_failed_score(path, loaded.card, f"done by {os.getpid()}"))


def troubled_work(*arguments: Any) -> None:
    scoring.score_video = hang_or_die  # type: ignore[assignment]
    _WORK(*arguments)


_WORK = scoring._run_worker


def test_each_failure_is_one_row_and_the_order_is_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file hangs, one kills its process and one raises, among others: 2 workers, 8 files."""
    monkeypatch.setattr(scoring, "_run_worker", troubled_work)
    names = ["a", "hang", "b", "die", "c", "trip", "d", "e"]
    how = ScoringSetup(root / "workspace/detectors/pair-patch/detection-1", ScoreSettings(), timeout=1)
    done: list[tuple[int, int]] = []
    start = time.monotonic()
    found = dict(
        score_files([Path(name) for name in names], how, workers=2, report=lambda _, n, total: done.append((n, total)))
    )
    assert time.monotonic() - start < 120
    rows = [found[index].record for index in range(8)]
    assert [row.path for row in rows] == names
    reasons = {row.path: str(row.reason) for row in rows}
    assert "not scored within 1 s" in reasons["hang"]
    assert "died (exit status -9)" in reasons["die"]
    assert "ZeroDivisionError: one by zero" in reasons["trip"]
    assert all(reasons[name].startswith("done by") for name in "abcde")
    assert done == [(n, 8) for n in range(1, 9)]


def test_damaged_detector_stops_the_call(root: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(root / "workspace/detectors/pair-patch/detection-1", tmp_path / "damaged"))
    (folder / "weights.safetensors").write_bytes(b"x")
    with pytest.raises(BenchError, match="changed or damaged"):
        list(score_files([Path("a.mp4")], ScoringSetup(folder, ScoreSettings())))


def test_a_thousand_bad_files_are_a_thousand_rows(root: Path, tmp_path: Path) -> None:
    paths = [tmp_path / f"{index}.mp4" for index in range(1000)]
    how = ScoringSetup(root / "workspace/detectors/pair-patch/detection-1", ScoreSettings())
    found = dict(score_files(paths, how, workers=2))
    assert [found[index].record.path for index in range(1000)] == list(map(str, paths))


def test_rows_of_failures_are_flat_too(root: Path) -> None:
    card = DetectorCard.load(root / "workspace/detectors/pair-patch/detection-1" / CARD)
    row = make_csv_row(make_failed_score(Path("a.mp4"), card, "none"))
    assert set(row) == set(CSV_COLUMNS)
    json.dumps(row)
