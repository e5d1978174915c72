"""Every document that a user may hand over, in every shape that none may have: one line, a hint, and no waiting."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from outside_files import make_detector

from dancebench.core import environment
from dancebench.core.errors import BenchError
from dancebench.core.files import read_array, write_arrays
from dancebench.core.nn.checkpoint import load_checkpoint
from dancebench.core.workspace import WorkspaceRecord
from dancebench.datasets.corpora.manifest import read_manifest
from dancebench.datasets.importers.edn import _read_box
from dancebench.datasets.importers.openpose import read_people
from dancebench.datasets.subjects.permission import state_permission
from dancebench.datasets.subjects.prepare import read_poses
from dancebench.datasets.subjects.records import DatasetRecord, SubjectRecord
from dancebench.datasets.subjects.supplied import label_path, read_face_boxes, read_label
from dancebench.datasets.video.frames import open_source
from dancebench.detect.casework.score import ScoreReport
from dancebench.detect.detectors.foreign._onnx_model import inspect_model, read_model
from dancebench.detect.detectors.foreign.preprocessing import read_preprocessing
from dancebench.detect.protocol.card import CARD, DetectorCard, load_detector
from dancebench.detect.protocol.score_file import read_submission
from dancebench.leaderboards.records import RunRecord

READERS: dict[str, Callable[[Path], Any]] = {
    "card.json": DetectorCard.load,
    "report.json": ScoreReport.load,
    "record.json": RunRecord.load,
    "dataset.json": DatasetRecord.load,
    "subject.json": SubjectRecord.load,
    "workspace.json": WorkspaceRecord.load,
    "manifest.jsonl": read_manifest,
    "scores.csv": lambda path: read_submission(path, []),
    "net.onnx": lambda path: inspect_model(read_model(path), path.name),
    "net.toml": read_preprocessing,
    "openpose.json": read_people,
    "face.txt": lambda path: _read_box(path, (64, 32)),
    "poses.npz": read_poses,
    "face_boxes.npz": read_face_boxes,
    "state.safetensors": load_checkpoint,
    "labels/000000.png": lambda path: read_label(path.parent.parent, 0),
    "images/1.png": lambda path: list(open_source(path.parent).frames()),
    "video.mp4": open_source,
}


def bind_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)
    os.chdir(here)


CONTENTS: dict[str, Callable[[Path], Any]] = {
    "pipe": os.mkfifo,
    "socket": bind_socket,
    "folder": Path.mkdir,
    "empty": Path.touch,
    "deep": lambda path: path.write_text("[" * 100_000),
    "deep with a version": lambda path: path.write_text('{"schema_version": 1, "a": ' + "[" * 100_000),
    "digits": lambda path: path.write_text('{"schema_version": ' + "1" * 5000 + "}"),
    "infinite": lambda path: path.write_text('{"schema_version": 1e999, "people": [{"pose_keypoints_2d": [NaN]}]}'),
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 10),
    "list": lambda path: path.write_text("[1, 2]"),
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_such_document_is_one_line_and_a_hint(name: str, content: str, tmp_path: Path) -> None:
    if (name, content) == ("manifest.jsonl", "empty"):
        pytest.skip("that is a manifest without rows")
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    CONTENTS[content](path)
    with pytest.raises(BenchError) as caught:
        READERS[name](path)
    assert caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.timeout(30)
@pytest.mark.parametrize("content", ["pipe", "socket", "folder"])
def test_a_consent_that_is_no_file(content: str, tmp_path: Path) -> None:
    CONTENTS[content](tmp_path / "consent.txt")
    with pytest.raises(BenchError, match="is not a regular file"):
        state_permission("target", consent=str(tmp_path / "consent.txt"), legal_basis=None)


# ---------------------------------------------------------------- cards and arrays of strangers


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_detector(tmp_path_factory.mktemp("detector")) / CARD


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("calibration", "video", "subjects"), -1),
        (("calibration", "pair", "subjects"), 0),
        (("calibration", "video", "items"), 10**400),
        (("training_domain", "mean"), []),
        (("training_domain", "mean", 0), 1e300),
        (("training_domain", "spread", 0), 0),
        (("training_domain", "basis"), []),
        (("training_domain", "basis", 0), [0.0]),
        (("training_domain", "basis", 0, 0), -1e9),
        (("training_domain", "variances", 0), 1e308),
        (("training_domain", "rest"), 0),
        (("training_domain", "stages"), []),
        (("training_domain", "stages", 0, "spread"), 0),
        (("training_domain", "limit"), -1),
        (("clip_format", "fps_min"), -25),
        (("config", "ndf"), 10**9),
        (("config", "seed"), 10**400),
        (("config", "pairs"), 10**400),
    ],
)
def test_an_emptied_or_absurd_card_is_refused(place: tuple[str | int, ...], value: object, card: Path) -> None:
    written = card.read_text()
    data = part = json.loads(written)
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    try:
        card.write_text(json.dumps(data))
        with pytest.raises(BenchError) as caught:
            load_detector(card.parent)
    finally:
        card.write_text(written)
    assert caught.value.hint
    assert load_detector(card.parent)


def test_arrays_are_read_as_written_and_others_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    write_arrays(path, boxes=values)
    np.testing.assert_array_equal(read_array(path, "boxes", (4,)), values)
    for arrays in ({"other": values}, {"boxes": values.T}, {"boxes": values.astype(np.float64)}):
        write_arrays(path, **arrays)
        with pytest.raises(BenchError, match="missing or damaged"):
            read_array(path, "boxes", (4,))


def test_an_array_that_unpacks_to_gigabytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dancebench.core.files._MAX_ARRAY", 10_000)
    write_arrays(tmp_path / "a.npz", keypoints=np.zeros((100, 75, 3), np.float32))
    with pytest.raises(BenchError, match="more than 10,000 bytes"):
        read_poses(tmp_path / "a.npz")


def test_a_label_picture_of_gigabytes_is_refused_by_its_header(tmp_path: Path) -> None:
    path = label_path(tmp_path, 0)
    path.parent.mkdir()
    header = b"IHDR" + (30_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + zlib.crc32(header).to_bytes(4, "big") + b"\0\0\0\0IDAT")
    with pytest.raises(BenchError, match=r"declares pictures of"):
        read_label(tmp_path, 0)


# ---------------------------------------------------------------- the user's repository


def test_git_is_asked_without_a_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """`git status` refreshes the index, for which it locks it against the user's own commands."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(environment.subprocess, "run", run)
    environment.read_code_version.__wrapped__()
    assert len(commands) == 2
    assert all(command[:2] == ["git", "--no-optional-locks"] for command in commands)
