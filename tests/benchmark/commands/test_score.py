"""`bench score` and the workers behind it."""

import csv
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from outside_files import make_detector, moving, write_video
from typer.testing import CliRunner

from dancebench.benchmark.casework import scoring
from dancebench.benchmark.casework.scoring import ScoringSetup, find_recorded_file, score_files
from dancebench.benchmark.casework.table import CSV_COLUMNS, make_csv_row
from dancebench.benchmark.cli import app
from dancebench.benchmark.console import out
from dancebench.core.errors import BenchError
from dancebench.core.opencv import cv2
from dancebench.datasets.video.frames import open_source
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


def test_a_forged_report_is_told(root: Path, tmp_path: Path) -> None:
    result = score(root, root / "videos/a.mp4", "--format", "json", "--jobs", "1")
    genuine = json.loads(result.stdout)
    path = tmp_path / "report.json"

    def verify(forged: dict[str, Any]) -> str:
        path.write_text(json.dumps(forged))
        return refusal(score(root, "--verify", path, "--jobs", "1"))

    video = genuine["videos"][0]
    rates = video["error_rates"] | {"false_positive_rate": 0.0}
    for field, value, words in (
        ("error_rates", rates, "error_rates.false_positive_rate +0, now +0.1000"),
        ("decode_warnings", ["it was cut"], "decode_warnings of 1 entries, now of"),
    ):
        told = verify(genuine | {"videos": [video | {field: value}]})
        assert words in told
        assert "1 of its 1 videos came out differently" in told
    told = verify(genuine | {"detector": "another"})
    assert "detector: name another, now pair-patch" in told
    assert "0 of its 1 videos came out differently, and so did what it says of the detector" in told
    path.write_text(json.dumps(genuine | {"dataset": "theirs"}))
    unverified = score(root, "--verify", path, "--jobs", "1")
    assert unverified.exit_code == 0, unverified.output
    assert "not verified: dataset theirs" in " ".join(unverified.output.split())


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


# --- folders


