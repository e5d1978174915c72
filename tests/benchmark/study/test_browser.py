"""A real browser: a whole session by keyboard, with one video that does not load. Needs Chromium; downloads none."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from study_site import Site

from dancebench.benchmark.study.exclusion import apply_rules
from dancebench.benchmark.study.server import PAGE

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

Serve = Callable[..., Site]
READY = "button:has-text('Play'):enabled"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no Chromium on this machine (apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.getuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=found, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(params=[(1440, 900), pytest.param((390, 844), marks=pytest.mark.long)], ids=["desktop", "phone"])
def page(request: pytest.FixtureRequest, chromium: Any) -> Iterator[Any]:
    width, height = request.param
    context = chromium.new_context(viewport={"width": width, "height": height})
    opened = context.new_page()
    opened.set_default_timeout(30_000)
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    context.close()
    assert errors == []


def open_page(page: Any, site: Site, query: str = "") -> None:
    page.goto(f"http://{site.address[0]}:{site.address[1]}/?t={site.access.token}{query}")


def agree(page: Any) -> None:
    """Consent by keyboard alone."""
    page.wait_for_selector("#agree")
    assert page.locator("button:has-text('Begin')").is_disabled()
    while page.evaluate("document.activeElement.id") != "agree":
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")


def choose(page: Any, site: Site) -> str:
    """The key of the answer that an attentive rater gives."""
    if page.locator("#instruction").count():
        return "b" if "Video B" in page.inner_text("#instruction") else "a"
    return "a"


def test_a_session_by_keyboard_with_a_video_that_fails(page: Any, serve: Serve) -> None:
    site = serve(trials=4, checks=1)
    failing: list[str] = []

    def fail_once(route: Any) -> None:
        """The first clip that is asked for never comes."""
        failing.append(route.request.url) if not failing else None
        route.fulfill(status=404, body="") if route.request.url == failing[0] and len(done) == 0 else route.continue_()

    done: list[str] = []
    page.route("**/clips/*", fail_once)
    open_page(page, site, "&PROLIFIC_PID=p-1&STUDY_ID=s&SESSION_ID=x")
    agree(page)
    page.wait_for_selector("#onward")
    assert "could not be played" in page.inner_text("h1")
    done.append("failed")
    page.keyboard.press("Enter")
    for _ in range(20):
        page.wait_for_selector(f"{READY}, #code")
        if page.locator("#code").count():
            break
        before = page.inner_text("#count")
        assert page.locator("fieldset input").first.is_disabled(), "no answer before the videos have ended"
        page.keyboard.press(choose(page, site))
        assert page.locator("input[type=radio]:checked").count() == 0
        page.keyboard.press("p")
        page.wait_for_selector("fieldset:enabled")
        page.keyboard.press(choose(page, site))
        page.keyboard.press("Enter")
        page.wait_for_function(
            "text => document.getElementById('code') || document.getElementById('count').textContent !== text",
            arg=before,
        )
    assert page.inner_text("#code") == site.access.completed
    trials = site.store.list_trials()
    assert [trial.state for trial in trials].count("void") == 1
    answered = [trial for trial in trials if trial.state == "answered"]
    assert len(answered) == 4 + 1, "another pair took the place of the one that failed"
    for trial in answered:
        assert trial.log is not None
        for play in trial.log["playback"].values():
            assert play["ended"]
            assert play["wall_s"] > 0
            assert play["frames"] > 0
        assert trial.log["reaction_ms"] >= 0
    [rater] = site.store.list_raters()
    assert rater.panel == {"id": "p-1", "study": "s", "session": "x"}
    assert rater.screen["width"] > 0
    assert rater.state == "finished"
    used = apply_rules(site.study, [rater], trials)
    assert used.excluded == {}


def test_a_closed_tab_goes_on_and_who_withdraws_is_erased(page: Any, serve: Serve) -> None:
    site = serve()
    open_page(page, site)
    agree(page)
    page.wait_for_selector(READY)
    page.keyboard.press("p")
    page.wait_for_selector("fieldset:enabled")
    page.keyboard.press("a")
    page.keyboard.press("Enter")
    page.wait_for_selector("#count:has-text('2 of')")
    shown = page.evaluate("document.querySelectorAll('video').length")
    page.goto("about:blank")
    open_page(page, site)
    page.wait_for_selector("#count:has-text('2 of')")
    assert page.evaluate("document.querySelectorAll('video').length") == shown == 2
    page.locator("#leave").focus()
    page.keyboard.press("Enter")
    page.locator("#erase").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('You have withdrawn')")
    assert site.store.list_raters() == []
    assert site.store.list_trials() == []
    page.reload()
    page.wait_for_selector("h1:has-text('You have withdrawn')")


def test_the_third_of_several_is_chosen_by_its_key(page: Any, serve: Serve) -> None:
    site = serve("ddg", trials=1, checks=0)
    open_page(page, site)
    agree(page)
    page.wait_for_selector(READY)
    assert page.evaluate("document.querySelectorAll('video').length") == 3
    page.keyboard.press("p")
    page.wait_for_selector("fieldset:enabled")
    for _ in site.study.questions:
        page.keyboard.press("c")
    page.keyboard.press("Enter")
    page.wait_for_selector("#code")
    [trial] = site.store.list_trials()
    assert trial.answers == {question.id: "c" for question in site.study.questions}
    assert trial.log is not None
    assert set(trial.log["playback"]) == {"a", "b", "c"}


def test_a_screened_out_rater_reads_the_other_code(page: Any, serve: Serve) -> None:
    site = serve()
    open_page(page, site)
    agree(page)
    page.wait_for_selector(READY)
    site.store.set_state(site.store.list_raters()[0].id, "screened")
    page.reload()
    page.wait_for_selector("h1:has-text('The study ends here')")
    assert page.inner_text("#code") == site.access.screened_out


def test_a_wrong_link_says_so(page: Any, serve: Serve) -> None:
    site = serve()
    page.goto(f"http://{site.address[0]}:{site.address[1]}/?t=wrong")
    page.wait_for_selector("h1:has-text('not open')")
    assert "whole link" in page.inner_text("main")


@pytest.mark.parametrize("task", ["edn", "ddg", "real-or-fake"])
def test_every_control_has_a_name_and_nothing_overflows(page: Any, serve: Serve, task: str) -> None:
    site = serve(task)
    open_page(page, site)
    agree(page)
    page.wait_for_selector(READY)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, video, textarea, progress')]
            .filter(each => each.offsetParent && !(each.textContent.trim() || each.getAttribute('aria-label')
                || each.getAttribute('aria-labelledby') || (each.labels && each.labels.length)))
            .map(each => each.outerHTML)"""
    )
    assert nameless == []
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0
    small = page.evaluate(
        """() => [...document.querySelectorAll('button, .option')].filter(each => each.offsetParent)
            .map(each => each.getBoundingClientRect()).filter(box => box.height < 24 || box.width < 24).length"""
    )
    assert small == 0
    headings = page.evaluate("[...document.querySelectorAll('h1')].filter(each => each.offsetParent).length")
    assert headings == 1


def read_colours() -> dict[str, str]:
    css = Path(PAGE / "page.css").read_text()
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", css))


def measure_contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio of two colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_closed_form_contrasts_are_those_of_wcag_aa() -> None:
    colours = read_colours()
    assert measure_contrast("#ffffff", "#000000") == pytest.approx(21)
    for text in ("text", "soft", "accent", "danger"):
        for ground in ("page", "panel"):
            assert measure_contrast(colours[text], colours[ground]) >= 4.5
    for ground in ("#e8f1fb", "#fdeeee", "#e4e7eb"):
        assert measure_contrast(colours["text"], ground) >= 4.5
        assert measure_contrast(colours["soft"], ground) >= 4.5
    for line in ("line", "accent"):
        assert measure_contrast(colours[line], colours["page"]) >= 3
