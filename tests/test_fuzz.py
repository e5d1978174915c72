"""The campaigns of `make fuzz` and `make kills`: that they tell what they look for."""

from __future__ import annotations

import csv
import json
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from fuzz import kills
from fuzz.commands import COMMANDS, Case, plan_case, write_case
from fuzz.judge import Verdict, gives_frame, judge, run_case
from fuzz.mutate import mutate, repair_png
from fuzz.planted import run_planted
from fuzz.pool import Limits, Outcome, run_all
from fuzz.run import Ended, compute_frame_share, decide, summarise, write_verdicts
from hypothesis import given, settings
from hypothesis import strategies as st
from outside_files import make_detector, moving, write_video
from typer.testing import CliRunner

from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_file
from dancebench.core.opencv import cv2

TOO_MUCH = Limits(seconds=5, bytes=900_000_000)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `bench score` needs of the valid files."""
    folder = tmp_path_factory.mktemp("base")
    make_detector(folder / "detector", size=(64, 32), clip=(64, 32))
    (folder / "videos").mkdir()
    for name in ("plain.mp4", "other.mkv", "stream.ts"):
        write_video(folder / "videos" / name, moving(12), thread_count=1)
    return folder


def make_case(base: Path, folder: Path, index: int) -> Case:
    """A case of `bench score`."""
    case = replace(plan_case(base, folder, 7, 0), index=index)
    assert case.command.name == "score"
    return case


# ---------------------------------------------------------------- workers


def test_planted_failures_are_told_and_the_worker_is_replaced(tmp_path: Path) -> None:
    planted = ["fine", "hang", "fine", "die", "fine", "hog", "fine"]
    until = time.monotonic() + 250
    found = dict(run_all(run_planted, planted, workers=1, limits=TOO_MUCH, log=tmp_path / "log", until=until))
    assert [found[index].verdict.kind for index in range(7)] == ["ok", "failed", "ok", "failed", "ok", "failed", "ok"]
    assert found[1].verdict.reason == "it had not ended after 5 s"
    assert found[3].verdict.reason == "the worker died (exit status -11)"
    assert "GB of memory" in found[5].verdict.reason
    assert len({found[index].verdict.reason for index in (0, 2, 4, 6)}) == 4, "each failure ends its worker"
    assert "Segmentation fault" in (tmp_path / "log").read_text()


def test_no_case_is_begun_after_the_time(tmp_path: Path) -> None:
    late = time.monotonic() - 1
    assert list(run_all(run_planted, ["fine"], workers=1, limits=TOO_MUCH, log=tmp_path / "log", until=late)) == []


@pytest.mark.long
def test_a_dozen_mutated_files_are_scored_or_refused(base: Path, tmp_path: Path) -> None:
    cases = [make_case(base, tmp_path, index) for index in range(len(COMMANDS), len(COMMANDS) + 12)]
    found = [(case, Outcome(run_case(case), 0.1, 1)) for case in cases]
    assert {outcome.verdict.kind for _, outcome in found} <= {"ok", "refused"}, summarise(found)
    assert {outcome.verdict.gives_frame for _, outcome in found} == {True, False}
    assert (base / "videos/plain.mp4").stat().st_size > 0, "the valid files are left alone"


# ---------------------------------------------------------------- verdicts


def judge_planted(act: object, *, in_json: bool = False) -> Verdict:
    """Judge a command that prints a text, or raises an exception."""
    app = typer.Typer()

    @app.command()
    def command() -> None:
        if isinstance(act, BaseException):
            raise act
        print(act)

    return Verdict(*judge(CliRunner().invoke(app), in_json=in_json))


def row(**fields: object) -> str:
    return json.dumps({"videos": [{"path": "a.mp4", "score": None, "reason": None} | fields]})


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (RuntimeError("planted"), "RuntimeError: planted"),
        (BenchError("Nobody catches it.", hint="x"), "BenchError: Nobody catches it."),
        (SystemExit(1), "exit status 1 without one line of cause"),
        (SystemExit(2), "exit status 2"),
        (row(), "a row with neither score nor reason"),
        (row(score=1.0, reason="x"), "or with both"),
        (row(reason="an unexpected error, please report it: KeyError: 1"), "KeyError: 1"),
        (row(reason="the process that scored it died (exit status -11)"), "exit status -11"),
    ],
)
def test_planted_failures_of_a_command_are_told(act: object, told: str) -> None:
    verdict = judge_planted(act, in_json=isinstance(act, str))
    assert verdict.kind == "failed"
    assert told in verdict.reason


def test_scores_and_reasons_are_fine() -> None:
    assert judge_planted(row(score=0.5), in_json=True) == Verdict("ok")
    assert judge_planted(row(reason="no frame"), in_json=True) == Verdict("ok")
    assert judge_planted("a table") == Verdict("ok")


def test_a_valid_file_that_is_refused_is_a_failure(base: Path, tmp_path: Path) -> None:
    valid = make_case(base, tmp_path, 0)
    assert run_case(valid) == Verdict("ok")
    empty = tmp_path / "empty"
    (empty / "videos").mkdir(parents=True)
    make_detector(empty / "detector")
    (empty / valid.file).write_bytes(b"")
    refused = run_case(replace(valid, base=empty))
    assert refused.kind == "failed"


def test_the_share_of_frames_decides(base: Path, tmp_path: Path) -> None:
    case = make_case(base, tmp_path, 20)

    def ended(*kinds: bool | None) -> Ended:
        return [(case, Outcome(Verdict("ok", gives_frame=kind), 1.0, 1)) for kind in kinds]

    assert compute_frame_share(ended(True, False, None, True)) == pytest.approx(2 / 3)
    assert decide(ended(True, False, False, False)) == 1
    assert decide(ended(True, False, None)) == 0
    failed = [(case, Outcome(Verdict("failed", "x"), 1.0, 1))]
    assert decide(failed) == 1
    assert f"cd {case.folder} && bench score" in summarise(failed)[-1]


def test_every_verdict_is_written(base: Path, tmp_path: Path) -> None:
    ended = [
        (make_case(base, tmp_path, index), Outcome(Verdict("refused", "a,\nb", gives_frame=True), 1.0, 5))
        for index in (31, 30)
    ]
    write_verdicts(tmp_path / "verdicts.csv", ended)
    with (tmp_path / "verdicts.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["index"] for row in rows] == ["30", "31"]
    assert rows[0]["reason"] == "a,\nb"


def test_whether_a_file_gives_a_frame(base: Path, tmp_path: Path) -> None:
    assert gives_frame(base / "videos/plain.mp4")
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(b"noise" * 100)
    assert not gives_frame(noise)


# ---------------------------------------------------------------- mutations


@settings(max_examples=60)
@given(
    st.binary(max_size=200),
    st.sampled_from(["a.mp4", "a.json", "a.csv", "a.jsonl", "a.safetensors"]),
    st.integers(0, 99),
)
def test_mutations_take_anything_and_follow_from_the_seed(data: bytes, name: str, seed: int) -> None:
    first, second = (mutate(name, data, b"another file", np.random.default_rng(seed)) for _ in range(2))
    assert first == second


def test_a_case_follows_from_seed_and_index(base: Path, tmp_path: Path) -> None:
    case = make_case(base, tmp_path, 31)
    hashes = set()
    for _ in range(2):
        write_case(case)
        hashes.add(sha256_file(case.folder / case.file))
    assert len(hashes) == 1
    assert hashes != {sha256_file(base / case.file)}


def test_foreign_reference_checksums_of_png_are_repaired() -> None:
    _, encoded = cv2.imencode(".png", moving(1)[0])
    data = bytearray(encoded.tobytes())
    whole = bytes(data)
    data[29:33] = b"\0\0\0\0"  # the checksum of IHDR
    assert repair_png(bytes(data)) == whole
    assert repair_png(b"no PNG") == b"no PNG"


def test_members_of_archives_are_mutated_and_their_checksums_fit(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", json.dumps({"a": [1, 2, {"b": 3}]}))
    contents = set()
    for seed in range(40):
        changed = tmp_path / "changed.skops"
        changed.write_bytes(mutate("model.skops", path.read_bytes(), b"", np.random.default_rng(seed)))
        if kills.is_whole(changed):
            with zipfile.ZipFile(changed) as archive:
                contents.add(archive.read("schema.json"))
    assert len(contents) > 10


# ---------------------------------------------------------------- kills


def test_files_that_are_not_whole_are_told(base: Path, tmp_path: Path) -> None:
    video = (base / "videos/plain.mp4").read_bytes()
    weights = (base / "detector/weights.safetensors").read_bytes()
    for name, data in (("a.mp4", video), ("a.safetensors", weights), ("a.json", b"{}"), ("a.parquet", b"PAR1")):
        path = tmp_path / name
        path.write_bytes(data)
        assert kills.is_whole(path) == (name != "a.parquet")
        path.write_bytes(data[: len(data) // 2])
        assert not kills.is_whole(path)
    told = list(kills.list_problems(tmp_path))
    assert len(told) == 4
    for path in tmp_path.iterdir():
        path.rename(tmp_path / f".partial-host-1-{path.name}")
    assert list(kills.list_problems(tmp_path)) == [], "unfinished writes are known by their names"


@pytest.mark.long
def test_a_training_that_is_killed_ends_with_the_same_results(tmp_path: Path) -> None:
    assert kills.Campaign(tmp_path, np.random.default_rng(3)).run_task(kills.TRAINING[0], 2) == []
