"""Which videos a protocol selects from toy corpora; people on two sides are found."""

from pathlib import Path

import pytest
from protocol_corpora import FOUR, make_copy, make_ffpp, make_row

from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.detect.inputs.leak_audit import find_leaks
from dancebench.detect.inputs.video_set import VideoSet
from dancebench.detect.protocol.catalogue import load_built_in
from dancebench.detect.protocol.definition import Part, Protocol
from dancebench.detect.protocol.selection import FoldVideos, find_copy, select_fold


def change(name: str, **fields: object) -> Protocol:
    return Protocol.model_validate(load_built_in(name).model_dump() | fields)


def count(videos: tuple[VideoSet, ...]) -> tuple[int, int]:
    """Reals and fakes."""
    labels = [row.label for each in videos for row in each]
    return labels.count(0), labels.count(1)


def people(videos: tuple[VideoSet, ...]) -> set[str]:
    return {person.id for each in videos for row in each for person in row.people}


def methods(videos: tuple[VideoSet, ...]) -> set[str | None]:
    return {row.method for each in videos for row in each} - {None}


def require_disjoint(found: FoldVideos) -> None:
    tested = people(tuple(videos for each in found.tests.values() for videos in each))
    assert not people(found.train) & people(found.validation)
    assert not tested & (people(found.train) | people(found.validation))


def test_closed_form_in_domain_is_the_official_split(tmp_path: Path) -> None:
    found = select_fold(load_built_in("in-domain"), "all", [make_copy(tmp_path, "ffpp", make_ffpp(30))])
    assert [count(side) for side in (found.train, found.validation, found.tests["ffpp"])] == [(10, 40)] * 3
    assert methods(found.train) == set(FOUR)  # FaceShifter is tested on elsewhere
    assert {row.split for row in found.train[0]} == {"train"}
    assert {row.split for row in found.tests["ffpp"][0]} == {"holdout"}
    assert found.leaks == ()


def test_an_official_split_that_leaks_is_reported_with_the_person(tmp_path: Path) -> None:
    copy = make_copy(tmp_path, "ffpp", make_ffpp(30, crossing=True))
    found = select_fold(load_built_in("in-domain"), "all", [copy])
    assert found.leaks
    assert all("p000" in leak for leak in found.leaks)
    assert len(set(found.leaks)) == len(found.leaks)


def test_a_protocol_that_refuses_leaks_stops_in_one_line(tmp_path: Path) -> None:
    copy = make_copy(tmp_path, "ffpp", make_ffpp(30, crossing=True))
    with pytest.raises(BenchError, match=r"Protocol 'in-domain', fold 'all' leaks: The person 'p000'") as error:
        select_fold(change("in-domain", leaks="refuse"), "all", [copy])
    assert "\n" not in error.value.message
    assert error.value.hint


@pytest.mark.parametrize("crossing", [False, True])
def test_leave_one_method_out_tests_on_the_method_that_it_does_not_train_on(tmp_path: Path, crossing: bool) -> None:
    copy = make_copy(tmp_path, "ffpp", make_ffpp(30, crossing=crossing))
    protocol = load_built_in("leave-one-method-out")
    assert len(protocol.folds) == 4
    for fold in protocol.folds:
        found = select_fold(protocol, fold, [copy])
        [(name, tested)] = found.tests.items()
        [left_out] = methods(tested)
        assert name == fold == str(left_out).lower()
        assert methods(found.train) == methods(found.validation) == set(FOUR) - {left_out}
        require_disjoint(found)
        assert found.leaks == ()


def test_compression_tests_the_same_people_at_every_compression(tmp_path: Path) -> None:
    copy = make_copy(tmp_path, "ffpp", make_ffpp(30, compressions=("raw", "c23", "c40")))
    found = select_fold(load_built_in("compression"), "all", [copy])
    assert {row.compression for row in found.train[0]} == {"c23"}
    assert [{row.compression for row in videos} for [videos] in found.tests.values()] == [{"raw"}, {"c23"}, {"c40"}]
    assert len({frozenset(people(videos)) for videos in found.tests.values()}) == 1
    require_disjoint(found)


