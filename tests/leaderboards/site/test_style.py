"""Colours that can be read: contrast by the formula of WCAG 2, light and dark."""

from __future__ import annotations

import importlib.resources
import re

import pytest

STYLE = (importlib.resources.files("dancebench.leaderboards.site") / "assets" / "style.css").read_text("utf-8")
LIGHT, DARK = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", part)) for part in STYLE.split("@media", 2)[:2])
TEXTS = [("ink", "paper"), ("soft", "paper"), ("accent", "paper"), ("ink", "best"), ("soft", "best"), ("ink", "wash"),
         ("caution", "paper"), ("ink", "caution-wash"), ("soft", "wash")]  # fmt: skip


def luminance(colour: str) -> float:
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (each / 12.92 if each <= 0.03928 else ((each + 0.055) / 1.055) ** 2.4 for each in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_closed_form_contrast() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_texts_have_the_contrast_of_level_aa(colours: dict[str, str]) -> None:
    for text, ground in TEXTS:
        assert contrast(colours[text], colours[ground]) >= 4.5, f"{text} on {ground}"


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_lines_have_the_contrast_of_graphics(colours: dict[str, str]) -> None:
    for number in range(8):
        assert contrast(colours[f"c{number}"], colours["paper"]) >= 3, f"line {number}"
