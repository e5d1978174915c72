"""The files of the shipped detector are as they were made, or refused."""

import shutil
from pathlib import Path

import pytest

from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_file
from dancebench.detect.protocol.card import load_detector
from dancebench.detect.shipped.files import FOLDER, SUMS, check_shipped, describe_shipped
from dancebench.detect.shipped.sources import SourcesRecord

SHIPPED = ("CARD.md", "calibration_scores.json", "card.json", "sources.json", "weights.safetensors")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "copy"))


def test_what_ships_is_whole_and_small() -> None:
    folder = check_shipped()
    assert sorted(path.name for path in folder.iterdir()) == sorted((*SHIPPED, SUMS))
    assert sum(path.stat().st_size for path in folder.iterdir()) < 4_000_000
    loaded = load_detector(folder)
    assert len(describe_shipped(loaded.card).split("\n")) == 2
    assert loaded.card.pictures == ("camera",)
    assert loaded.card.calibration.video.unseen_methods


def test_every_video_has_an_author_a_source_and_a_licence_that_allow_it() -> None:
    text = (FOLDER / "CARD.md").read_text()
    sources = SourcesRecord.load(FOLDER / "sources.json").sources
    assert sources
    for each in sources:
        assert each.licence in {"CC-BY-4.0", "MIT", "BSD-3-Clause", "Apache-2.0", "CC0-1.0"}
        assert f"| {each.source} | {each.author} | {each.licence} |" in text


@pytest.mark.parametrize("name", [*SHIPPED])
def test_a_damaged_file_is_refused_by_its_hash(copy: Path, name: str) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(BenchError, match="changed or damaged") as refused:
        check_shipped(copy)
    assert name in refused.value.message
    assert "Install dancebench again" in str(refused.value.hint)


@pytest.mark.parametrize("name", [*SHIPPED, SUMS])
def test_a_missing_file_is_refused(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(BenchError, match="missing"):
        check_shipped(copy)


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"abc\n", b"0  card.json\n"])
def test_damaged_hashes_are_refused(copy: Path, text: bytes) -> None:
    (copy / SUMS).write_bytes(text)
    with pytest.raises(BenchError):
        check_shipped(copy)


def test_the_hashes_are_those_of_sha256sum() -> None:
    lines = (FOLDER / SUMS).read_text().splitlines()
    assert lines == [f"{sha256_file(FOLDER / line[66:])}  {line[66:]}" for line in lines]


def test_the_readme_says_of_it_what_its_card_says() -> None:
    metrics = load_detector(FOLDER).card.metrics
    auc = metrics["video_auc"]
    assert auc.ci95 is not None
    readme = " ".join((Path(__file__).parents[3] / "README.md").read_text().split())
    assert f"AUC {auc.value:.3f} [{auc.ci95.low:.3f}, {auc.ci95.high:.3f}]" in readme
    for method in ("fbf-ts", "posewarp", "reconstruction:interpolation"):
        assert f"{metrics[f'video_auc@method={method}'].value:.3f} for" in readme
    assert f"Cllr {metrics['video_cllr'].value:.3f}" in readme
