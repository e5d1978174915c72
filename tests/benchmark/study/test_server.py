"""The page's server: what it stores, and everything that it refuses without losing anything."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from study_site import Browser, Site

from dancebench.benchmark.study.body_limit import MAX_BODY

Serve = Callable[..., Site]


def run_session(browser: Browser, choose: Callable[[dict[str, Any]], str] = lambda _: "a") -> dict[str, Any]:
    """Answer every trial; the last state."""
    while (session := browser.read())["state"] == "trial":
        answer = browser.make_answer(session["trial"], choose(session["trial"]))
        assert browser.ask("/api/answer", answer) == (200, {"stored": True, "again": False})
    return session


def answer_as_told(site: Site) -> Callable[[dict[str, Any]], str]:
    """Pass every attention check; else the first video."""
    expected = {check.clips: check.expected for check in site.study.checks if check.kind == "obvious"}

    def choose(trial: dict[str, Any]) -> str:
        ids = tuple(video["id"] for video in trial["videos"])
        for clips in (ids, ids[::-1]):
            if clips in expected:
                return "ab"[ids.index(expected[clips])]
        return trial["instruction"] or "a"

    return choose


def list_answers(site: Site) -> list[Any]:
    return [trial.answers for trial in site.store.list_trials() if trial.state == "answered"]


def test_a_whole_session(serve: Serve) -> None:
    site = serve()
    browser = site.open_browser()
    status, told = browser.ask("/api/study")
    assert (status, told["trials"], told["contact"]) == (200, 15 + 2, site.study.contact)
    browser.enrol(id="panel-7", study="s", session="t")
    end = run_session(browser, answer_as_told(site))
    assert (end["state"], end["code"]) == ("finished", site.access.completed)
    assert len(list_answers(site)) == 17
    [rater] = site.store.list_raters()
    assert (rater.panel, rater.state) == ({"id": "panel-7", "study": "s", "session": "t"}, "finished")
    log = site.store.list_trials()[0].log
    assert log is not None
    assert (log["reaction_ms"], log["served_s"] > 0) == (900, True)


def test_the_page_and_its_headers(serve: Serve) -> None:
    browser = serve().open_browser()
    for path in ("/", "/page/page.js", "/page/trial.js", "/page/connection.js", "/page/page.css"):
        assert browser.send("GET", path, **{"X-Study-Token": ""})[0] == 200
    assert browser.send("GET", "/page/records.py")[0] == 404
    assert browser.send("GET", "/docs")[0] == 404


def test_a_rater_who_fails_the_checks_ends_with_the_other_code(serve: Serve) -> None:
    site = serve()
    browser = site.open_browser()
    browser.enrol()
    told = answer_as_told(site)
    checks = [{*check.clips} for check in site.study.checks if check.kind == "obvious"]

    def fail(trial: dict[str, Any]) -> str:
        is_check = trial["instruction"] or {video["id"] for video in trial["videos"]} in checks
        return {"a": "b", "b": "a"}[told(trial)] if is_check else "a"

    end = run_session(browser, fail)
    assert (end["state"], end["code"]) == ("screened", site.access.screened_out)
    assert site.access.screened_out != site.access.completed


def test_a_session_goes_on_in_the_same_place_and_a_panel_s_rater_comes_once(serve: Serve) -> None:
    site = serve()
    first, second = site.open_browser(), site.open_browser()
    first.enrol(id="p1")
    shown = first.read()["trial"]
    first.ask("/api/answer", first.make_answer(shown))
    again = first.read()
    assert again == first.read(), "a tab that is opened again shows the same trial"
    assert again["trial"]["position"] != shown["position"]
    second.enrol(id="p1")
    assert second.read()["trial"] == again["trial"]
    assert first.ask("/api/session")[0] == 401, "one rater has one session"
    assert len(site.store.list_raters()) == 1


def test_an_answer_sent_twice_counts_once_and_another_one_does_not_take_its_place(serve: Serve) -> None:
    site = serve()
    browser = site.open_browser()
    browser.enrol()
    answer = browser.make_answer(browser.read()["trial"])
    assert browser.ask("/api/answer", answer) == (200, {"stored": True, "again": False})
    assert browser.ask("/api/answer", answer) == (200, {"stored": True, "again": True})
    status, reply = browser.ask("/api/answer", answer | {"answers": {"realistic": "b"}})
    assert (status, "stays" in reply["detail"]) == (409, True)
    assert browser.ask("/api/void", {"position": answer["position"], "reason": "x"})[0] == 409
    assert list_answers(site) == [{"realistic": "a"}]


@pytest.mark.parametrize("path", ["/api/study", "/api/session", "/clips/x"])
def test_an_unknown_token_opens_nothing(path: str, serve: Serve) -> None:
    site = serve()
    browser = site.open_browser()
    browser.enrol()
    browser.token = "guessed"
    assert browser.ask(path)[0] == 403
    browser.token = "gu\u00e9ssed".encode().decode("latin-1")
    assert browser.ask(path)[0] == 403
    assert browser.ask("/api/enrol", {"agreed": True})[0] == 403
    assert len(site.store.list_raters()) == 1


def test_an_unknown_secret_votes_for_nobody(serve: Serve) -> None:
    site = serve()
    browser = site.open_browser()
    browser.enrol()
    answer = browser.make_answer(browser.read()["trial"])
    for secret in ("", "guessed"):
        browser.secret = secret
        assert browser.ask("/api/answer", answer)[0] == 401
    assert list_answers(site) == []


def test_without_agreement_nobody_enrols(serve: Serve) -> None:
    site = serve()
    for body in ({}, {"agreed": False}, {"agreed": True, "panel": {"name": "x"}}, {"agreed": True, "ip": "1.2.3.4"}):
        status, reply = site.open_browser().ask("/api/enrol", body)
        assert (status, reply["detail"][:16]) == (422, "Not understood: ")
    assert site.store.list_raters() == []


def test_an_answer_before_both_videos_ended_is_refused(serve: Serve) -> None:
    site = serve()
    browser = site.open_browser()
    browser.enrol()
    trial = browser.read()["trial"]
    for change in ({"ended": False}, {"played_s": 0.01}):
        answer = browser.make_answer(trial)
        answer["log"]["playback"]["b"] |= change
        assert browser.ask("/api/answer", answer)[0] == 409
    answer = browser.make_answer(trial)
    del answer["log"]["playback"]["b"]
    assert browser.ask("/api/answer", answer)[0] == 422
    assert list_answers(site) == []
    assert browser.ask("/api/answer", browser.make_answer(trial))[0] == 200


def test_an_answer_sooner_than_videos_can_end_is_refused_whatever_the_page_says(serve: Serve) -> None:
    site = serve()
    browser = site.open_browser()
    browser.enrol()
    site.clock[1] = 0.001
    trial = browser.read()["trial"]
    assert browser.ask("/api/answer", browser.make_answer(trial))[0] == 409
    assert list_answers(site) == []
    site.clock[1] = 1.0
    assert browser.ask("/api/answer", browser.make_answer(trial))[0] == 200


@pytest.mark.parametrize("position", [99, -1, "x", None, 1.5])
def test_a_trial_that_does_not_exist(position: object, serve: Serve) -> None:
    site = serve()
    browser = site.open_browser()
    browser.enrol()
    answer = browser.make_answer(browser.read()["trial"]) | {"position": position}
    assert browser.ask("/api/answer", answer)[0] in (404, 422)
    assert browser.ask("/api/void", {"position": position, "reason": "x"})[0] in (404, 422)
    assert list_answers(site) == []


@pytest.mark.parametrize(
    "answers", [{}, {"realistic": "c"}, {"other": "a"}, {"realistic": "real"}, {"realistic": None}]
)
def test_an_answer_that_is_none(answers: object, serve: Serve) -> None:
    site = serve()
    browser = site.open_browser()
    browser.enrol()
    assert browser.ask("/api/answer", browser.make_answer(browser.read()["trial"]) | {"answers": answers})[0] == 422
    assert list_answers(site) == []


def test_a_body_of_10_megabytes_is_refused_whatever_its_header_says(serve: Serve) -> None:
    site = serve()
    browser = site.open_browser()
    browser.enrol()
    huge = json.dumps({"text": "x" * 10_000_000}).encode()
    with_header = b""
    try:
        status, with_header = browser.send("POST", "/api/comment", huge)
        assert status == 413
    except (BrokenPipeError, ConnectionResetError):
        pass  # refused while it was still being sent
    assert b"stored" not in with_header
    chunked = (b"%x\r\n%s\r\n" % (len(part), part) for part in (b"x" * MAX_BODY, b"y" * 10, b""))
    status, _ = browser.send("POST", "/api/comment", b"".join(chunked), **{"Transfer-Encoding": "chunked"})
    assert status in (400, 413)
    assert browser.ask("/api/comment", {"text": "x" * 2001})[0] == 422
    [rater] = site.store.list_raters()
    assert rater.comment is None
    assert browser.read()["state"] == "trial"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b'{"position": 1e999}', b"[" * 20_000])
def test_a_body_that_is_no_message(body: bytes, serve: Serve) -> None:
    browser = serve().open_browser()
    browser.enrol()
    browser.read()
    assert browser.send("POST", "/api/answer", body)[0] in (400, 422)
    assert browser.read()["done"] == 0


@pytest.mark.parametrize(
    "name", ["..%2f..%2faccess.json", "%2e%2e/access.json", "..\\study.json", "%00", "x" * 5000, "access.json", "a/b"]
)
def test_a_path_in_the_name_of_a_video_opens_no_file(name: str, serve: Serve) -> None:
    browser = serve().open_browser()
    browser.enrol()
    status, text = browser.send("GET", f"/clips/{name}")
    assert status == 404
    assert b"token" not in text


def test_html_in_a_comment_is_kept_as_it_is_and_shown_by_nobody(serve: Serve) -> None:
    site = serve()
    browser = site.open_browser()
    browser.enrol()
    text = "<script>alert(1)</script> | [x](javascript:alert(1))"
    assert browser.ask("/api/comment", {"text": text})[0] == 200
    assert site.store.list_raters()[0].comment == text
    assert "script" not in json.dumps(browser.read())


@pytest.mark.parametrize("jump", [-5.0, 1e12, None])
def test_a_clock_that_jumps_leaves_the_answer_and_no_time(jump: float | None, serve: Serve) -> None:
    site = serve()
    browser = site.open_browser()
    browser.enrol()
    answer = browser.make_answer(browser.read()["trial"], reaction_ms=jump)
    answer["log"]["playback"]["a"] |= {"wall_s": jump, "stalled_s": jump}
    assert browser.ask("/api/answer", answer)[0] == 200
    log = site.store.list_trials()[0].log
    assert log is not None
    assert log["reaction_ms"] is None
    assert log["playback"]["a"]["wall_s"] is None


def test_clips_are_served_whole_and_in_part(serve: Serve) -> None:
    site = serve()
    browser = site.open_browser()
    browser.enrol()
    [first, _] = browser.read()["trial"]["videos"]
    data = site.folder.clip_path(first["id"]).read_bytes()
    assert browser.send("GET", f"/clips/{first['id']}") == (200, data)
    assert browser.send("GET", f"/clips/{first['id']}", Range="bytes=10-19") == (206, data[10:20])


def test_a_clip_that_was_changed_is_not_shown_and_its_trial_is_not_lost(serve: Serve) -> None:
    site = serve(seed=1)
    browser = site.open_browser()
    browser.enrol()
    session = browser.read()
    [first, _] = session["trial"]["videos"]
    path = site.folder.clip_path(first["id"])
    path.write_bytes(path.read_bytes() + b"\0")
    assert browser.send("GET", f"/clips/{first['id']}")[0] == 410
    path.unlink()
    assert browser.send("GET", f"/clips/{first['id']}")[0] == 410
    position = session["trial"]["position"]
    for _ in range(2):
        assert browser.ask("/api/void", {"position": position, "reason": "status 410"})[0] == 200
    [void] = [trial for trial in site.store.list_trials() if trial.state == "void"]
    assert (void.position, void.reason) == (position, "status 410")
    assert browser.ask("/api/answer", browser.make_answer(session["trial"]))[0] == 409
    shutil.rmtree(site.folder.path)


def test_a_full_disk_acknowledges_nothing_and_loses_nothing(serve: Serve) -> None:
    site = serve()
    browser = site.open_browser()
    browser.enrol()
    stored = browser.make_answer(browser.read()["trial"])
    assert browser.ask("/api/answer", stored)[0] == 200
    connection = site.store._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    refused = None
    while refused is None:
        trial = browser.read()["trial"]
        answer = browser.make_answer(trial)
        status, reply = browser.ask("/api/answer", answer)
        if status != 200:
            refused = answer
            assert (status, "could not be stored" in reply["detail"]) == (507, True)
            assert str(site.store.path) not in reply["detail"]
    before = list_answers(site)
    connection.execute("PRAGMA max_page_count = 1000000")
    assert browser.ask("/api/answer", refused) == (200, {"stored": True, "again": False})
    assert len(list_answers(site)) == len(before) + 1


def test_who_withdraws_is_erased(serve: Serve) -> None:
    site = serve()
    stays, leaves = site.open_browser(), site.open_browser()
    stays.enrol(id="stays")
    leaves.enrol(id="leaves-for-ever")
    for browser in (stays, leaves):
        browser.ask("/api/answer", browser.make_answer(browser.read()["trial"]))
    leaves.ask("/api/comment", {"text": "erase this comment"})
    assert leaves.ask("/api/withdraw", {}) == (200, {"erased": True})
    assert leaves.ask("/api/session")[0] == 401
    assert [rater.panel["id"] for rater in site.store.list_raters()] == ["stays"]
    assert len(list_answers(site)) == 1
    assert (site.store.count("enrolled"), site.store.count("erased")) == (2, 1)
    for path in site.store.path.parent.glob(f"{site.store.path.name}*"):
        data = path.read_bytes()
        assert b"leaves-for-ever" not in data, path
        assert b"erase this comment" not in data, path


def test_single_videos_are_called_real_or_fake(serve: Serve) -> None:
    site = serve("real-or-fake")
    browser = site.open_browser()
    browser.enrol()
    seen = 0
    while (session := browser.read())["state"] == "trial":
        trial = session["trial"]
        assert len(trial["videos"]) == 1
        assert browser.ask("/api/answer", browser.make_answer(trial))[0] == 422
        choice = trial["instruction"] or "fake"
        answer = browser.make_answer(trial) | {"answers": {"real-or-fake": choice}}
        assert browser.ask("/api/answer", answer)[0] == 200
        seen += 1
    assert (session["state"], seen) == ("finished", 18 + 2)


def test_five_questions_need_five_answers(serve: Serve) -> None:
    site = serve("ddg")
    browser = site.open_browser()
    browser.enrol()
    trial = browser.read()["trial"]
    assert len(trial["videos"]) == 3, "all methods of a subject at once"
    assert browser.ask("/api/study")[1]["at_once"] == 3
    answers = {question.id: "c" for question in site.study.questions}
    assert len(answers) == 5
    for other in ("d", "e", "real"):
        refused = browser.make_answer(trial) | {"answers": answers | {"overall": other}}
        assert browser.ask("/api/answer", refused)[0] == 422
    unheard = browser.make_answer(trial) | {"answers": answers}
    del unheard["log"]["playback"]["c"]
    assert browser.ask("/api/answer", unheard)[0] == 422, "the third video was not seen"
    assert browser.ask("/api/answer", browser.make_answer(trial) | {"answers": {"body": "a"}})[0] == 422
    assert browser.ask("/api/answer", browser.make_answer(trial) | {"answers": answers})[0] == 200
    assert list_answers(site) == [answers]