def test_every_video_of_a_folder_is_a_row_and_the_rest_is_named(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "case"
    folder.mkdir()
    for plain, name in (("a.ts", "cam.MTS"), ("a.mp4", "carved"), ("a.avi", "b.dat")):
        write_video(tmp_path / plain, moving(12), codec="mpeg4").rename(folder / name)
    linked = tmp_path / "elsewhere"
    linked.mkdir()
    write_video(linked / "far.mp4", moving(12))
    (folder / "linked").symlink_to(linked)
    (linked / "back").symlink_to(folder)
    (folder / "letter.txt").write_text("Dear reader")
    (folder / "damaged.mp4").write_text("Dear reader")
    assert cv2.imwrite(str(folder / "poster.png"), moving(1)[0])
    result = score(root, folder, "--format", "json", "--jobs", "1")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    rows = {str(Path(row["path"]).relative_to(folder)): row["status"] == "failed" for row in report["videos"]}
    assert rows == {"b.dat": False, "cam.MTS": False, "carved": False, "damaged.mp4": True, "linked/far.mp4": False}
    passed = {str(Path(each["path"]).relative_to(folder)): each["reason"] for each in report["passed_over"]}
    assert passed == {
        "letter.txt": "no video", "poster.png": "a single picture",
        "linked/back": "a link to a folder that is searched already",
    }  # fmt: skip
    assert "passed over (no video): 1: " in result.stderr
    for name in passed:
        assert name in result.stderr


def test_a_folder_without_a_video_fails_with_what_was_passed_over(root: Path, tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("Dear reader")
    assert "No video was found; 1 files and folders were passed over" in refusal(score(root, tmp_path, "--jobs", "1"))


def test_a_folder_of_images_is_scored_as_the_same_frames_in_a_video(root: Path, tmp_path: Path) -> None:
    """Closed form: lossless frames at the same times give the same scores, whether images or a video."""
    frames = moving(30, (128, 64))
    (tmp_path / "f").mkdir()
    for number, frame in enumerate(frames, start=8):  # 8, 9, 10: by number, not by letter
        assert cv2.imwrite(str(tmp_path / f"f/{number}.png"), frame[..., ::-1])
    video = write_video(tmp_path / "v.mov", frames, rate=30, codec="png", pix_fmt="rgb24")
    (tmp_path / "f/letter.txt").write_text("Dear reader")
    arguments = (tmp_path / "f", video, "--frames-per-second", "30", "--jobs", "1", "--format")
    result = score(root, *arguments, "json")
    assert result.exit_code == 0, result.output
    (tmp_path / "report.json").write_text(result.stdout)
    images, same = ScoreReport.load(tmp_path / "report.json").videos
    assert (images.path, images.container, images.codec) == (str(tmp_path / "f"), "folder of images", "png")
    assert (images.fps, images.n_frames, images.duration_s) == (30, 30, 1)
    assert images.bytes == sum(path.stat().st_size for path in (tmp_path / "f").glob("*.png"))
    assert images.sha256 == open_source(tmp_path / "f").sha256
    assert (images.score, images.llr) == (same.score, same.llr)
    assert [pair.t for pair in images.pairs] == [pair.t for pair in same.pairs]
    assert {pair.pts for pair in images.pairs} == {None}
    assert score(root, "--verify", tmp_path / "report.json", "--jobs", "1").exit_code == 0
    pages = score(root, *arguments, "html", "--out", tmp_path / "cases")
    assert pages.exit_code == 0, pages.output
    page = (tmp_path / "cases/0001-f.html").read_text()
    assert "folder of images" in page
    assert "30 frames per second, as stated in the call" in page


def test_images_of_a_clip_that_do_not_belong_together_are_one_row(root: Path, tmp_path: Path) -> None:
    for name, size in (("1.png", (128, 64)), ("2.png", (64, 64))):
        assert cv2.imwrite(str(tmp_path / name), moving(1, size)[0])
    result = score(
        root, tmp_path, root / "videos/a.mp4", "--frames-per-second", "25", "--format", "json", "--jobs", "1"
    )
    first = json.loads(result.stdout)["videos"][0]
    assert (first["path"], first["status"]) == (str(tmp_path), "failed")
    assert "All images" not in first["reason"]
    assert "the images before are" in first["reason"]


def test_a_rate_without_images_is_refused(root: Path) -> None:
    words = refusal(score(root, root / "videos", "--frames-per-second", "25"))
    assert "--frames-per-second is for folders of images, and none was found" in words


# --- names, consoles and temporary folders


def run(root: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "dancebench.benchmark.cli", "score", *map(str, arguments)]
    command += ["--workspace", str(root / "workspace"), "--device", "cpu", "--jobs", "1"]
    return subprocess.run(command, capture_output=True, env=os.environ | environment, timeout=240)


@pytest.fixture
def case(root: Path, tmp_path: Path) -> Path:
    """A folder of two videos and a letter; the names of the first and the last are not UTF-8."""
    folder = tmp_path / "case"
    folder.mkdir()
    shutil.copy(root / "videos/a.mp4", name_odd_video(folder))
    shutil.copy(root / "videos/a.mp4", folder / "b.mp4")
    Path(os.fsdecode(os.fsencode(folder) + b"/note\xff")).write_text("Dear reader")
    return folder


def name_odd_video(folder: Path) -> Path:
    return Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.mp4"))


@pytest.mark.parametrize("encoding", [pytest.param("utf-8", marks=pytest.mark.long), "ascii:strict"])
def test_a_name_that_is_not_utf8_is_a_row_of_the_table(encoding: str, root: Path, case: Path) -> None:
    table = run(root, case, PYTHONIOENCODING=encoding, COLUMNS="300")
    assert (table.returncode, b"Traceback" in table.stderr) == (0, False)
    assert ("caf" + {"utf-8": "\N{REPLACEMENT CHARACTER}"}.get(encoding, "?") + ".mp4").encode() in table.stdout


def test_a_name_that_is_not_utf8_is_a_row_that_verifies(root: Path, case: Path, tmp_path: Path) -> None:
    odd, encoding = name_odd_video(case), "ascii:strict"  # of the terminal: the strictest
    result = run(root, case, "--format", "json", PYTHONIOENCODING=encoding)
    assert result.returncode == 0, result.stderr
    (tmp_path / "report.json").write_bytes(result.stdout)
    json.loads(result.stdout.decode())  # UTF-8
    report = ScoreReport.load(tmp_path / "report.json")
    assert [Path(each.path).name for each in report.videos] == ["b.mp4", "caf\N{REPLACEMENT CHARACTER}.mp4"]
    assert [each.path_bytes for each in report.videos] == [None, os.fsencode(odd).hex()]
    assert [each.status == "failed" for each in report.videos] == [False, False]
    assert [Path(each.path).name for each in report.passed_over] == ["note\N{REPLACEMENT CHARACTER}"]
    again = run(root, "--verify", tmp_path / "report.json", PYTHONIOENCODING=encoding)
    assert again.returncode == 0, again.stderr
    pages = run(root, odd, "--format", "html", "--out", tmp_path / "cases", PYTHONIOENCODING=encoding)
    assert pages.returncode == 0, pages.stderr


def test_a_bad_name_is_one_row_among_others(root: Path, tmp_path: Path) -> None:
    names = ["x" * 300, tmp_path / "loop.mp4", tmp_path / "pipe", root / "videos/a.mp4", "a.mp4/b.mp4"]
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    os.mkfifo(tmp_path / "pipe")
    result = score(root, *names, "--format", "json", "--jobs", "1")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["videos"]
    assert [row["status"] == "failed" for row in rows] == [True, True, True, False, True]
    assert "too long" in rows[0]["reason"]
    assert "not a regular file" in rows[2]["reason"]
    assert not any("Errno" in (row["reason"] or "") for row in rows)


def test_escape_codes_and_formulas_in_names_are_text(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out, "width", 400)
    for name in ("=1+1.mp4", "\x1b[2Jx.mp4", "a\nb: the same.mp4"):
        (tmp_path / name).write_text("Dear reader")
    table = score(root, tmp_path, "--jobs", "1")
    assert "\x1b" not in table.output
    assert "\\x1b[2Jx.mp4" in table.output
    assert "a\\nb: the same.mp4: " in table.output
    monkeypatch.chdir(tmp_path)
    rows = list(csv.DictReader(io.StringIO(score(root, "=1+1.mp4", "--format", "csv", "--jobs", "1").stdout)))
    assert [row["path"] for row in rows] == ["'=1+1.mp4"]


def test_a_long_folder_for_temporary_files(root: Path, tmp_path: Path) -> None:
    long = tmp_path / ("x" * 120)
    long.mkdir()
    result = run(root, root / "videos/a.mp4", "--format", "json", TMPDIR=str(long))
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["videos"][0]["n_pairs"] == 16
    assert list(long.iterdir()) == []


def test_a_report_is_verified_from_elsewhere(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = tmp_path / "case"
    shutil.copytree(root / "videos", case / "videos")
    monkeypatch.chdir(case)
    for name in ("videos/a.mp4", case / "videos/a.mp4"):
        (case / "report.json").write_text(score(root, name, "--format", "json", "--jobs", "1").stdout)
        moved = Path(shutil.copytree(case, tmp_path / f"moved{len(str(name))}"))
        monkeypatch.chdir(tmp_path)
        kept = (case / "videos").rename(tmp_path / "kept")
        same = score(root, "--verify", moved / "report.json", "--jobs", "1")
        assert same.exit_code == 0, same.output
        kept.rename(case / "videos")
        monkeypatch.chdir(case)


def test_of_two_files_the_recorded_one_is_verified(root: Path, tmp_path: Path) -> None:
    card = DetectorCard.load(root / "workspace/detectors/pair-patch/detection-1" / CARD)
    for folder, content in (("here", b"other"), ("beside", b"recorded")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.mp4").write_bytes(content)
    video = make_failed_score(tmp_path / "here/a.mp4", card, "none")
    recorded = video.model_copy(update={"sha256": hashlib.sha256(b"recorded").hexdigest()})
    assert find_recorded_file(recorded, tmp_path / "beside") == tmp_path / "beside/a.mp4"
    assert find_recorded_file(video, tmp_path / "beside") == tmp_path / "here/a.mp4"
    (tmp_path / "here/a.mp4").unlink()
    assert find_recorded_file(video, tmp_path / "beside") == tmp_path / "beside/a.mp4"
    assert find_recorded_file(video, tmp_path / "none") == tmp_path / "here/a.mp4"


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
