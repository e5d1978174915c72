"""The TOML beside a network: what frames become, and what its outputs mean."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, logit

from dancebench.core.errors import BenchError
from dancebench.detect.detectors.foreign.preprocessing import Preprocessing, read_preprocessing

TOML = """\
height = 16
width = 16
window = 2
mean = [0.5, 0.25, 0.0]
std = [0.5, 0.25, 1.0]
output = "logits"
fake = 1
"""


def read(path: Path, text: str = TOML) -> Preprocessing:
    (path / "net.toml").write_text(text)
    return read_preprocessing(path / "net.toml")


def made(**changes: Any) -> Preprocessing:
    plain = {"height": 16, "width": 16, "window": 1, "mean": (0, 0, 0), "std": (1, 1, 1)}
    return Preprocessing.model_validate(plain | {"output": "logits", "fake": "high"} | changes)


# --- closed form


def test_closed_form_frames_follow_each_other_with_their_colours(tmp_path: Path) -> None:
    pair = np.zeros((1, 2, 16, 16, 3), np.uint8)
    pair[0, 1] = 255
    found = read(tmp_path).normalise(pair)
    assert found.shape == (1, 6, 16, 16)
    np.testing.assert_allclose(found[0, :, 3, 4], [-1, -1, 0, 1, 3, 1], rtol=1e-6)


def test_closed_form_a_pixel_stays_where_it_is() -> None:
    windows = np.random.default_rng(0).integers(0, 256, (2, 1, 16, 16, 3), dtype=np.uint8)
    np.testing.assert_allclose(made().normalise(windows)[1, 2] * 255, windows[1, 0, :, :, 2], atol=1e-4)


def test_closed_form_one_output() -> None:
    values = np.array([-1.0, 0, 2])
    np.testing.assert_array_equal(made().to_log_odds(values), values)
    np.testing.assert_array_equal(made(fake="low").to_log_odds(values[:, None]), -values)
    np.testing.assert_allclose(made(output="probabilities").to_log_odds(np.array([0.5, 0.2])), [0, np.log(0.25)])
    certain = made(output="probabilities", fake="low").to_log_odds(np.array([0, 1]))
    assert certain[0] == pytest.approx(-certain[1])
    assert np.isfinite(certain).all()


# --- foreign reference


@given(st.lists(st.floats(-30, 30), min_size=3, max_size=3), st.integers(0, 2))
def test_foreign_reference_of_several_outputs(values: list[float], fake: int) -> None:
    outputs = np.array([values])
    probabilities = np.exp(log_softmax(outputs, axis=1))
    found = made(fake=fake).to_log_odds(outputs)
    others = np.log(np.delete(probabilities, fake, axis=1).sum(axis=1))
    np.testing.assert_allclose(found, np.log(probabilities[:, fake]) - others, rtol=1e-6, atol=1e-6)
    likely = probabilities[0, fake]
    if 1e-6 < likely < 1 - 1e-6:
        read_as = made(fake=fake, output="probabilities").to_log_odds(probabilities)
        np.testing.assert_allclose(read_as, logit(likely), rtol=1e-6, atol=1e-8)


# --- what README shows


def test_the_example_of_readme_is_what_an_exported_pair_patch_takes(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[4] / "README.md").read_text()
    [text] = re.findall(r"^```toml\n(.*?)^```$", readme, flags=re.M | re.S)
    assert read(tmp_path, text) == made(height=128, width=64, window=2, mean=(0.5,) * 3, std=(0.5,) * 3)


# --- bad input


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("height = 8", "height: Input should be greater than or equal to 16"),
        ("height = 99999", "height: Input should be less than or equal to"),
        ("window = 0", "window: Input should be greater"),
        ('view = "hands"', "view: Input should be"),
        ("mean = [0.5]", "mean: Field required|mean: "),
        ("std = [1.0, 0.0, 1.0]", "std: Input should be greater than 0"),
        ("std = [nan, 1.0, 1.0]", "std: Input should be"),
        ('output = "scores"', "output: Input should be 'logits' or 'probabilities'"),
        ("fake = -1", "fake: Input should be"),
        ("fake = true", "fake: Input should be"),
        ("schema_version = 2", "schema_version: Input should be 1"),
        ("colour = 1", "colour: Extra inputs"),
        ("height = = 3", "is no TOML"),
        ("a = " + "[" * 5000, "is no TOML"),
    ],
)
def test_a_toml_of_another_form_is_refused_in_one_line(line: str, reason: str, tmp_path: Path) -> None:
    name = line.partition(" ")[0]
    kept = "".join(each for each in TOML.splitlines(keepends=True) if not each.startswith(f"{name} "))
    with pytest.raises(BenchError, match=reason) as caught:
        read(tmp_path, kept + line)
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_a_key_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"net.toml: fake: Field required\."):
        read(tmp_path, TOML.replace("fake = 1\n", ""))


def test_a_file_that_is_missing_large_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="is missing: it says what the network takes"):
        read_preprocessing(tmp_path / "other.toml")
    with (tmp_path / "large.toml").open("wb") as file:
        file.truncate(2**40)  # holds no block on the disk
    with pytest.raises(BenchError, match="is larger than"):
        read_preprocessing(tmp_path / "large.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BenchError, match="is no TOML"):
        read_preprocessing(tmp_path / "bytes.toml")


@pytest.mark.parametrize(
    ("changes", "outputs", "reason"),
    [
        ({"fake": "high"}, np.zeros((2, 2)), "fake = 'high' does not fit 2 outputs"),
        ({"fake": 2}, np.zeros((2, 2)), "fake = 2 does not fit 2 outputs"),
        ({"fake": 0}, np.zeros(2), "fake = 0 does not fit 1 output of"),
        ({"output": "probabilities"}, np.array([0.5, 1.2]), "are no probabilities"),
        ({}, np.zeros((2, 1, 1)), r"has the shape \(2, 1, 1\)"),
    ],
)
def test_outputs_that_do_not_fit_are_refused(changes: dict[str, Any], outputs: Any, reason: str) -> None:
    with pytest.raises(BenchError, match=reason):
        made(**changes).to_log_odds(outputs)