def test_cross_dataset_takes_each_test_from_its_own_corpus(tmp_path: Path) -> None:
    def make_outside(layout: str, *, official: bool = True, **facts: str) -> list[object]:
        split = {"official_split": "test"} if official else {}
        return [make_row(f"{layout}/{k}", (f"{layout}{k}",), (None, "swap")[k % 2], **split, **facts) for k in range(6)]

    copies = [
        make_copy(tmp_path, "ffpp", make_ffpp(30)),
        make_copy(tmp_path / "1", "celebdf", make_outside("c1"), name="first", version="1"),
        make_copy(tmp_path / "2", "celebdf", make_outside("c2"), name="second", version="2"),
        make_copy(tmp_path, "dfd", make_outside("dfd", official=False, compression="c23")),
        make_copy(tmp_path, "dfdc", make_outside("dfdc")),
        make_copy(tmp_path, "dfdcp", make_outside("dfdcp")),
        make_copy(tmp_path, "genvideo", []),  # not named, so it is not opened
    ]
    found = select_fold(load_built_in("cross-dataset"), "all", copies)
    assert {name: count(videos) for name, videos in found.tests.items()} == {
        "celebdf-1": (3, 3), "celebdf-2": (3, 3), "dfd": (3, 3), "dfdc": (3, 3), "dfdcp": (3, 3),
        "faceshifter": (10, 10),
    }  # fmt: skip
    assert people(found.tests["celebdf-1"]).isdisjoint(people(found.tests["celebdf-2"]))
    assert methods(found.tests["faceshifter"]) == {"FaceShifter"}
    assert found.tests["dfd"][0].root == tmp_path / "dfd"


def test_leave_one_generator_out_parts_no_group(tmp_path: Path) -> None:
    protocol = load_built_in("leave-one-generator-out")
    generators = [fold.tests[name][0].methods[0] for name, fold in protocol.folds.items()]
    rows = [make_row(f"real/{k}", ()) for k in range(40)]
    rows += [make_row(f"{name}/{k}", (), name, group=f"{name}/{k // 2}") for name in generators for k in range(40)]
    copy = make_copy(tmp_path, "genvideo", rows)
    for fold in protocol.folds:
        found = select_fold(protocol, fold, [copy])
        [(_, tested)] = found.tests.items()
        [left_out] = methods(tested)
        assert methods(found.train) == set(generators) - {left_out}
        groups = [{row.group for videos in side for row in videos} for side in (found.train, found.validation, tested)]
        assert not groups[0] & groups[1]
        assert not (groups[0] | groups[1]) & groups[2]


def test_table_5_takes_the_roles_of_a_dataset(tmp_path: Path) -> None:
    rows = [
        make_row(f"{name}/{kind or 'real'}", (name,), kind, split=split)
        for name, split in (("s1", "train"), ("s2", "validation"), ("s3", "holdout"))
        for kind in (None, "fbf")
    ]
    found = select_fold(load_built_in("table-5"), "all", [make_copy(tmp_path, "dataset", rows)])
    assert [people(side) for side in (found.train, found.validation, found.tests["holdout"])] == [
        {"s1"},
        {"s2"},
        {"s3"},
    ]


def test_what_a_split_leaves_out_is_named(tmp_path: Path) -> None:
    """Everybody is swapped with everybody: people are divided one by one, and some videos have them on two sides."""
    names = [f"p{number:02d}" for number in range(12)]
    facts = {"group": "g", "compression": "c23"}
    rows = [make_row(f"real/{name}", (name,), **facts) for name in names]
    rows += [
        make_row(f"{method}/{one}_{other}", (one, other), method, **facts)
        for method in FOUR for one in names for other in names if one != other
    ]  # fmt: skip
    found = select_fold(load_built_in("leave-one-method-out"), "deepfakes", [make_copy(tmp_path, "ffpp", rows)])
    require_disjoint(found)
    assert found.left_out["ffpp"]
    assert all("lie on several sides" in reason for reason in found.left_out["ffpp"].values())
    sides = [row for videos in (*found.train, *found.validation, *found.tests["deepfakes"]) for row in videos]
    assert not {row.video_id for row in sides} & set(found.left_out["ffpp"])


def test_the_same_seed_selects_the_same_videos_in_any_order(tmp_path: Path) -> None:
    protocol, rows = load_built_in("leave-one-method-out"), make_ffpp(30)
    one, other = (
        select_fold(protocol, "deepfakes", [make_copy(tmp_path / name, "ffpp", each)])
        for name, each in (("one", rows), ("other", rows[::-1]))
    )
    assert people(one.train) == people(other.train)
    moved = select_fold(
        change("leave-one-method-out", seed=7), "deepfakes", [make_copy(tmp_path / "one", "ffpp", rows)]
    )
    assert people(moved.train) != people(one.train)


