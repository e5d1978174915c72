"""The command line from the outside: what it prints, what it writes, what it refuses."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from dancebench.benchmark.cli import app
from dancebench.benchmark.commands.demo import list_next_steps
from dancebench.benchmark.commands.options import name_program, resolve_precision
from dancebench.benchmark.jobs import require_all
from dancebench.benchmark.presets import RunSettings
from dancebench.benchmark.runs.synthesis import plan_jobs, synthesize_all
from dancebench.core import files
from dancebench.core.progress import ignore_progress
from dancebench.core.workspace import Workspace
from dancebench.datasets.subjects.dataset import Dataset
from dancebench.datasets.video.clips import write_clip
from dancebench.leaderboards.records import DetectionFacts, RunRecord


def bench(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refusal(result: Result) -> str:
    """The error line of a failed command, after a check of its form."""
    assert result.exit_code == 1, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith(("error:", "hint:"))]
    assert [line.split(":")[0] for line in lines] == ["error", "hint"], result.output
    assert "Traceback" not in result.output
    return lines[0]


def files_under(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def workspace(tiny_demo: Path, tmp_path: Path) -> Path:
    """A copy of the tiny demo's workspace that a test may change."""
    return Path(shutil.copytree(tiny_demo, tmp_path / "workspace"))


# ---------------------------------------------------------------- help and lists


@pytest.mark.parametrize(
    "command", ["", "demo", "data", "data add", "data demo", "data list", "data verify", "synth", "detect", "score",
                "leaderboard", "list", "list methods"],
)  # fmt: skip
def test_every_command_has_help(command: str) -> None:
    result = bench(*command.split(), "-h")
    assert result.exit_code == 0
    assert "Usage" in result.output
    if command not in ("", "data", "list"):
        assert "xample" in result.output, command


def test_lists_are_json_for_machines(tmp_path: Path) -> None:
    methods = {row["method"]: row for row in json.loads(bench("list", "methods", "--json").stdout)}
    assert methods["fbf"]["parameters"]["paper"] == {
        "global generator": 182_443_267, "global discriminator": 5_535_618,
        "local generator": 182_701_827, "local discriminator": 8_303_427,
    }  # fmt: skip
    smoothed = methods["fbf-ts"]["parameters"]["paper"]
    assert (smoothed["global generator"], smoothed["local generator"]) == (182_452_675, 182_715_939)
    full = methods["fbf-ts-fg"]["parameters"]["paper"]
    assert full["face generator"] == pytest.approx(26.7e6, rel=0.01)
    assert {name: full[name] for name in smoothed} == smoothed
    assert methods["nearest"]["parameters"]["paper"] == {}
    assert {row["preset"] for row in json.loads(bench("list", "presets", "--json").stdout)} >= {
        "tiny", "protocol", "small", "paper", "paper-global",
    }  # fmt: skip
    assert len(bench("list", "presets").stdout.splitlines()) < 40
    assert "pair-patch" in bench("list", "detectors").stdout
    assert "body_ssim" in bench("list", "metrics").stdout
    protocols = {
        row["protocol"]: row for row in json.loads(bench("list", "protocols", "--workspace", tmp_path, "--json").stdout)
    }
    assert protocols["in-domain"]["why_not"] == "not in this workspace: ffpp"
    assert (protocols["table-5"]["can_run"], protocols["table-5"]["why_not"]) == (True, None)
    assert len(protocols["cross-dataset"]["sha256"]) == 64
    assert "leave-one-generator-out" in bench("list", "protocols", "--workspace", tmp_path).stdout
    subjects = json.loads(bench("list", "subjects", "--workspace", tmp_path, "--json").stdout)
    roles = [row["role"] for row in subjects]
    counts = [roles.count(role) for role in ("target", "train", "validation", "holdout")]
    assert counts == [5, 40, 8, 14]


def test_usage_errors_end_with_2() -> None:
    assert bench("synth").exit_code == 2
    assert bench("detect").exit_code == 2
    assert bench("nonsense").exit_code == 2


# ---------------------------------------------------------------- the whole demo


