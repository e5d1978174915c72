"""The detector of frequencies and noise."""

import copy
import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skops.io
from fuzz.mutate import mutate_archive
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn.dummy import DummyClassifier

from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_file
from dancebench.core.opencv import cv2
from dancebench.core.progress import ignore_progress
from dancebench.detect.detectors.spectrum import (
    NAMES,
    RINGS,
    Spectrum,
    SpectrumConfig,
    _correlation,
    measure_spectra,
    radial_power,
)
from dancebench.detect.evaluation.metrics import auc
from dancebench.detect.inputs.pairs import PairPool, Pairs, PooledClip

CONFIG = SpectrumConfig(height=32, width=32, windows=64)


def noise(seed: int, n: int = 4) -> Pairs:
    return np.random.default_rng(seed).integers(60, 190, (n, 32, 32, 3), dtype=np.uint8)


def pool(people: range) -> PairPool:
    """Fakes are a little smoother than reals."""
    clips = []
    for person in people:
        frames = noise(person)
        smooth = np.stack([cv2.GaussianBlur(frame, (0, 0), 0.6) for frame in frames])
        clips += [PooledClip(str(person), label, each, np.arange(3)) for label, each in ((0, frames), (1, smooth))]
    return PairPool(clips)


@pytest.fixture(scope="module")
def trained() -> Spectrum:
    detector = Spectrum(CONFIG)
    detector.fit(pool(range(4)), Path("unused"), ignore_progress)
    return detector


# --- closed form


def test_closed_form_a_wave_has_its_power_in_its_ring() -> None:
    wave = np.sin(2 * np.pi * 0.26 * np.arange(64))[None].repeat(64, axis=0)  # 0.26 cycles a pixel
    power = radial_power(wave.astype(np.float32))
    assert power.shape == (RINGS,)
    assert int(power.argmax()) == int(0.26 * 2 * RINGS)


def test_closed_form_white_noise_has_its_variance_at_every_frequency() -> None:
    white = np.random.default_rng(0).normal(5, 0.5, (256, 256)).astype(np.float32)
    # the two lowest rings have few frequencies, and the mean was taken from them
    np.testing.assert_allclose(radial_power(white)[2:], 0.25, rtol=0.15)


def test_closed_form_features_of_a_still_pair_have_no_flicker() -> None:
    still = noise(0, 1)[:, None].repeat(2, axis=1)
    named = dict(zip(NAMES, measure_spectra(still)[0], strict=True))
    assert named["flicker in time"] == pytest.approx(1, abs=1e-3)
    assert named["flicker across"] == 0
    assert named["change 3"] < -5


# --- foreign reference


def test_foreign_reference_correlation() -> None:
    a, b = np.random.default_rng(1).normal(size=(2, 20, 20)).astype(np.float32)
    assert _correlation(a, a + b) == pytest.approx(pearsonr(a.ravel(), (a + b).ravel()).statistic, abs=1e-4)


# --- laws


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 255), st.integers(0, 255), st.sampled_from([(16, 16), (16, 31)]))
def test_features_are_finite_even_of_plain_pictures(first: int, second: int, size: tuple[int, int]) -> None:
    pair = np.stack([np.full((*size, 3), value, np.uint8) for value in (first, second)])
    features = measure_spectra(pair[None])
    assert features.shape == (1, len(NAMES))
    assert np.isfinite(features).all()


def test_it_detects_fakes_of_held_out_people(trained: Spectrum) -> None:
    pairs, labels = pool(range(4, 7)).draw_batch(40, np.random.default_rng(0))
    assert auc(labels.astype(np.int64), trained.logits(pairs).astype(np.float64)) > 0.95


def test_a_logit_depends_on_its_own_pair_alone(trained: Spectrum) -> None:
    pairs, _ = pool(range(2)).draw_batch(6, np.random.default_rng(0))
    together = trained.logits(pairs)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together[3:4], trained.logits(pairs[3:4]), rtol=1e-5)
    assert trained.logits(pairs[:0]).shape == (0,)
    assert trained.saliency(pairs) is None


def test_a_loaded_detector_gives_the_same_logits_and_the_same_training_the_same_bytes(
    trained: Spectrum, tmp_path: Path
) -> None:
    again = Spectrum(CONFIG)
    again.fit(pool(range(4)), tmp_path, ignore_progress)
    for name, detector in (("a", trained), ("b", again)):
        detector.save(tmp_path / name)
    assert sha256_file(tmp_path / "a" / Spectrum.WEIGHTS) == sha256_file(tmp_path / "b" / Spectrum.WEIGHTS)
    loaded = Spectrum.load(tmp_path / "a", CONFIG)
    pairs = pool(range(2)).draw_batch(4, np.random.default_rng(0))[0]
    np.testing.assert_array_equal(loaded.logits(pairs), trained.logits(pairs))
    assert loaded.parameters == trained.parameters == len(NAMES) + 1


