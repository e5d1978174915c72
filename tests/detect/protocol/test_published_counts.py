"""Built-in protocols on whole corpora as they are published, from their names and lists alone."""

from pathlib import Path

import pytest
from corpora_toys import ffpp_conversion, ffpp_names, ffpp_pairs, names_tree, write_lists
from protocol_corpora import FOUR, make_copy

from dancebench.datasets.corpora.base import CORPORA, CorpusRequest
from dancebench.datasets.corpora.groups import group_rows
from dancebench.detect.inputs.video_set import VideoSet
from dancebench.detect.protocol.catalogue import load_built_in
from dancebench.detect.protocol.selection import CorpusCopy, select_fold


def count(videos: tuple[VideoSet, ...]) -> tuple[int, int]:
    """Reals and fakes."""
    labels = [row.label for each in videos for row in each]
    return labels.count(0), labels.count(1)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> CorpusCopy:
    """FaceForensics++ at c23: 1,000 clips, five methods, seven recordings on two sides of the official split."""
    folder, pairs = tmp_path_factory.mktemp("ffpp"), ffpp_pairs()
    files = {f"{side}.json": listed for side, listed in pairs.items()}
    lists = write_lists(folder, files | {"conversion_dict.json": ffpp_conversion(pairs)})
    reading = CORPORA["ffpp"]().read(CorpusRequest(names_tree(ffpp_names(pairs)), lists=lists))
    return make_copy(folder, "ffpp", group_rows(reading.rows), lists=reading.lists)


def test_closed_form_in_domain_has_the_published_counts_and_reports_seven_people(faces: CorpusCopy) -> None:
    found = select_fold(load_built_in("in-domain"), "all", [faces])
    assert count(found.train) == (720, 4 * 720)
    assert count(found.validation) == count(found.tests["ffpp"]) == (140, 4 * 140)
    assert len(found.leaks) == 7
    assert not found.left_out["ffpp"]


@pytest.mark.parametrize("method", FOUR)
def test_leave_one_method_out_leaks_nobody(faces: CorpusCopy, method: str) -> None:
    """The selection is audited, and refused where it leaks."""
    found = select_fold(load_built_in("leave-one-method-out"), method.lower(), [faces])
    reals, fakes = count(found.tests[method.lower()])
    assert reals == fakes == pytest.approx(250, abs=6)
    assert count(found.train)[1] == 3 * count(found.train)[0]
    assert {row.method for videos in found.train for row in videos} == {None, *FOUR} - {method}


def test_leave_one_generator_out_is_of_the_generators_that_are_published(tmp_path: Path) -> None:
    protocol = load_built_in("leave-one-generator-out")
    generators = [fold.tests[name][0].methods[0] for name, fold in protocol.folds.items()]
    names = [f"Real/{k:03d}.mp4" for k in range(200)]
    names += [f"Fake/{generator}/{k:03d}.mp4" for generator in generators for k in range(56)]
    reading = CORPORA["genvideo"]().read(CorpusRequest(names_tree(names)))
    copy = make_copy(tmp_path, "genvideo", group_rows(reading.rows))
    for fold in protocol.folds:
        found = select_fold(protocol, fold, [copy])
        assert {row.method for row in found.tests[fold][0]} - {None} == set(protocol.folds[fold].tests[fold][0].methods)
        assert len(found.train[0].methods) == 9