def test_the_demo_leaves_records_tables_a_report_a_picture_and_a_video(tiny_demo: Path) -> None:
    records = [RunRecord.load(path) for path in sorted((tiny_demo / "results").glob("*.json"))]
    assert sorted(record.entry.name for record in records) == [
        "fbf", "fbf-ts", "fbf-ts-fg", "mean-frame", "nearest", "pair-patch", "posewarp", "spectrum",
    ]  # fmt: skip
    for record in records:
        assert (tiny_demo / "results" / f"{record.run.id}.parquet").exists()
        assert record.run.versions["torch"]
    assert {path.name for path in (tiny_demo / "leaderboards").iterdir()} >= {
        "synthesis.md", "synthesis.csv", "detection.md", "detection.csv", "perceptual.md", "perceptual.csv",
    }  # fmt: skip
    site = tiny_demo / "leaderboards" / "site"
    assert (site / "index.html").is_file()
    assert "sticks, real, " in (site / "synthesis.html").read_text()
    assert (tiny_demo / "demo" / "sheet.png").stat().st_size > 1000
    assert (tiny_demo / "demo" / "side-by-side.mp4").stat().st_size > 1000


def test_the_demo_ends_with_commands_that_work(tiny_demo_run: tuple[Path, str], workspace: Path) -> None:
    """As printed, but for the workspace, the name of the video and a preset of seconds."""
    made, printed = tiny_demo_run
    assert re.search(r"done in \d+ s: drawing \d+, forensic\s+fakes \d+, .*leaderboards \d+", printed, re.DOTALL)
    commands = [line.strip() for line in printed.splitlines() if line.startswith("  bench ")]
    assert [command.split()[1] for command in commands] == ["data", "synth", "score"]
    video = shutil.copy(workspace / "datasets/demo-tiny/subjects/1/clip.mp4", workspace.parent / "my video.mp4")
    for command in commands:
        assert shlex.quote(str(made)) in command
        own = command.replace(str(made), str(workspace)).replace("VIDEO", shlex.quote(str(video)))
        program, *arguments = shlex.split(own.replace("small", "tiny"))
        assert program == "bench"
        result = bench(*arguments)
        assert result.exit_code == 0, result.output


def test_the_next_steps_name_the_workspace_and_the_program_where_they_must(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_WORKSPACE", raising=False)
    commands = [command for _, steps in list_next_steps(".venv/bin/bench", Path("workspace")) for command in steps]
    assert commands[-1] == ".venv/bin/bench score VIDEO --detector pair-patch"
    assert not any("--workspace" in command for command in commands)
    assert "abstains on every outside video" in list_next_steps("bench", Path("workspace"))[-1][0]
    commands = [command for _, steps in list_next_steps("bench", Path("my work")) for command in steps]
    assert all(command.endswith(" --workspace 'my work'") for command in commands)
    monkeypatch.setenv("BENCH_WORKSPACE", "elsewhere")
    commands = [command for _, steps in list_next_steps("bench", Path("workspace")) for command in steps]
    assert all(command.endswith(" --workspace workspace") for command in commands)


@pytest.mark.parametrize(
    ("called", "named"),
    [
        (".venv/bin/bench", ".venv/bin/bench"),
        ("on path/bench", "bench"),
        ("somewhere else/bench", "'somewhere else/bench'"),
        ("dancebench/benchmark/cli.py", f"{shlex.quote(sys.executable)} -m dancebench.benchmark.cli"),
        ("pytest", "bench"),
    ],
)
def test_the_program_is_named_as_it_can_be_called_again(
    called: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in (".venv/bin", "on path", "somewhere else"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "bench").write_text("#!/bin/sh\n")
        (tmp_path / folder / "bench").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "on path"))
    monkeypatch.setattr(sys, "argv", [called])
    assert name_program() == named


def test_lpips_is_a_number_or_null_with_the_reason(tiny_demo: Path) -> None:
    (path,) = (tiny_demo / "results").glob("synthesis-posewarp-*.json")
    metric = RunRecord.load(path).metrics["body_lpips_squeeze"]
    assert (metric.value is None) == (metric.reason is not None)
    if os.environ.get("BENCH_WEIGHTS"):
        assert metric.value is not None


