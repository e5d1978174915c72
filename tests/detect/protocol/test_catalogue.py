"""The built-in protocols and those of a workspace: which can run here, and why the others cannot."""

import re
from pathlib import Path

import pytest
from protocol_corpora import make_ffpp, save_corpus

from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.core.workspace import Workspace
from dancebench.detect.protocol.catalogue import HOLDOUT, find_protocol, list_protocols, load_built_in
from dancebench.detect.protocol.definition import check_protocol
from dancebench.leaderboards.record_versions.version3 import HOLDOUT_PROTOCOL

BUILT_IN = [
    "compression",
    "cross-dataset",
    "in-domain",
    "leave-one-generator-out",
    "leave-one-method-out",
    "table-5",
    "unseen",
    "unseen-warm",
]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace").open()


def obstacles(workspace: Workspace) -> dict[str, tuple[str, ...]]:
    return {listed.name: listed.obstacles for listed in list_protocols(workspace)}


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_protocols_name_what_there_is(name: str, workspace: Workspace) -> None:
    protocol = load_built_in(name)
    assert protocol.name == name
    check_protocol(protocol)
    assert find_protocol(workspace, name) == protocol


def test_frozen_the_hash_that_earlier_records_are_given_is_that_of_table_5() -> None:
    assert load_built_in(HOLDOUT).key._asdict() == HOLDOUT_PROTOCOL


def test_frozen_the_hash_of_the_protocol_that_leads_with_what_is_unseen() -> None:
    """Published rows are of this one: whoever changes the document makes rows that never meet them."""
    assert load_built_in("unseen").sha256 == "f4c5537f88c8b5db356527966225fd0c4bdbfd92f1df5f7c4f1a906ed4ba9298"


def test_no_two_built_in_protocols_have_one_hash() -> None:
    assert len({load_built_in(name).sha256 for name in BUILT_IN}) == len(BUILT_IN)


def test_with_nothing_here_every_protocol_says_what_it_lacks(workspace: Workspace) -> None:
    found = obstacles(workspace)
    assert list(found) == BUILT_IN
    assert found["in-domain"] == ("not in this workspace: ffpp",)
    assert found["cross-dataset"] == (
        "not in this workspace: ffpp, celebdf (version 1), celebdf (version 2), dfd, dfdc, dfdcp",
    )
    assert found["table-5"] == ()  # of dancers that are drawn when they are needed


def test_a_corpus_that_is_here_makes_its_protocols_run(workspace: Workspace) -> None:
    save_corpus(workspace, "faces", "ffpp", make_ffpp(30))
    found = obstacles(workspace)
    assert found["in-domain"] == found["leave-one-method-out"] == ()
    assert found["compression"] == ("faces has no videos of compression 'raw'.",)
    assert found["cross-dataset"][0].startswith("not in this workspace: celebdf")


def test_a_damaged_record_is_no_corpus(workspace: Workspace) -> None:
    save_corpus(workspace, "faces", "ffpp", make_ffpp(30))
    (workspace.corpus("faces") / "corpus.json").write_text("{")
    assert obstacles(workspace)["in-domain"] == ("not in this workspace: ffpp",)


def test_own_protocols_are_found_beside_the_built_in_ones(workspace: Workspace) -> None:
    save_corpus(workspace, "faces", "ffpp", make_ffpp(30))
    own = load_built_in("in-domain").model_copy(update={"name": "mine", "windows": 16})
    own.save(workspace.protocols / "mine.json")
    (workspace.protocols / "broken.json").write_text("{")
    load_built_in("in-domain").save(workspace.protocols / "in-domain.json")
    listed = {each.source: each for each in list_protocols(workspace) if each.source != "built in"}
    assert listed["protocols/mine.json"].protocol == own
    assert listed["protocols/mine.json"].obstacles == ()
    assert "is not valid JSON" in listed["protocols/broken.json"].obstacles[0]
    assert listed["protocols/in-domain.json"].obstacles == ("a built-in protocol has its name, and is used",)
    assert find_protocol(workspace, "mine") == own
    assert find_protocol(workspace, "in-domain") == load_built_in("in-domain")
    with pytest.raises(BenchError, match="is not valid JSON"):
        find_protocol(workspace, "broken")


def test_the_recipe_of_contributing_runs(workspace: Workspace) -> None:
    text = (Path(__file__).parents[3] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    [document] = re.findall(r"^```json\n(.*?)^```$", text.partition("### Add a protocol")[2], flags=re.M | re.S)
    workspace.protocols.mkdir()
    (workspace.protocols / "ours.json").write_text(document)
    save_corpus(workspace, "clips", "csv", make_ffpp(30))
    assert obstacles(workspace)["ours"] == ()
    protocol = find_protocol(workspace, "ours")
    assert (protocol.windows, protocol.view, protocol.leaks) == (16, "own", "refuse")


def test_an_unknown_protocol_names_the_nearest(workspace: Workspace) -> None:
    with pytest.raises(UnknownNameError) as error:
        find_protocol(workspace, "in-domian")
    assert "Did you mean 'in-domain'?" in str(error.value.hint)
    with pytest.raises(UnknownNameError):
        load_built_in("mine")
