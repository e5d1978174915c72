"""Person masks: kept beside a clip as found, found again only where the clip changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_file
from dancebench.datasets.pose.extractors.base import EXTRACTORS, Frame, Mask, PoseExtractor
from dancebench.datasets.pose.skeleton import Keypoints
from dancebench.datasets.subjects import masks as masks_module
from dancebench.datasets.subjects.dataset import Subject
from dancebench.datasets.subjects.masks import MASKS, MaskRecord, find_person_masks, write_masks


class BrightExtractor(PoseExtractor):
    """Takes bright pixels for the person, and counts its runs."""

    runs = 0

    @classmethod
    def explain_absence(cls) -> str | None:
        return None

    @classmethod
    def describe(cls) -> str:
        return "bright pixels"

    def extract(self, frames: Iterable[Frame]) -> Iterator[Keypoints]:
        raise NotImplementedError

    def segment(self, frames: Iterable[Frame]) -> Iterator[Mask]:
        type(self).runs += 1
        return (frame.max(axis=-1) > 200 for frame in frames)


@pytest.fixture
def bright(monkeypatch: pytest.MonkeyPatch) -> type[BrightExtractor]:
    monkeypatch.setattr(BrightExtractor, "runs", 0)
    monkeypatch.setattr(masks_module, "open_extractor", BrightExtractor)
    return BrightExtractor


def test_masks_are_found_once_and_are_those_of_the_extractor(walker: Subject, bright: type[BrightExtractor]) -> None:
    before = {name: sha256_file(walker.folder / name) for name in ("clip.mp4", "poses.npz", "subject.json")}
    masks = find_person_masks(walker)
    with walker.open_reader() as reader:
        assert all(np.array_equal(masks[t], reader[t].max(axis=-1) > 200) for t in range(walker.record.n_frames))
    again = find_person_masks(walker)
    assert bright.runs == 1
    assert np.array_equal(masks.packed, again.packed)
    assert before == {name: sha256_file(walker.folder / name) for name in before}, "the prepared clip is as it was"
    record = MaskRecord.load(walker.folder / "masks.json")
    assert (record.segmenter, record.masks_sha256) == ("bright pixels", sha256_file(walker.folder / MASKS))


def test_masks_that_were_changed_are_found_again(walker: Subject, bright: type[BrightExtractor]) -> None:
    masks = find_person_masks(walker)
    write_masks(walker, np.ones((walker.record.n_frames, *walker.size), bool), "somebody else")
    assert np.array_equal(find_person_masks(walker).packed, masks.packed)
    assert bright.runs == 2


def test_closed_form_masks_are_stored_bit_by_bit(walker: Subject) -> None:
    drawn = np.random.default_rng(0).random((walker.record.n_frames, *walker.size)) < 0.3
    drawn[4] = False
    write_masks(walker, drawn, "drawn").save(walker.folder / "masks.json")
    masks = find_person_masks(walker)
    assert all(np.array_equal(masks[t], drawn[t]) for t in range(len(drawn)))
    assert masks.shows_person.tolist() == [t != 4 for t in range(len(drawn))]


def test_a_clip_without_any_foreground_is_refused(
    walker: Subject, bright: type[BrightExtractor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bright, "segment", lambda _, frames: (np.zeros(frame.shape[:2], bool) for frame in frames))
    with pytest.raises(BenchError, match=r"No foreground was found: none of the 30 frames of 'walker'") as error:
        find_person_masks(walker)
    assert error.value.hint is not None
    assert not (walker.folder / MASKS).exists()


def test_an_extractor_without_masks_says_so() -> None:
    with pytest.raises(BenchError, match="finds poses, and no person masks") as error:
        EXTRACTORS["truth"]().segment([])
    assert error.value.hint is not None