def test_the_detector_has_its_controls_and_the_quality_of_its_fakes_beside_it(tiny_demo: Path) -> None:
    (path,) = (tiny_demo / "results").glob("detection-pair-patch-*.json")
    record = RunRecord.load(path)
    assert {"video_auc", "pair_auc", "null_shift", "shortcut_auc", "bytes_per_frame_auc"} <= set(record.metrics)
    assert sorted(record.per_subject) == ["holdout01", "holdout02"]
    table = (tiny_demo / "leaderboards" / "detection.md").read_text()
    assert "fakes' body SSIM" in table
    assert "of nearest frames" in table


def test_a_finished_demo_is_only_measured_again(workspace: Path) -> None:
    """Nothing is drawn or trained again, and the numbers are the same."""
    trained = {path: path.stat().st_mtime_ns for path in workspace.rglob("*.safetensors")}
    before = {path.name: RunRecord.load(path).metrics for path in (workspace / "results").glob("*.json")}
    result = bench("demo", "--size", "tiny", "--workspace", workspace, "--jobs", "1", "--json")
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)) == 8
    assert {path: path.stat().st_mtime_ns for path in workspace.rglob("*.safetensors")} == trained
    assert {path.name: RunRecord.load(path).metrics for path in (workspace / "results").glob("*.json")} == before


def test_one_worker_and_two_give_the_same_fakes(tiny_demo: Path, workspace: Path) -> None:
    """`--jobs` changes nothing but the time: one method with two seeds, each in a worker."""
    for made in ("synths", "fakes"):
        shutil.rmtree(workspace / made)
    opened = Workspace(workspace)
    dataset = Dataset.open(opened, "demo-tiny")
    settings = RunSettings(trunk="off", precision=resolve_precision("auto", "cpu"))
    jobs = plan_jobs(opened, dataset, ["1"], "fbf", "tiny", settings, seeds=2)
    first, second = require_all(synthesize_all(jobs, workers=2, report=ignore_progress))
    assert first.fake_path.read_bytes() == (tiny_demo / first.fake_path.relative_to(workspace)).read_bytes()
    (weights,) = (tiny_demo / "synths/fbf/demo-tiny/1/tiny-s0").glob("*.safetensors")
    assert (workspace / weights.relative_to(tiny_demo)).read_bytes() == weights.read_bytes()
    assert second.fake.sha256 != first.fake.sha256


@pytest.mark.long
def test_one_worker_and_two_give_the_same_numbers(tiny_demo: Path, workspace: Path) -> None:
    """The whole demo in two workers."""
    before = {path.name: RunRecord.load(path) for path in (tiny_demo / "results").glob("*.json")}
    shutil.rmtree(workspace)
    result = bench("demo", "--size", "tiny", "--workspace", workspace, "--jobs", "2")
    assert result.exit_code == 0, result.output
    again = {path.name: RunRecord.load(path) for path in (workspace / "results").glob("*.json")}
    assert again.keys() == before.keys()
    for name, record in again.items():
        same = before[name]
        assert (record.metrics, record.data, record.entry.weights_sha256) == (
            same.metrics, same.data, same.entry.weights_sha256,
        ), name  # fmt: skip


def test_leaderboards_are_rebuilt_from_the_records_alone(workspace: Path) -> None:
    before = files_under(workspace / "leaderboards")
    assert {"site/index.html", "site/synthesis.html", "site/detection.html", "site/perceptual.html"} <= before.keys()
    assert bench("leaderboard", "--check", "--workspace", workspace).exit_code == 0
    shutil.rmtree(workspace / "leaderboards")
    assert bench("leaderboard", "--workspace", workspace).exit_code == 0
    assert files_under(workspace / "leaderboards") == before
    (workspace / "leaderboards" / "synthesis.md").write_text("better")
    assert "synthesis.md" in refusal(bench("leaderboard", "--check", "--workspace", workspace))


def test_the_site_shows_the_fakes_of_the_demo(workspace: Path) -> None:
    assert bench("leaderboard", "--workspace", workspace).exit_code == 0
    page = (workspace / "leaderboards" / "site" / "synthesis.html").read_text()
    assert "sticks, real, " in page
    assert 'aria-label="Body SSIM against pose novelty"' in page or "Not drawn: " in page
    detection = (workspace / "leaderboards" / "site" / "detection.html").read_text()
    assert 'aria-label="Tippett"' in detection  # the rows of the demo's detectors hold likelihood ratios


