"""`bench study` on the command line: from fakes to a report, and every refusal as a cause and a hint."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from click.testing import Result
from study_site import make_toys
from typer.testing import CliRunner

from dancebench.benchmark.cli import app
from dancebench.benchmark.study.records import Access, StudyFolder
from dancebench.benchmark.study.store import Store
from dancebench.core.workspace import Workspace
from dancebench.leaderboards.perceptual.votes import read_votes

METHODS = ("--method", "fbf", "--method", "fbf-ts", "--method", "nearest")
CONTACT = ("--contact", "A. Researcher, a@example.org")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace, _ = make_toys(tmp_path_factory.mktemp("cli") / "w")
    return workspace.root


def bench(root: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["study", *map(str, arguments), "--workspace", str(root)])


def make(root: Path, name: str, *arguments: str) -> Result:
    return bench(root, "make", name, *METHODS, "--dataset", "toys", "--preset", "tiny", *CONTACT, *arguments)


def refuse(result: Result, said: str, status: int = 1) -> None:
    assert result.exit_code == status, result.output
    assert said in " ".join(result.output.split())
    if status == 1:
        errors = [line for line in result.output.splitlines() if line.startswith(("error:", "hint:"))]
        assert [line.split(":")[0] for line in errors] == ["error", "hint"]
    assert "Traceback" not in result.output


def test_from_fakes_to_a_rehearsal(root: Path) -> None:
    made = make(root, "pilot", "--seconds", "0.2", "--set", "rules.max_same_side=0.9")
    assert made.exit_code == 0, made.output
    assert "study pilot: 15 pairs of 5 subjects, 144x256" in made.output
    study = StudyFolder(Workspace(root), "pilot").load()
    assert study.rules.max_same_side == 0.9
    assert study.rules_sha256 in made.output
    rehearsed = bench(
        root, "rehearse", "pilot", "--raters", "6", "--strength", "fbf-ts=2", "--set", "raters.careless=0", "--json"
    )
    assert rehearsed.exit_code == 0, rehearsed.output
    told = json.loads(rehearsed.stdout)
    assert told["truth"] == {"fbf": 0.0, "fbf-ts": 2.0, "nearest": 1.0}
    assert told["acknowledged"] == told["stored"] > 6 * 15
    shown = bench(root, "rehearse", "pilot", "--raters", "3")
    assert shown.exit_code == 0, shown.output
    assert "difference found" in shown.output
    assert "raters that a preference needs" in shown.output


def test_the_page_is_served_until_it_is_stopped(root: Path) -> None:
    assert make(root, "served", "--size", "native").exit_code == 0
    command = [sys.executable, "-m", "dancebench.benchmark.cli", "study", "serve", "served", "--port", "0"]
    process = subprocess.Popen([*command, "--workspace", str(root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    lines = [process.stdout.readline().decode() for _ in range(3)]
    access = Access.load(StudyFolder(Workspace(root), "served").access_path)
    link = re.search(r"http://127\.0\.0\.1:\d+/\?t=\S+", lines[0])
    assert link is not None
    assert link.group().endswith(access.token)
    assert "PROLIFIC_PID={{%PROLIFIC_PID%}}" in lines[1]
    assert access.completed in lines[2]
    with urllib.request.urlopen(link.group(), timeout=20) as response:
        assert b"Video study" in response.read()
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["server"] is None
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(link.group().partition("?")[0] + "api/study", timeout=20)
    assert caught.value.code == 403
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    assert "Report with: bench study report served" in process.stderr.read().decode()
    process.stdout.close()
    process.stderr.close()


def test_report_export_import_and_erase(root: Path, tmp_path: Path) -> None:
    assert make(root, "asked", "--checks", "0", "--set", "rules.require_finished=false").exit_code == 0
    folder = StudyFolder(Workspace(root), "asked")
    store = Store(folder.store_path, folder.load())
    play = {"ended": True, "played_s": 1, "wall_s": None, "dropped": 0, "frames": 0}
    raters = [store.enrol({}, {}).rater.id for _ in range(3)]
    for rater in raters:
        for position in range(6):
            log = {"playback": {"a": play, "b": play}}
            store.answer(rater, position, {"realistic": "ab"[position % 2]}, log)
    store.close()
    assert folder.store_path.stat().st_mode & 0o077 == 0
    reported = bench(root, "report", "asked")
    assert reported.exit_code == 0, reported.output
    assert "3 raters enrolled, 0 finished, 3 used" in reported.output
    assert str(folder.path / "report.md") in reported.output.replace("\n", "")
    assert (root / "leaderboards" / "perceptual.md").exists()
    for columns in ("bench", "pwcmp"):
        path = tmp_path / f"{columns}.csv"
        assert bench(root, "export", "asked", path, "--columns", columns).exit_code == 0
        imported = bench(root, "import", path, f"again-{columns}", "--columns", columns)
        assert imported.exit_code == 0, imported.output
        again = json.loads(bench(root, "report", f"again-{columns}", "--json").stdout)
        first = json.loads(bench(root, "report", "asked", "--json").stdout)
        assert again["questions"][0]["pairs"] == first["questions"][0]["pairs"]
    erased = bench(root, "erase", "asked", raters[0])
    assert erased.exit_code == 0, erased.output
    assert "2 raters enrolled" not in erased.output
    assert bench(root, "export", "asked", tmp_path / "less.csv").exit_code == 0
    assert {vote.rater for vote in read_votes(tmp_path / "less.csv")} == set(raters[1:])
    refuse(bench(root, "erase", "asked", raters[0]), "Unknown rater")
    refuse(bench(root, "export", "asked", tmp_path / "x.csv", "--question", "face"), "Unknown question 'face'")


def test_refusals(root: Path, tmp_path: Path) -> None:
    for command in ("serve", "report", "rehearse"):
        refuse(bench(root, command, "nothing"), "There is no study 'nothing'")
    refuse(make(root, "x", "--task", "ednn"), "Unknown task 'ednn'")
    refuse(make(root, "x", "--subject", "9"), "Unknown subject '9'")
    refuse(make(root, "x", "--set", "rules.kindness=1"), "Unknown setting of 'rules'")
    refuse(make(root, "x", "--set", "rules.max_same_side=2"), "rules.max_same_side is refused")
    refuse(make(root, "x/y"), "cannot be the name of a study")
    refuse(make(root, "x", "--size", "12by3"), "neither HEIGHTxWIDTH", 2)
    refuse(make(root, "x", "--size", "143x256"), "neither HEIGHTxWIDTH", 2)
    one = ("--method", "fbf", "--dataset", "toys", "--preset", "tiny", *CONTACT)
    refuse(bench(root, "make", "x", *one), "a comparison takes two methods", 2)
    refuse(bench(root, "make", "x", "--method", "fbff", *one), "Unknown method 'fbff'")
    refuse(bench(root, "import", tmp_path / "none.csv", "x"), "does not exist")
    refuse(bench(root, "import", tmp_path / "none.csv", "x", "--columns", "jod"), "Unknown set of columns")
    assert not (root / "studies" / "x").exists()


def test_strengths_that_are_none(root: Path) -> None:
    assert make(root, "strong").exit_code == 0
    refuse(make(root, "strong"), "The study 'strong' exists")
    refuse(bench(root, "rehearse", "strong", "--strength", "posewarp=1"), "Unknown method of the study")
    refuse(bench(root, "rehearse", "strong", "--strength", "fbf=much"), "is not METHOD=LOGITS", 2)
    refuse(bench(root, "rehearse", "strong", "--strength", "fbf=nan"), "between -20 and 20", 2)
    refuse(bench(root, "rehearse", "strong", "--set", "raters.count=3"), "is set by --raters")


def test_a_clip_that_was_changed_and_a_port_that_is_taken(root: Path) -> None:
    assert make(root, "changed").exit_code == 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refuse(bench(root, "serve", "changed", "--port", port), "Cannot listen on 127.0.0.1")
    folder = StudyFolder(Workspace(root), "changed")
    folder.clip_path(folder.load().clips[0].id).write_bytes(b"")
    refuse(bench(root, "serve", "changed", "--port", "0"), "was changed")
    refuse(bench(root, "rehearse", "changed"), "was changed")


def test_without_the_extra_the_page_says_how_to_install_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert make(root, "bare").exit_code == 0
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    refuse(bench(root, "serve", "bare", "--port", "0"), "The study's page needs uvicorn")
    assert bench(root, "report", "bare").exit_code == 0


def test_votes_need_no_page_and_keep_their_line_numbers(root: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("rater,subject,source,question,option_1,option_2,choice\nr,s,x,q,a,b,a\nr,s,x,q,a,b,c\n")
    refuse(bench(root, "import", bad, "bad"), "bad.csv:3 is not an answer")
    assert not (root / "studies" / "bad").exists()
    good = tmp_path / "good.csv"
    good.write_text("rater,subject,source,method,answer\nr,s,x,fbf,fake\nr,s,x,real,real\nq,t,x,fbf,real\n")
    assert bench(root, "import", good, "judged").exit_code == 0
    assert "fbf taken for real" in bench(root, "report", "judged").output
    refuse(bench(root, "serve", "judged"), "has no page")
    refuse(bench(root, "export", "judged", tmp_path / "p.csv", "--columns", "pwcmp"), "not single videos")
