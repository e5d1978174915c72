"""The card of a corpus: the foreign reference is MLCommons' own reader, without a network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from corpora_toys import write_lists, write_tree

from dancebench.benchmark.corpora.read_in_place import Corpus, read_into_workspace
from dancebench.core.workspace import Workspace
from dancebench.datasets.corpora.base import CorpusRequest
from dancebench.datasets.corpora.tree import Tree


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    root = write_tree(tmp_path / "clips", ["a.mp4", "b.mp4", "c.mp4"])
    table = "path,label,people,method\na.mp4,real,p,\nb.mp4,fake,q,swap\nc.mp4,fake,p|q:donor,swap\n"
    write_lists(root, {"t.csv": table})
    return read_into_workspace(Workspace(tmp_path / "w"), "mine", "csv", CorpusRequest(Tree.scan(root)))


def test_foreign_reference_the_card_is_valid_croissant_and_gives_the_rows(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlcroissant  # seconds

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a card is read without a network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    dataset = mlcroissant.Dataset(jsonld=str(corpus.folder / "card.jsonld"))
    assert not dataset.metadata.issues.errors, dataset.metadata.issues.report()
    assert dataset.metadata.name == "mine"
    records = list(dataset.records("videos"))
    assert [record["videos/video_id"] for record in records] == [b"a", b"b", b"c"]
    assert [record["videos/label"] for record in records] == [0, 1, 1]


def test_closed_form_the_card_says_what_holds_of_people(corpus: Corpus) -> None:
    card = json.loads((corpus.folder / "card.jsonld").read_text())
    assert card["description"].startswith("a table: 1 reals and 2 fakes of 2 people, in 1 groups")
    assert card["distribution"][0]["sha256"] == corpus.record.manifest_sha256
    assert card["rai:dataLimitations"][0] == "No person is on two sides of the split."
    assert len(card["recordSet"][0]["field"]) == 11