def test_the_card_of_a_dataset(workspace: Path, tmp_path: Path) -> None:
    result = bench("data", "card", "--dataset", "demo-tiny", "--workspace", workspace)
    assert result.exit_code == 0, result.output
    assert "Nobody is shown" in (workspace / "datasets" / "demo-tiny" / "README.md").read_text()
    before = files_under(workspace / "datasets")
    out = tmp_path / "out"
    assert bench("data", "card", "--dataset", "demo-tiny", "--out", out, "--workspace", workspace).exit_code == 0
    assert {path.name for path in out.iterdir()} == {"README.md", "croissant.json", "subjects.jsonl"}
    assert files_under(workspace / "datasets") == before
    assert "Unknown dataset 'gone'" in refusal(bench("data", "card", "--dataset", "gone", "--workspace", workspace))


def test_fakes_and_reals_differ_in_nothing_but_their_pixels(tiny_demo: Path) -> None:
    import av

    facts = []
    for path in ("fakes/fbf-ts/demo-tiny/holdout01/tiny-s0/holdout01.mp4", "reals/demo-tiny/holdout01/64.mp4"):
        with av.open(str(tiny_demo / path)) as container:
            stream = container.streams.video[0]
            facts.append((container.metadata, stream.metadata, stream.frames, stream.average_rate, stream.width))
    assert facts[0] == facts[1]


# ---------------------------------------------------------------- score


def test_score_reports_each_video_and_one_bad_file_is_a_row(workspace: Path, tmp_path: Path) -> None:
    fake = workspace / "fakes/fbf-ts/demo-tiny/holdout01/tiny-s0/holdout01.mp4"
    bad = tmp_path / "bad.mp4"
    bad.write_text("not a video")
    result = bench("score", fake, bad, tmp_path / "none.mp4", "--workspace", workspace, "--format", "json")
    assert result.exit_code == 0, result.output
    rows: list[dict[str, Any]] = json.loads(result.stdout)["videos"]
    assert [row["status"] for row in rows] == ["abstained", "failed", "failed"]
    assert any("only ever seen drawn people" in reason for reason in rows[0]["abstained_because"])
    assert rows[0]["sha256"]
    assert rows[0]["n_pairs"] == 6
    assert all(row["reason"] for row in rows[1:])
    table = bench("score", fake, bad, "--workspace", workspace)
    assert table.exit_code == 0
    assert "not a verdict" in " ".join(table.output.split())


def test_score_names_what_is_missing(tmp_path: Path, workspace: Path) -> None:
    assert "holds no trained detector" in refusal(
        bench("score", "x.mp4", "--detector", "pair-patch", "--workspace", tmp_path)
    )
    result = bench("score", "x.mp4", "--detector", "pair-pacth", "--workspace", workspace)
    assert "Unknown trained detector" in refusal(result)
    assert "Did you mean 'pair-patch'" in result.output


def test_score_fails_only_if_nothing_can_be_scored(workspace: Path, tmp_path: Path) -> None:
    for form in ("table", "json"):
        result = bench("score", tmp_path / "none.mp4", "--workspace", workspace, "--format", form)
        assert "None of the 1 videos could be scored" in refusal(result)


