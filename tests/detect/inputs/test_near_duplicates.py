"""Which clips show the same recording."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st

from dancebench.core.opencv import cv2
from dancebench.datasets.dancers.dancer import dance, make_dancer
from dancebench.detect.inputs.near_duplicates import (
    BITS,
    CORRELATION,
    MAX_BITS,
    aligned_correlation,
    compute_fingerprint,
    find_near_duplicates,
    hamming_distances,
    list_candidates,
    read_hashes,
    write_hashes,
)

Frames = list[npt.NDArray[np.uint8]]
ROOMS = (2, 3, 7)


def filmed(seed: int, room: int | None = None) -> Frames:
    """Some frames of a demo dancer, half a second apart, in their own or another dancer's room."""
    dancer = make_dancer(seed)
    if room is not None:
        dancer = replace(dancer, seed=room, scene=make_dancer(room).scene, camera=make_dancer(room).camera)
    return [frame for frame, _ in dance(dancer, 4, fps=2.0, motion_seed=seed)]


@pytest.fixture(scope="module")
def dancers() -> list[Frames]:
    return [filmed(seed) for seed in ROOMS]


def cropped(frame: npt.NDArray[np.uint8], share: float) -> npt.NDArray[np.uint8]:
    height, width = frame.shape[:2]
    y, x = round(height * share), round(width * share)
    return cv2.resize(frame[y : height - y, x : width - x], (width, height))  # type: ignore[no-any-return]


# --- foreign reference


def test_foreign_reference_of_the_hash() -> None:
    """SciPy's cosine transform: a bit says whether a low frequency lies above the mean of them, without the first."""
    smooth = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8), (0, 0), 2)
    grey = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)
    low = scipy.fft.dctn(grey.astype(float), norm="ortho")[:8, :8]
    low[0, 0] = 0
    bits = (low > low.mean()).ravel()
    found = compute_fingerprint([np.repeat(grey[..., None], 3, axis=2)]).signs[0] > 0
    packed = found.reshape(8, 8)[:, ::-1].ravel()  # the first frequency of eight is the last bit of its byte
    assert (packed == bits).mean() > 0.98


@settings(max_examples=25, deadline=None)
@given(first=st.integers(0, 2**64 - 1), second=st.integers(0, 2**64 - 1))
def test_hamming_counts_the_bits_that_differ(first: int, second: int) -> None:
    signs = [
        2 * np.unpackbits(np.frombuffer(value.to_bytes(8, "big"), np.uint8)).astype(np.float32) - 1
        for value in (first, second)
    ]
    assert hamming_distances(signs[0][None], signs[1][None])[0, 0] == (first ^ second).bit_count() <= BITS


# --- copies


COPIES = {
    "half size and brighter": lambda f: cv2.convertScaleAbs(cv2.resize(f, (128, 256)), alpha=1.1, beta=20),
    "less contrast": lambda f: cv2.convertScaleAbs(f, alpha=0.6, beta=30),
    "JPEG": lambda f: cv2.imdecode(cv2.imencode(".jpg", f, [cv2.IMWRITE_JPEG_QUALITY, 15])[1], cv2.IMREAD_COLOR),
    "a light crop": lambda f: cropped(f, 0.05),
    "small": lambda f: cv2.resize(f, (32, 64), interpolation=cv2.INTER_AREA),
}


@pytest.mark.parametrize("copy", COPIES)
def test_copies_are_found(dancers: list[Frames], copy: str) -> None:
    for frames in dancers:
        original, altered = compute_fingerprint(frames), compute_fingerprint([COPIES[copy](frame) for frame in frames])
        (found,) = find_near_duplicates([original, altered], ["train", "holdout"])
        assert (found.first, found.second) == (0, 1)
        assert found.bits <= MAX_BITS
        assert found.correlation >= CORRELATION


def test_other_people_are_no_false_positives(dancers: list[Frames]) -> None:
    assert find_near_duplicates([compute_fingerprint(frames) for frames in dancers], list("abc")) == []


def test_other_people_in_the_same_room_are_no_false_positives(dancers: list[Frames]) -> None:
    for room, frames in zip(ROOMS[:2], dancers, strict=False):
        guest = compute_fingerprint(filmed(50 + room, room))
        assert find_near_duplicates([compute_fingerprint(frames), guest], ["a", "b"]) == []


def test_within_a_group_nothing_is_compared(dancers: list[Frames]) -> None:
    same = compute_fingerprint(dancers[0])
    assert find_near_duplicates([same, same, same], ["a", "a", "b"]) != []
    assert find_near_duplicates([same, same, same], ["a", "a", "a"]) == []


def test_each_pair_of_clips_is_named_once(dancers: list[Frames]) -> None:
    same = compute_fingerprint(dancers[0])
    found = find_near_duplicates([same, same, same], ["a", "b", "a"])
    assert [(each.first, each.second) for each in found] == [(0, 1), (1, 2)]
    assert {each.bits for each in found} == {0}


# --- laws and bad input


def test_correlation_is_symmetric_and_one_with_itself(dancers: list[Frames]) -> None:
    first, second = (compute_fingerprint(frames).thumbnails[0] for frames in dancers[:2])
    assert aligned_correlation(first, second) == aligned_correlation(second, first)
    assert aligned_correlation(first, first) == pytest.approx(1, abs=1e-5)


def test_frames_without_contrast_are_no_false_positives() -> None:
    black = compute_fingerprint([np.zeros((64, 32, 3), np.uint8)] * 3)
    assert len(black.thumbnails) == 0
    assert find_near_duplicates([black, black, compute_fingerprint([])], ["a", "b", "c"]) == []
    assert find_near_duplicates([], []) == []


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="1 clips but 2 groups"):
        find_near_duplicates([compute_fingerprint([])], ["a", "b"])


# --- hashes without their thumbnails


def test_hashes_are_read_as_written_and_show_the_same_candidates(dancers: list[Frames]) -> None:
    whole = [compute_fingerprint(frames) for frames in (*dancers, [cropped(frame, 0.03) for frame in dancers[1]])]
    texts = [write_hashes(each) for each in whole]
    assert all(len(text) == BITS // 4 for clip in texts for text in clip)
    hashes = [read_hashes(clip) for clip in texts]
    for kept, each in zip(hashes, whole, strict=True):
        np.testing.assert_array_equal(kept.signs, each.signs)
    groups = ["a", "b", "c", "d"]
    close = list_candidates(hashes, groups)
    assert {1, 3} <= set(close)
    assert {(pair.first, pair.second) for pair in find_near_duplicates(whole, groups)} == {(1, 3)}
    assert list_candidates(hashes, ["a"] * 4) == []
    assert read_hashes([]).signs.shape == (0, BITS)
    with pytest.raises(ValueError, match="non-hexadecimal"):
        read_hashes(["x" * 16])
