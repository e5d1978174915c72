"""A hundred raters at once, and the server killed in the middle: what was acknowledged is there, once."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from study_site import Browser, make_toys, plan_study

from dancebench.benchmark.study.make import make_study
from dancebench.benchmark.study.records import Access, StudyFolder
from dancebench.benchmark.study.store import Store

RATERS = 100
KILL_AFTER = 150
"""Acknowledged answers."""


def find_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def start(root: Path, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "dancebench.benchmark.cli", "study", "serve", "pilot", "--port", str(port)]
    process = subprocess.Popen([*command, "--workspace", str(root)], stdout=subprocess.DEVNULL)
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return process
    raise AssertionError("the server does not start")


class Patient(Browser):
    """Asks again until it is answered, as the page does."""

    def ask(self, path: str, body: Any = None) -> tuple[int, Any]:
        limit = time.monotonic() + 120
        while time.monotonic() < limit:
            try:
                return super().ask(path, body)
            except (OSError, http.client.HTTPException):
                time.sleep(0.1)
        raise AssertionError("the server did not come back")


def test_no_acknowledged_answer_is_lost_and_none_counts_twice(tmp_path: Path) -> None:
    workspace, dataset = make_toys(tmp_path / "w")
    study = make_study(plan_study(workspace, dataset, trials=4, checks=1))
    folder, port = StudyFolder(workspace, "pilot"), find_port()
    token = Access.load(folder.access_path).token
    acknowledged: dict[tuple[str, int], dict[str, str]] = {}
    enough, lock = threading.Event(), threading.Lock()

    def answer_all(number: int) -> str:
        browser = Patient(("127.0.0.1", port), token)
        browser.enrol(id=f"panel-{number}")
        while (session := browser.read())["state"] == "trial":
            trial, rater = session["trial"], session["rater"]
            time.sleep(max(video["seconds"] for video in trial["videos"]))
            answer = browser.make_answer(trial, "ab"[(number + trial["position"]) % 2])
            status, reply = browser.ask("/api/answer", answer)
            if status == 200:
                assert reply["stored"]
                with lock:
                    acknowledged[rater, trial["position"]] = answer["answers"]
                    if len(acknowledged) >= KILL_AFTER:
                        enough.set()
            else:
                assert status == 409, reply  # sent before the server knew the trial again, or stored already
        return str(session["state"])

    first = start(workspace.root, port)
    with ThreadPoolExecutor(RATERS) as pool:
        sessions = [pool.submit(answer_all, number) for number in range(RATERS)]
        assert enough.wait(120)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        before = len(acknowledged)
        second = start(workspace.root, port)
        states = [session.result() for session in sessions]
    second.terminate()
    second.wait()
    store = Store(folder.store_path, study)
    trials, raters = store.list_trials(), store.list_raters()
    store.close()
    stored = {(trial.rater, trial.position): trial.answers for trial in trials if trial.state == "answered"}
    assert KILL_AFTER <= before < len(stored)
    assert {key: stored.get(key) for key in acknowledged} == acknowledged
    assert len(raters) == len({rater.panel["id"] for rater in raters}) == RATERS
    assert len(trials) == len({(trial.rater, trial.position) for trial in trials}) == RATERS * 5
    assert set(states) <= {"finished", "screened"}
    open_trials = {trial.rater for trial in trials if trial.state == "open"}
    assert open_trials <= {rater.id for rater in raters if rater.state == "screened"}
