"""The card of a dataset: foreign references are MLCommons' and Hugging Face's own readers, without a network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import make_dataset

from dancebench.datasets.subjects.card import write_dataset_card
from dancebench.datasets.subjects.dataset import Dataset


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    make_dataset(tmp_path)
    return make_dataset(tmp_path, subject="runner", n_frames=20)


def test_foreign_reference_the_card_is_valid_croissant_and_gives_the_people(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlcroissant  # seconds

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a card is read without a network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    write_dataset_card(dataset, tmp_path / "card")
    found = mlcroissant.Dataset(jsonld=str(tmp_path / "card" / "croissant.json"))
    assert not found.metadata.issues.errors, found.metadata.issues.report()
    assert found.metadata.name == "toy"
    records = list(found.records("subjects"))
    assert [record["subjects/id"] for record in records] == [b"walker", b"runner"]
    assert [record["subjects/n_frames"] for record in records] == [30, 20]
    assert [record["subjects/pictures"] for record in records] == [b"camera", b"camera"]


def test_foreign_reference_hugging_face_reads_the_front_matter(dataset: Dataset, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    [readme, *_] = write_dataset_card(dataset, tmp_path / "card")
    data = hub.DatasetCard(readme.read_text()).data
    assert data.license == "mit"
    assert data.pretty_name == "toy"
    assert data.size_categories == ["n<1K"]


def test_a_card_says_what_it_must_and_no_more(dataset: Dataset, tmp_path: Path) -> None:
    text = write_dataset_card(dataset, tmp_path / "card")[0].read_text()
    for heading in ("What is in it", "Licence and permission", "Limits", "Must not be used for"):
        assert f"\n## {heading}\n" in text
    assert "people: 2, by role: target 2" in text
    assert "people by consent: 2" in text
    assert "who can be recognised" in text
    assert "nothing can be said of subgroups" in text
    assert dataset.record.dataset_id in text
    whole = "".join(path.read_text() for path in (tmp_path / "card").iterdir())
    assert "toy.mp4" not in whole  # the name of a recording may name a person


def test_a_person_without_a_clip_is_listed(dataset: Dataset, tmp_path: Path) -> None:
    (dataset.subject_folder("runner") / "subject.json").unlink()
    write_dataset_card(dataset, tmp_path / "card")
    lines = [json.loads(line) for line in (tmp_path / "card" / "subjects.jsonl").read_text().splitlines()]
    assert [(line["id"], line["n_frames"], line["clip_sha256"] == "") for line in lines] == [
        ("walker", 30, False),
        ("runner", 0, True),
    ]


def test_the_same_dataset_gives_the_same_bytes(dataset: Dataset, tmp_path: Path) -> None:
    first, second = ([path.read_bytes() for path in write_dataset_card(dataset, tmp_path / name)] for name in "ab")
    assert first == second


def test_a_licence_that_is_markup_stays_one_line(dataset: Dataset, tmp_path: Path) -> None:
    evil = 'mine"\n---\n# <b>'
    changed = Dataset(dataset.folder, dataset.record.model_copy(update={"licence": evil}))
    lines = write_dataset_card(changed, tmp_path / "card")[0].read_text().splitlines()
    assert lines[:4] == ["---", 'pretty_name: "toy"', 'license: "other"', 'license_name: "mine\\"\\n---\\n# <b>"']
    assert lines[7] == "---"
