"""What tables and site of many runs cost: seconds of one core, and memory. Run by `make speed`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from speed.timing import show

from dancebench.benchmark.report.write import write_leaderboards
from dancebench.core.files import sha256_json
from dancebench.core.workspace import Workspace
from dancebench.leaderboards.records import RunRecord, save_run

pytestmark = pytest.mark.speed
PUBLISHED = Path(__file__).parents[2] / "leaderboards" / "published" / "records"
MANY = 10_000
SECTION = 100
"""Records of a table."""
TABLES = """
import resource, sys
from pathlib import Path
from dancebench.leaderboards.board import rebuild
rebuild(Path(sys.argv[1]), Path(sys.argv[2]))
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


def load_published() -> list[dict[str, object]]:
    """The published records, as JSON of this version."""
    return [RunRecord.load(path).model_dump(mode="json") for path in sorted(PUBLISHED.glob("*.json"))]


def vary(record: dict[str, object], number: int) -> RunRecord:
    """Another run like a record."""
    data = json.loads(json.dumps(record))
    digest = sha256_json(number)
    data["run"]["id"] = f"{data['run']['kind']}-m{number}-{digest[:12]}"
    data["entry"]["name"] = f"m{number}"
    data["data"]["dataset_id"] = sha256_json(["section", number // SECTION])
    for metric in data["metrics"].values():
        if metric["value"] is not None:
            metric["value"] += 1e-6 * number
    return RunRecord.model_validate(data)


@pytest.mark.timeout(1800)
def test_tables_of_ten_thousand_records(tmp_path: Path) -> None:
    published = load_published()
    results = tmp_path / "results"
    results.mkdir()
    for number in range(MANY):
        record = vary(published[number % len(published)], number)
        (results / f"{record.run.id}.json").write_text(json.dumps(record.model_dump(mode="json")))
    told = subprocess.run(
        [sys.executable, "-c", TABLES, str(results), str(tmp_path / "out")],
        capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    ).stdout.split()  # fmt: skip
    seconds, gigabytes = float(told[0]), float(told[1]) * (1 if sys.platform == "darwin" else 1024) / 1e9
    show(f"tables of {MANY} records", f"{seconds:.1f} s of one core with the start of Python, {gigabytes:.2f} GB")
    assert gigabytes < 1
    assert seconds < 20


def list_scores(seed: int) -> pd.DataFrame:
    """Video and pair rows of a detector on 14 people."""
    rng = np.random.default_rng(seed)
    videos = pd.DataFrame(
        [
            (f"p{person}/{number}", f"p{person}", None if number < 4 else "fbf-ts", float(number >= 4))
            for person in range(14)
            for number in range(9)
        ],
        columns=["video_id", "subject_id", "method", "label"],
    )
    videos = videos.assign(level="video", status="ok", score=rng.normal(size=len(videos)) + videos["label"])
    pairs = pd.DataFrame({"level": "pair", "video_id": np.repeat(videos["video_id"], 40), "logit": 0.0})
    return pd.concat([videos.assign(llr=2 * videos["score"]), pairs], ignore_index=True)


def list_frames(record: RunRecord) -> pd.DataFrame:
    rows = [(frame, person) for person in record.per_subject for frame in range(300)]
    return pd.DataFrame(rows, columns=["t", "subject"]).assign(body_ssim=0.8)


def save_varied(results: Path, published: list[dict[str, object]], number: int) -> None:
    record = vary(published[number % len(published)], number)
    save_run(results, record, list_scores(number) if record.run.kind == "detection" else list_frames(record))


@pytest.mark.timeout(1800)
def test_a_site_of_a_hundred_runs(tmp_path: Path) -> None:
    published = load_published()
    workspace = Workspace(tmp_path / "workspace")
    for number in range(100):
        save_varied(workspace.results, published, number)

    def measure() -> float:
        before = time.process_time()
        write_leaderboards(workspace)
        return time.process_time() - before

    cold, unchanged = measure(), measure()
    save_varied(workspace.results, published, 100)
    one_new = measure()
    megabytes = sum(path.stat().st_size for path in workspace.site.rglob("*") if path.is_file()) / 1e6
    show(
        "site of 100 runs with their tables, of one core",
        f"{cold:.1f} s cold, {one_new:.1f} s with one new run, {unchanged:.1f} s unchanged, {megabytes:.1f} MB",
    )
    assert cold < 60
    assert one_new < 5
    assert megabytes < 30