# --- bad input


def rewrite(path: Path, change: Callable[[str, bytes], bytes | None], compression: int = zipfile.ZIP_STORED) -> None:
    """Change the members of an archive; None leaves one out."""
    with zipfile.ZipFile(path) as archive:
        members = {name: change(name, archive.read(name)) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            if content is not None:
                archive.writestr(name, content)


def make_nested(name: str, content: bytes) -> bytes:
    """An archive in the place of an array, as a sparse matrix is stored."""
    if name == "schema.json":
        return content
    written = io.BytesIO()
    np.savez_compressed(written, data=np.zeros(9))
    return written.getvalue()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda name, content: content if name == "schema.json" else bytes(65 * 2**20), "bytes when unpacked"),
        (lambda name, content: content + b" " * 65 * 2**20 if name == "schema.json" else content, "when unpacked"),
        (make_nested, "is no array"),
    ],
    ids=["arrays of zeros", "a schema of spaces", "an archive in the archive"],
)
def test_an_archive_that_would_exhaust_memory_is_refused_before_it_is_unpacked(
    trained: Spectrum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    change: Callable[[str, bytes], bytes], reason: str,
) -> None:  # fmt: skip
    trained.save(tmp_path)
    rewrite(tmp_path / Spectrum.WEIGHTS, change, zipfile.ZIP_DEFLATED)
    assert (tmp_path / Spectrum.WEIGHTS).stat().st_size < 2**20
    monkeypatch.setattr(skops.io, "loads", lambda *_, **__: pytest.fail("was unpacked"))
    with pytest.raises(BenchError, match=f"does not hold the model of this detector .*{reason}") as caught:
        Spectrum.load(tmp_path, CONFIG)
    assert "\n" not in caught.value.message


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / Spectrum.WEIGHTS).open("wb") as file:
        file.truncate(2**36)  # holds no block on the disk
    with pytest.raises(BenchError, match="more than 67,108,864 bytes"):
        Spectrum.load(tmp_path, CONFIG)


def claim_a_large_array(name: str, content: bytes) -> bytes:
    return content if name == "schema.json" else re.sub(rb"'shape': \((\d+)", rb"'shape': (999999999999999", content)


@pytest.mark.parametrize(
    "change",
    [
        lambda name, content: content.replace(b'"coef_"', b'"gone_"'),
        lambda name, content: b"[" * 100_000 if name == "schema.json" else content,
        lambda name, content: content.replace(b"sklearn.linear_model", b"sklearn.linear_nodule"),
        lambda name, content: None if name == "schema.json" else content,
        claim_a_large_array,
        lambda name, content: content if name == "schema.json" else content.replace(b"'shape': (", b"'shape': [(("),
    ],
    ids=["a part is missing", "deep", "an unknown module", "no schema", "larger than memory", "an open bracket"],
)
def test_a_damaged_model_is_refused_in_one_line(
    trained: Spectrum, tmp_path: Path, change: Callable[[str, bytes], bytes | None]
) -> None:
    trained.save(tmp_path)
    rewrite(tmp_path / Spectrum.WEIGHTS, change)
    with pytest.raises(BenchError, match="does not hold the model") as caught:
        Spectrum.load(tmp_path, CONFIG)
    assert "\n" not in caught.value.message


@pytest.mark.filterwarnings("error")
def test_a_model_of_huge_coefficients_gives_logits_that_are_not_finite_and_warns_of_nothing(trained: Spectrum) -> None:
    detector = Spectrum(trained.config)
    detector.model = copy.deepcopy(trained.model)
    assert detector.model is not None
    detector.model[-1].coef_ *= 1e300
    logits = detector.logits(np.stack([noise(0), noise(1)], axis=1))
    assert not np.isfinite(logits).any()


def test_a_mutated_model_is_refused_or_gives_logits(trained: Spectrum, tmp_path: Path) -> None:
    trained.save(tmp_path)
    path = tmp_path / Spectrum.WEIGHTS
    whole = path.read_bytes()
    pairs = np.stack([noise(0), noise(1)], axis=1)
    refused = []
    for seed in range(150):
        path.write_bytes(mutate_archive(whole, b"", np.random.default_rng(seed)))
        try:
            assert Spectrum.load(tmp_path, CONFIG).logits(pairs).shape == (4,)
        except BenchError as error:
            refused.append(error.message)
    assert 0 < len(refused) < 150
    assert all("does not hold the model" in message for message in refused)


@pytest.mark.parametrize(
    "content",
    [b"", b"no zip", skops.io.dumps(DummyClassifier()), skops.io.dumps(Path("x"))],
    ids=["empty", "no zip", "another model", "no model"],  # the bytes hold the time
)
def test_what_is_not_its_model_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / Spectrum.WEIGHTS).write_bytes(content)
    with pytest.raises(BenchError, match="does not hold the model"):
        Spectrum.load(tmp_path, CONFIG)
