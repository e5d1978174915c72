"""`bench score --reference`, and the detector that ships where there is no other."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from outside_files import make_detector, moving, write_video
from typer.testing import CliRunner

from dancebench.benchmark.cli import app
from dancebench.detect.casework.score import ScoreReport
from dancebench.detect.evaluation.likelihood_ratios.items import collect_items
from dancebench.detect.evaluation.likelihood_ratios.kept_scores import FILE, CalibrationScores
from dancebench.detect.shipped import files


def bench(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refusal(result: Result) -> str:
    assert result.exit_code == 1, result.output
    assert "hint:" in result.output
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a detector, a video and twelve recordings of the same kind."""
    root = tmp_path_factory.mktemp("root")
    folder = make_detector(root / "workspace/detectors/pair-patch/detection-1")
    generator = np.random.default_rng(0)
    people = [f"p{person}" for person in range(8)]
    scores = np.concatenate([generator.normal(0, 0.1, 8), generator.normal(0.2, 0.1, 16)])
    items = collect_items([0] * 8 + [1] * 16, scores, people * 3, [""] * 8 + ["x"] * 8 + ["y"] * 8)
    CalibrationScores.of_items(items).save(folder / FILE)
    (root / "reals").mkdir()
    for seed in range(12):
        write_video(root / f"reals/{seed:02}.mp4", moving(12, (128, 128), seed))
    write_video(root / "case.mp4", moving(30, (128, 128), 50))
    return root


def score(root: Path, *arguments: object) -> Result:
    return bench("score", *arguments, "--workspace", root / "workspace", "--device", "cpu", "--jobs", "1")


def test_ratios_by_a_reference_are_told_with_what_it_changed_and_verify(root: Path, tmp_path: Path) -> None:
    reals = Path(shutil.copytree(root / "reals", tmp_path / "reals"))
    shutil.copy(root / "case.mp4", reals / "again.mp4")
    shutil.copy(reals / "00.mp4", reals / "twice.mp4")
    (reals / "broken.mp4").write_bytes(b"nothing")
    result = score(root, root / "case.mp4", "--reference", reals, "--format", "html", "--out", tmp_path / "pages")
    assert result.exit_code == 0, result.output
    words = " ".join(result.output.split())
    assert "again.mp4: it shows the same as a questioned video" in words
    assert "twice.mp4: it shows the same as 00.mp4: counted once" in words
    assert "by the 12 recordings of the reference log10 LR" in words
    report = ScoreReport.load(tmp_path / "pages/report.json")
    assert report.reference is not None
    assert report.reference.recordings == 12
    assert len(report.reference.left_out) == 3
    (video,) = report.videos
    assert video.reference is not None
    page = next((tmp_path / "pages").glob("*.html")).read_text()
    assert "calibrated on 12 recordings that are stated to be real" in " ".join(page.split())
    verified = score(root, "--verify", tmp_path / "pages/report.json")
    assert verified.exit_code == 0, verified.output
    assert "not verified: the scores of the 12 recordings" in " ".join(verified.output.split())
    forged = json.loads((tmp_path / "pages/report.json").read_text())
    forged["videos"][0]["reference"]["llr_without"] += 1
    (tmp_path / "forged.json").write_text(json.dumps(forged))
    assert "llr_without" in refusal(score(root, "--verify", tmp_path / "forged.json"))


def test_one_recording_cut_into_twelve_is_refused(root: Path, tmp_path: Path) -> None:
    frames = moving(12 * 12, (128, 128), 7)
    for piece in range(12):
        write_video(tmp_path / f"{piece:02}.mp4", frames[12 * piece : 12 * piece + 12])
    words = refusal(score(root, root / "case.mp4", "--reference", tmp_path))
    assert "holds 1 recordings that count as a reference; 10 are needed" in words
    assert "counted once" in words


@pytest.mark.parametrize("name", ["missing", "case.mp4"])
def test_what_is_no_folder_is_refused(root: Path, name: str) -> None:
    assert "is not a folder" in refusal(score(root, root / "case.mp4", "--reference", root / name))


def test_an_empty_folder_is_refused(root: Path, tmp_path: Path) -> None:
    assert "holds 0 recordings" in refusal(score(root, root / "case.mp4", "--reference", tmp_path))


def test_a_detector_without_its_calibration_scores_is_refused(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "workspace", tmp_path / "workspace")
    next(tmp_path.rglob(FILE)).unlink()
    case = root / "case.mp4"
    assert "does not hold the scores" in refusal(score(tmp_path, case, "--reference", root / "reals"))


# --- the detector that ships


def test_an_empty_workspace_is_scored_by_the_detector_that_ships_and_it_says_what_it_is(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", moving(40, (240, 320)))
    result = score(tmp_path, video, "--format", "json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["detector"] == "ensemble"
    assert report["videos"][0]["suspicious_pairs"][0]["what"] == "texture as the last stage of a generator leaves it"
    assert report["videos"][0]["status"] in ("ok", "abstained")
    assert "Scored by the detector that ships (traces)" in result.stderr
    assert not (tmp_path / "workspace").exists()
    (tmp_path / "report.json").write_text(result.stdout)
    assert score(tmp_path, "--verify", tmp_path / "report.json").exit_code == 0


def test_a_workspace_with_detectors_uses_its_own_unless_the_shipped_one_is_named(root: Path) -> None:
    own = json.loads(score(root, root / "case.mp4", "--format", "json").stdout)
    shipped = json.loads(score(root, root / "case.mp4", "--detector", "shipped", "--format", "json").stdout)
    assert (own["detector"], shipped["detector"]) == ("pair-patch", "ensemble")


def test_a_damaged_shipped_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = Path(shutil.copytree(files.FOLDER, tmp_path / "copy"))
    (copy / "weights.safetensors").write_bytes(b"changed")
    monkeypatch.setattr(files.check_shipped, "__defaults__", (copy,))
    words = refusal(score(tmp_path, "a.mp4"))
    assert "weights.safetensors of the shipped detector was changed or damaged" in words
    assert "Install dancebench again" in words