def test_damaged_detector_weights_are_refused(workspace: Path) -> None:
    (weights,) = workspace.glob("detectors/*/*/weights.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert "changed or damaged" in refusal(bench("score", "x.mp4", "--workspace", workspace))


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("synth", "--subject", "9"), "Unknown subject '9'"),
        (("synth", "--subject", "1", "--method", "fbff"), "Unknown method 'fbff'"),
        (("synth", "--subject", "1", "--preset", "smal"), "Unknown preset 'smal'"),
        (("synth", "--subject", "1", "--trunk", "vgg"), "Unknown perceptual trunk 'vgg'"),
        (("synth", "--subject", "1", "--dataset", "nowhere"), "Unknown dataset 'nowhere'"),
        (("synth", "--subject", "1", "--device", "tpu"), "Unknown device 'tpu'"),
        (("detect", "--holdout", "--detector", "pair-pach"), "Unknown detector 'pair-pach'"),
        (("demo", "--size", "huge"), "Unknown size 'huge'"),
        (("data", "demo", "--selection", "demos"), "Unknown demo selection 'demos'"),
        (("data", "verify", "--dataset", "nowhere"), "Unknown dataset 'nowhere'"),
    ],
)
def test_unknown_names_are_refused_with_a_hint(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    assert message in refusal(bench(*arguments, "--workspace", tmp_path))


def add(recording: Path, workspace: Path, *extra: str) -> Result:
    permission = extra or ("--consent", "yes")
    return bench("data", "add", recording, "--subject", "a", "--licence", "MIT", *permission, "--workspace", workspace)


def test_bad_recordings_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mp4"
    noise = np.random.default_rng(0).integers(0, 255, (6, 64, 64, 3), np.uint8)
    write_clip(whole, noise, 25)
    bad_files = {
        "empty.mp4": b"",
        "text.mp4": b"Dear reader, this is a letter.\n" * 50,
        "truncated.mp4": whole.read_bytes()[: whole.stat().st_size // 2],
    }
    for name, data in bad_files.items():
        (tmp_path / name).write_bytes(data)
    workspace = tmp_path / "workspace"
    for name in (*bad_files, "missing.mp4", "whole.mp4"):
        assert refusal(add(tmp_path / name, workspace))
        assert set(files_under(workspace)) == {"workspace.json"}, name
    assert "No person was found" in refusal(add(whole, workspace))


def test_permission_and_role_are_checked_first(tmp_path: Path) -> None:
    clip = tmp_path / "missing.mp4"
    assert "No consent is stated" in refusal(add(clip, tmp_path, "--legal-basis", "none"))
    assert "No legal basis is stated" in refusal(add(clip, tmp_path, "--role", "driver", "--consent", "yes"))
    assert "Unknown role 'dancer'" in refusal(add(clip, tmp_path, "--role", "dancer"))


def test_a_changed_clip_is_not_trained_on(workspace: Path) -> None:
    clip = workspace / "datasets/demo-tiny/subjects/1/clip.mp4"
    clip.write_bytes(clip.read_bytes() + b"x")
    result = bench("synth", "--dataset", "demo-tiny", "--subject", "1", "--preset", "tiny", "--workspace", workspace)
    assert "clip.mp4 was changed after it was prepared" in refusal(result)


def test_the_null_control_is_never_ok_unmeasured(tiny_demo: Path) -> None:
    (path,) = (tiny_demo / "results").glob("detection-pair-patch-*.json")
    record = RunRecord.load(path)
    measured = record.metrics["null_shift"].value is not None
    assert isinstance(record.entry.facts, DetectionFacts)
    assert record.entry.facts.null_control is not None
    assert (record.entry.facts.null_control.passed is not None) == measured


def test_a_subject_named_twice_is_run_once_and_a_dataset_without_targets_is_named(
    workspace: Path, tmp_path: Path, real_clips: Path
) -> None:
    result = bench(
        "synth", "--dataset", "demo-tiny", "--subject", "1", "--subject", "1", "--method", "nearest",
        "--preset", "tiny", "--workspace", workspace, "--json",
    )  # fmt: skip
    assert json.loads(result.stdout)["data"]["n_original"] == 1
    clip = real_clips / "tfjs_pose_squats.mp4"
    other = tmp_path / "other"
    assert add(clip, other, "--role", "driver", "--legal-basis", "licence", "--fps", "2").exit_code == 0
    run = bench("synth", "--dataset", "mine", "--subject", "all", "--workspace", other)
    assert "has no target" in refusal(run)
    assert "another --fps: 2.0" in refusal(add(clip, other, "--role", "driver", "--legal-basis", "x", "--fps", "5"))
    again = bench(
        "data", "add", clip, "--subject", "b", "--role", "train", "--licence", "x", "--legal-basis", "y",
        "--workspace", other,
    )  # fmt: skip
    assert "already in 'mine', as 'a' (driver)" in refusal(again)


def test_recordings_do_not_go_into_a_demo_catalogue(tmp_path: Path) -> None:
    assert "catalogue of drawn dancers" in refusal(
        add(tmp_path / "x.mp4", tmp_path, "--dataset", "demo", "--consent", "y")
    )


def test_a_driver_is_not_synthesized(tmp_path: Path, real_clips: Path) -> None:
    clip = real_clips / "tfjs_pose_squats.mp4"
    result = add(clip, tmp_path, "--role", "driver", "--legal-basis", "licence", "--fps", "2")
    assert result.exit_code == 0, result.output
    run = bench("synth", "--dataset", "mine", "--subject", "a", "--preset", "tiny", "--workspace", tmp_path)
    assert "'a' is a driver" in refusal(run)


def test_a_newer_workspace_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "workspace.json").write_text('{"schema_version": 99}')
    before = files_under(tmp_path)
    assert "schema version 99" in refusal(bench("demo", "--size", "tiny", "--workspace", tmp_path))
    assert files_under(tmp_path) == before


def test_a_workspace_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert "Cannot write" in refusal(bench("data", "demo", "--workspace", tmp_path / "file" / "workspace"))
    assert "cannot be made" in refusal(bench("data", "demo", "--workspace", tmp_path / "file"))
    assert "is not a folder" in refusal(bench("data", "list", "--workspace", tmp_path / "file"))


def test_a_full_disk_is_named_and_loses_nothing(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files_under(workspace / "synths")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    result = bench(
        "synth", "--dataset", "demo-tiny", "--subject", "1", "--preset", "tiny", "--seed", "7", "--jobs", "1",
        "--workspace", workspace,
    )  # fmt: skip
    assert "No space left on device" in refusal(result)
    after = files_under(workspace / "synths")
    assert {name: after[name] for name in before} == before
    assert not list(workspace.rglob(".partial-*"))


@pytest.mark.long
def test_ctrl_c_ends_with_130_and_the_same_command_resumes(tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "dancebench.benchmark.cli", "synth", "--dataset", "demo-tiny", "--subject", "1",
        "--method", "fbf", "--preset", "tiny", "--jobs", "1", "--workspace", str(tmp_path),
    ]  # fmt: skip

    def reset_sigint() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored if the suite runs in the background

    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=reset_sigint
    ) as running:
        while not list(tmp_path.glob("datasets/demo-tiny/subjects/.partial-*")):
            assert running.poll() is None
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 130, errors
    assert "Run the same command again to resume" in errors
    assert not (tmp_path / "datasets/demo-tiny/subjects/1").exists()
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert list(tmp_path.glob("results/*.json"))


# ---------------------------------------------------------------- data


def test_data_is_listed_and_verified(workspace: Path) -> None:
    (facts,) = json.loads(bench("data", "list", "--workspace", workspace, "--json").stdout)
    assert (facts["name"], facts["subjects"], facts["prepared"]) == ("demo-tiny", 8, 8)
    assert bench("data", "verify", "--dataset", "demo-tiny", "--workspace", workspace).exit_code == 0
    poses = workspace / "datasets/demo-tiny/subjects/1/poses.npz"
    poses.write_bytes(poses.read_bytes() + b"x")
    result = bench("data", "verify", "--dataset", "demo-tiny", "--workspace", workspace)
    assert "1 problem(s)" in refusal(result)
    assert "1: poses.npz was changed" in result.output


def test_a_real_recording_goes_the_whole_way(tmp_path: Path, real_clips: Path) -> None:
    clip = real_clips / "tfjs_pose_squats.mp4"
    result = add(clip, tmp_path, "--consent", "licence", "--dataset", "mine")
    assert result.exit_code == 0, result.output
    assert "65 frames of 512x256" in " ".join(result.output.split())
    run = bench("synth", "--dataset", "mine", "--subject", "a", "--preset", "tiny", "--workspace", tmp_path, "--json")
    assert run.exit_code == 0, run.output
    record = RunRecord.model_validate(json.loads(run.stdout))
    assert record.data.n_effective == 1
    assert record.metrics["body_ssim"].n == 12  # 13 held-out frames, the first of them dropped