def test_official_sides_of_one_group_are_the_audits_business() -> None:
    rows = [row.model_copy(update={"split": "train"}) for row in make_ffpp(4)]
    assert find_leaks(rows) == []


# bad input


def refuse(protocol: Protocol, copies: list[object], fold: str = "all") -> BenchError:
    with pytest.raises(BenchError) as error:
        select_fold(protocol, fold, copies)
    assert "\n" not in error.value.message
    assert error.value.hint
    return error.value


def test_a_corpus_that_is_not_here_or_twice(tmp_path: Path) -> None:
    protocol = load_built_in("in-domain")
    missing = refuse(protocol, [])
    assert (missing.message, missing.hint) == ("ffpp is not in this workspace.", "bench data corpus ffpp ROOT")
    copies = [make_copy(tmp_path / name, "ffpp", make_ffpp(6), name=name) for name in "ba"]
    assert refuse(protocol, copies).message == "ffpp is in this workspace several times: a, b."


def test_another_version_is_not_the_corpus(tmp_path: Path) -> None:
    part = Part(corpus="celebdf", version="2", split="official", side="holdout")
    with pytest.raises(BenchError, match=r"celebdf \(version 2\) is not in this workspace"):
        find_copy(part, [make_copy(tmp_path, "celebdf", [], version="1")])


def test_another_list_is_refused(tmp_path: Path) -> None:
    part = Part(corpus="ffpp", split="official", side="train", lists={"train.json": "ab" * 32})
    with pytest.raises(BenchError, match=r"ffpp was not read with the list train.json that the protocol names"):
        find_copy(part, [make_copy(tmp_path, "ffpp", [], lists={"train.json": "cd" * 32})])
    copy = make_copy(tmp_path, "ffpp", [], lists={"train.json": "ab" * 32})
    assert find_copy(part, [copy]) is copy


def test_a_split_that_the_corpus_does_not_have(tmp_path: Path) -> None:
    rows = [row.model_copy(update={"official_split": None}) for row in make_ffpp(6)]
    error = refuse(load_built_in("in-domain"), [make_copy(tmp_path, "ffpp", rows)])
    assert error.message == "ffpp has no official split."


def test_nobody_known_is_never_divided_by_person(tmp_path: Path) -> None:
    rows = [row.model_copy(update={"people": (), "group": row.video_id}) for row in make_ffpp(6)]
    error = refuse(load_built_in("leave-one-method-out"), [make_copy(tmp_path, "ffpp", rows)], "deepfakes")
    assert "Nobody knows who is seen" in error.message


def test_a_method_or_compression_that_the_corpus_does_not_have(tmp_path: Path) -> None:
    rows = [row for row in make_ffpp(6) if row.method != "FaceSwap"]
    error = refuse(load_built_in("in-domain"), [make_copy(tmp_path, "ffpp", rows)])
    assert error.message == "ffpp has no fakes of method 'FaceSwap'."
    assert error.hint == "It has: Deepfakes, Face2Face, FaceShifter, NeuralTextures."
    error = refuse(load_built_in("compression"), [make_copy(tmp_path, "ffpp", make_ffpp(30))])
    assert error.message == "ffpp has no videos of compression 'raw'."


def test_a_side_without_reals(tmp_path: Path) -> None:
    rows = [row for row in make_ffpp(30) if row.label or row.official_split != "validation"]
    error = refuse(load_built_in("in-domain"), [make_copy(tmp_path, "ffpp", rows)])
    assert error.message == "Protocol 'in-domain': no reals of ffpp for validation."


def test_a_fold_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Unknown fold"):
        select_fold(load_built_in("in-domain"), "deepfakes", [make_copy(tmp_path, "ffpp", make_ffpp(6))])


def test_a_damaged_manifest_is_named(tmp_path: Path) -> None:
    copy = make_copy(tmp_path, "ffpp", make_ffpp(6))
    copy.manifest.write_text("{")
    assert "is not a row of a video manifest" in refuse(load_built_in("in-domain"), [copy]).message
