"""The layout of the Everybody-Dance-Now release: what is read, kept aligned, and refused.

Frame number n is grey 20 + 4 n all over and its label has the colour (n, 2 n, 200), so that every image shows
which frame it belongs to. Poses are not extracted here (the command line's tests do that).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from extractors import always_open

from dancebench.core.errors import BenchError
from dancebench.core.opencv import cv2
from dancebench.core.workspace import Workspace
from dancebench.datasets.importers.edn import read_edn
from dancebench.datasets.pose.skeleton import L_HIP, L_SHOULDER, MID_HIP, NECK, R_HIP, R_SHOULDER, Keypoints
from dancebench.datasets.subjects.dataset import Dataset, Subject
from dancebench.datasets.subjects.permission import state_permission
from dancebench.datasets.subjects.records import DatasetRecord, PoseSource, PrepareConfig, Role
from dancebench.datasets.video.clips import write_clip

SIZE = (128, 64)
TRAIN, TEST = (0, 1, 2, 3, 4, 7, 8, 9), (12, 13, 14, 20, 21)


def frame_of(number: int, size: tuple[int, int] = SIZE) -> npt.NDArray[np.uint8]:
    return np.full((*size, 3), 20 + 4 * number, np.uint8)


def label_of(number: int, size: tuple[int, int] = SIZE) -> npt.NDArray[np.uint8]:
    return np.full((*size, 3), (number, 2 * number, 200), np.uint8)


def save(path: Path, picture: npt.NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture[..., ::-1])


def save_all(paths: Iterable[Path], picture: npt.NDArray[np.uint8]) -> None:
    for path in list(paths):
        save(path, picture)


def edn(
    root: Path,
    train: Sequence[int] = TRAIN,
    test: Sequence[int] = TEST,
    *,
    size: tuple[int, int] = SIZE,
    name: str = "frame{:06d}.png",
) -> Path:
    """A folder in the release's layout."""
    for part, numbers in (("train", train), ("test", test)):
        for number in numbers:
            save(root / f"{part}_img" / name.format(number), frame_of(number, size))
            save(root / f"{part}_label" / name.format(number), label_of(number, size))
    return root


def box(folder: Path, number: int, text: str, part: str = "train") -> None:
    path = folder / f"{part}_facetexts128" / f"frame{number:06d}.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


@pytest.fixture
def tracked(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Replaces pose extraction by a standing figure; returns the frame numbers of each tracking."""
    trackings: list[list[int]] = []

    def extract(frames: Iterable[npt.NDArray[np.uint8]]) -> Iterator[Keypoints]:
        trackings.append([])
        for frame in frames:
            number = round((float(frame.mean()) - 20) / 4)
            trackings[-1].append(number)
            points = np.zeros((75, 3), np.float32)
            for joint, (x, y) in {
                NECK: (30, 30), MID_HIP: (30, 60), R_SHOULDER: (20, 30), L_SHOULDER: (40, 30),
                R_HIP: (25, 60), L_HIP: (35, 60),
            }.items():  # fmt: skip
                points[joint] = (x + number / 10, y, 1)
            yield points

    monkeypatch.setattr(PoseSource, "open", always_open(extract))
    return trackings


Import = Callable[..., Subject]


@pytest.fixture
def import_edn(tmp_path: Path, tracked: list[list[int]]) -> Import:
    """Import a folder into the dataset `d` of a workspace."""

    def import_folder(folder: Path, *, fps: float = 30, size: tuple[int, int] = SIZE, role: Role = "target") -> Subject:
        permission = state_permission(role, consent="yes", legal_basis="yes")
        return open_dataset(tmp_path, size).add_import(
            "a", read_edn(folder, fps=fps), role=role, licence="MIT", permission=permission
        )[1]

    return import_folder


def open_dataset(tmp_path: Path, size: tuple[int, int] = SIZE) -> Dataset:
    workspace = Workspace(tmp_path / "w").open()
    if (workspace.dataset("d") / "dataset.json").exists():
        return Dataset.open(workspace, "d")
    prepare = PrepareConfig(height=size[0], width=size[1])
    return Dataset(workspace.dataset("d"), DatasetRecord(name="d", licence="MIT", prepare=prepare))


def numbers_of(subject: Subject) -> list[int]:
    """The numbers of the frames that a clip shows."""
    with subject.open_reader() as clip:
        return [round((float(frame.mean()) - 20) / 4) for frame in clip]


# ---------------------------------------------------------------- what is read


def test_closed_form_parts_breaks_and_pose_maps(tmp_path: Path, import_edn: Import) -> None:
    subject = import_edn(edn(tmp_path / "subject1"))
    record = subject.record
    assert numbers_of(subject) == [*TRAIN, *TEST]
    assert (record.n_train, record.breaks) == (8, (5, 8, 11))  # 4|7, train|test, 14|20
    assert (subject.train, subject.test) == (range(8), range(8, 13))
    assert subject.segments(subject.train) == [range(5), range(5, 8)]
    assert subject.segments(subject.test) == [range(8, 11), range(11, 13)]
    assert np.flatnonzero(subject.starts_segment).tolist() == [0, 5, 8, 11]
    assert subject.pose_map_style == "supplied"
    pose_maps = list(subject.pose_maps(range(13), SIZE))
    assert all(np.array_equal(got, label_of(n)) for got, n in zip(pose_maps, [*TRAIN, *TEST], strict=True))
    assert [picture.shape for picture in subject.pose_maps([12, 0], (64, 32))] == [(64, 32, 3)] * 2
    assert subject.face_boxes() is None
    assert record.source.kind == "imported"
    assert (record.source.layout, record.source.name) == ("edn", "subject1")
    assert record.pose_extractor == open_dataset(tmp_path).record.poses.description
    assert (record.fps, record.source_frames, record.person_frames) == (30, 13, 13)


def test_each_segment_is_tracked_separately(tmp_path: Path, import_edn: Import, tracked: list[list[int]]) -> None:
    import_edn(edn(tmp_path / "e"))
    assert tracked == [[0, 1, 2, 3, 4], [7, 8, 9], [12, 13, 14], [20, 21]]


def test_resampling_keeps_frames_labels_poses_and_boxes_aligned(tmp_path: Path, import_edn: Import) -> None:
    """60 to 30 fps: every second frame, counted from the start of each segment."""
    folder = edn(tmp_path / "e", train=(*range(10), *range(15, 20)), test=range(30, 36))
    for number in range(10):
        box(folder, number, f"{number} 60 0 30")
    subject = import_edn(folder, fps=60)
    kept = [0, 2, 4, 6, 8, 15, 17, 19, 30, 32, 34]
    assert numbers_of(subject) == kept
    assert [picture[0, 0, 0] for picture in subject.pose_maps(range(11), SIZE)] == kept
    assert np.allclose(subject.keypoints()[:, NECK, 0], 30 + np.array(kept) / 10)
    boxes = subject.face_boxes()
    assert boxes is not None
    assert boxes[:5, 0].tolist() == [0, 2, 4, 6, 8]
    assert np.isnan(boxes[5:]).all()
    assert (subject.record.breaks, subject.record.n_train, subject.record.fps) == ((5, 8), 8, 30)


def test_the_last_number_in_a_name_counts(tmp_path: Path, import_edn: Import) -> None:
    folder = edn(tmp_path / "e", name="take2_{:06d}_synthesized_image.png")
    for label in sorted((folder / "train_label").iterdir()):
        label.rename(label.with_name(label.name.replace("take2_", "")))
    assert numbers_of(import_edn(folder)) == [*TRAIN, *TEST]


def test_closed_form_numbers_that_step_by_4_are_consecutive_and_larger_steps_are_gaps(
    tmp_path: Path, import_edn: Import, tracked: list[list[int]]
) -> None:
    train, test = (1, 5, 9, 13, 21, 25), (33, 37, 41, 53, 57)
    folder = edn(tmp_path / "e", train, test)
    subject = import_edn(folder)
    assert numbers_of(subject) == [*train, *test]
    assert (subject.record.n_train, subject.record.breaks) == (6, (4, 6, 9))  # 13|21, train|test, 41|53
    assert tracked == [[1, 5, 9, 13], [21, 25], [33, 37, 41], [53, 57]]
    imported = read_edn(folder, fps=30)
    assert [len(list(segment.frames())) for segment in imported.footage.segments] == [4, 2, 3, 2]
    seconds = [time for time, _ in imported.footage.segments[0].frames()]
    assert seconds == pytest.approx([0, 1 / 30, 2 / 30, 3 / 30])  # the rate is that of the frames, not of their numbers
    assert imported.notes == tuple(
        f"The numbers in {part}_img step by 4: frames that are 4 apart are taken for consecutive, other steps for gaps."
        for part in ("train", "test")
    )


def test_names_of_the_release_are_read(tmp_path: Path) -> None:
    folder = edn(tmp_path / "e", (1, 5, 9), (17, 21), name="frame02{:04d}.png")
    assert [len(list(segment.frames())) for segment in read_edn(folder, fps=30).footage.segments] == [3, 2]


@pytest.mark.parametrize(("brightest", "noted"), [(24, True), (0, True), (200, False)])
def test_nearly_black_label_pictures_are_noted(tmp_path: Path, brightest: int, noted: bool) -> None:
    folder = edn(tmp_path / "e")
    for path in folder.glob("train_label/*"):
        classes = np.zeros((*SIZE, 3), np.uint8)
        classes[20:40, 20:30] = brightest
        save(path, classes)
    notes = read_edn(folder, fps=30).notes
    word = f"The pictures in train_label are nearly black (brightest value {brightest} of 255)"
    assert [note.startswith(word) for note in notes] == [True] * noted


def test_labels_and_boxes_are_letterboxed_as_the_frames_are(tmp_path: Path, import_edn: Import) -> None:
    """A 64x64 picture in a 256x128 clip: doubled, with bars of 64 rows above and below."""
    folder = edn(tmp_path / "e", size=(64, 64))
    box(folder, 0, "10 20 5 15\n")
    box(folder, 2, "-3 70 0 64")
    box(folder, 3, "0 0 0 0")
    box(folder, 21, "1.5 3 1 2", part="test")
    subject = import_edn(folder, size=(256, 128))
    picture = next(subject.pose_maps([1], (256, 128)))
    assert not picture[:64].any()
    assert not picture[192:].any()
    assert np.array_equal(picture[64:192], label_of(1, (128, 128)))
    boxes = subject.face_boxes()
    assert boxes is not None
    assert boxes.dtype == np.float32
    assert boxes[0].tolist() == [84, 104, 10, 30]
    assert boxes[2].tolist() == [64, 192, 0, 128]  # clipped to the frame
    assert boxes[12].tolist() == [67, 70, 2, 4]
    assert np.isnan(boxes[[1, *range(3, 12)]]).all()


def test_the_source_hash_covers_names_and_contents(tmp_path: Path) -> None:
    def source_of(change: Callable[[Path], object], fps: float = 30) -> dict[str, object]:
        folder = edn(tmp_path / "e")
        box(folder, 0, "1 9 1 9")
        change(folder)
        source = read_edn(folder, fps=fps).source.model_dump()
        shutil.rmtree(folder)
        return source

    base = source_of(lambda _: None)
    assert source_of(lambda _: None) == base
    assert source_of(lambda _: None, fps=25)["sha256"] == base["sha256"]
    assert source_of(lambda _: None, fps=25) != base
    changes: list[Callable[[Path], object]] = [
        lambda folder: save(folder / "test_img/frame000013.png", frame_of(40)),
        lambda folder: save(folder / "train_label/frame000001.png", label_of(40)),
        lambda folder: (folder / "train_label/frame000001.png").rename(folder / "train_label/f1.png"),
        lambda folder: box(folder, 0, "1 9 1 8"),
        lambda folder: box(folder, 12, "1 9 1 9", part="test"),
    ]
    assert len({source_of(change)["sha256"] for change in changes} | {base["sha256"]}) == 6


# ---------------------------------------------------------------- in a dataset


def test_a_second_import_changes_nothing(tmp_path: Path, import_edn: Import) -> None:
    folder = edn(tmp_path / "e")
    first = import_edn(folder)
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "w").rglob("*")}
    assert import_edn(folder).record == first.record
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "w").rglob("*")} == stamps
    assert import_edn(folder.rename(tmp_path / "moved")).record == first.record
    with pytest.raises(BenchError, match="already has a subject 'a'"):
        import_edn(tmp_path / "moved", fps=25)


def test_two_imports_give_the_same_bytes(tmp_path: Path, import_edn: Import) -> None:
    folder = edn(tmp_path / "e")
    box(folder, 0, "1 9 1 9")
    first = import_edn(folder).record
    shutil.rmtree(tmp_path / "w")
    assert import_edn(folder).record == first


def test_changed_labels_and_boxes_are_noticed(tmp_path: Path, import_edn: Import) -> None:
    folder = edn(tmp_path / "e")
    box(folder, 0, "1 9 1 9")
    subject = import_edn(folder)
    assert open_dataset(tmp_path).verify() == []
    save(subject.folder / "labels" / "000003.png", label_of(99))
    boxes = subject.folder / "face_boxes.npz"
    boxes.write_bytes(boxes.read_bytes() + b"x")
    changed = "was changed after it was prepared"
    assert open_dataset(tmp_path).verify() == [f"a: labels {changed}", f"a: face_boxes.npz {changed}"]
    shutil.rmtree(subject.folder / "labels")
    assert "a: labels is missing" in subject.changed_files()
    with pytest.raises(BenchError, match=r"000000\.png is missing or damaged"):
        next(subject.pose_maps([0], SIZE))
    shutil.rmtree(subject.folder)
    assert open_dataset(tmp_path).verify() == ["a: its folder is missing"]


def test_the_content_hash_follows_labels_and_breaks(tmp_path: Path, import_edn: Import) -> None:
    record = import_edn(edn(tmp_path / "e")).record
    content = record.content_sha256
    assert record.model_copy(update={"labels_sha256": "0" * 64}).content_sha256 != content
    assert record.model_copy(update={"breaks": (5, 8)}).content_sha256 != content
    assert record.model_copy(update={"licence": "other"}).content_sha256 == content


@pytest.mark.parametrize("role", ["driver", "holdout"])
def test_every_role_may_have_gaps(tmp_path: Path, import_edn: Import, role: Role) -> None:
    record = import_edn(edn(tmp_path / "e"), role=role).record
    assert (record.role, record.breaks) == (role, (5, 8, 11))


def test_a_recording_is_recognised_in_another_layout(tmp_path: Path, import_edn: Import) -> None:
    folder = edn(tmp_path / "e")
    import_edn(folder)
    permission = state_permission("holdout", consent=None, legal_basis="yes")
    with pytest.raises(BenchError, match=r"already in 'd', as 'a' \(target\)"):
        open_dataset(tmp_path).add("b", folder / "train_img", role="holdout", licence="MIT", permission=permission)


def test_a_person_may_jump_across_a_gap_but_not_within_a_segment(
    tmp_path: Path, import_edn: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    def jump_at(number: int) -> None:
        def extract(frames: Iterable[npt.NDArray[np.uint8]]) -> Iterator[Keypoints]:
            for frame in frames:
                points = np.zeros((75, 3), np.float32)
                points[[NECK, MID_HIP, R_SHOULDER, L_HIP]] = [(5, 10, 1), (5, 20, 1), (5, 10, 1), (5, 20, 1)]
                points[:, 0] += 50 * (float(frame.mean()) > 18 + 4 * number)
                yield points

        monkeypatch.setattr(PoseSource, "open", always_open(extract))

    jump_at(8)
    with pytest.raises(BenchError, match="jumps to somebody else at frame 6"):
        import_edn(edn(tmp_path / "e"))
    assert not (tmp_path / "w" / "datasets").exists() or not list((tmp_path / "w" / "datasets").rglob("*.*"))
    jump_at(7)
    assert import_edn(tmp_path / "e").record.n_frames == 13


# ---------------------------------------------------------------- what is refused


def without(folder: str) -> Callable[[Path], object]:
    return lambda root: shutil.rmtree(root / folder)


def renamed(old: str, new: str) -> Callable[[Path], object]:
    return lambda root: (root / old).rename(root / new)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without("test_img"), "has no test_img: without the test part's real frames nothing can be measured"),
        (without("test_label"), "has no test_label"),
        (without("train_img"), "has no train_img"),
        (shutil.rmtree, "is not a folder"),
        (
            lambda root: (root / "train_img/frame000003.png").unlink(),
            r"train_label/frame000003.png has no counterpart in train_img \(8 files in train_label, 7 in train_img",
        ),
        (
            lambda root: (root / "test_label/frame000013.png").unlink(),
            r"test_img/frame000013.png has no counterpart in test_label \(5 files in test_img, 4 in test_label\)",
        ),
        (
            lambda root: save_all(root.glob("train_label/*"), label_of(1, (64, 32))),
            r"train_label/frame000000.png is 64x32 where its frame is 128x64 \(height x width; 8 labels, 8 images\)",
        ),
        (
            lambda root: save(root / "train_label/frame000004.png", label_of(1, (64, 32))),
            "train_label/frame000004.png is 64 x 32",
        ),
        (
            lambda root: save_all(root.glob("test_[il]*/*"), label_of(1, (64, 32))),
            "test_img/frame000012.png is 64x32 where the frames of train_img are 128x64",
        ),
        (
            renamed("train_img/frame000001.png", "train_img/frame_0.png"),
            "carry the same frame number, 0",
        ),
        (renamed("train_img/frame000001.png", "train_img/first.png"), "first.png has no number in its name"),
        (lambda root: (root / "test_img/frame000012.png").write_bytes(b"no"), "cannot be decoded as an image"),
        (lambda root: [path.unlink() for path in (root / "test_img").iterdir()], "test_img holds no"),
        (lambda root: box(root, 5, "1 2 3 4"), r"frame000005.txt has no counterpart in train_img \(1 files"),
        (lambda root: box(root, 0, "1 2 3"), "frame000000.txt does not hold the bounding box of a face"),
        (lambda root: box(root, 0, "9 1 3 4"), "does not hold the bounding box"),
        (lambda root: box(root, 0, "a b c d"), "does not hold the bounding box"),
        (lambda root: box(root, 0, "nan 1 2 3"), "does not hold the bounding box"),
        (lambda root: box(root, 0, "200 300 3 4"), "does not hold the bounding box"),
    ],
)
def test_bad_folders_are_refused(tmp_path: Path, spoil: Callable[[Path], object], message: str) -> None:
    folder = edn(tmp_path / "e")
    spoil(folder)
    with pytest.raises(BenchError, match=message) as error:
        read_edn(folder, fps=30)
    assert error.value.hint
    assert "\n" not in error.value.message


@pytest.mark.parametrize("train", [(3,), (0, 2, 5, 9)])
def test_frames_without_consecutive_numbers_are_refused(tmp_path: Path, train: tuple[int, ...]) -> None:
    first = ", ".join(map(str, train[:3]))
    with pytest.raises(BenchError, match=rf"No two frames of .*train_img follow each other: their numbers are {first}"):
        read_edn(edn(tmp_path / "e", train=train), fps=30)


def test_a_failed_import_leaves_nothing(tmp_path: Path, import_edn: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = edn(tmp_path / "e")

    def nobody(frames: Iterable[npt.NDArray[np.uint8]]) -> Iterator[Keypoints]:
        return (np.zeros((75, 3), np.float32) for _ in frames)

    monkeypatch.setattr(PoseSource, "open", always_open(nobody))
    with pytest.raises(BenchError, match="No person was found in any of the 13 frames"):
        import_edn(folder)
    assert [path.name for path in (tmp_path / "w").rglob("*") if path.is_file()] == ["workspace.json"]


def test_a_plain_recording_has_one_segment_and_stick_figures(tmp_path: Path, tracked: list[list[int]]) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(clip, (frame_of(number) for number in range(10)), 25)
    permission = state_permission("target", consent="yes", legal_basis=None)
    _, subject = open_dataset(tmp_path).add("a", clip, role="target", licence="MIT", permission=permission)
    record = subject.record
    assert (record.breaks, record.n_train, record.labels_sha256, record.face_boxes_sha256) == ((), None, None, None)
    assert (subject.train, subject.test) == (range(8), range(8, 10))
    assert subject.segments(subject.train) == [range(8)]
    assert subject.pose_map_style == "sticks"
    assert len(tracked) == 1
    assert next(subject.pose_maps([4], SIZE)).any()
    assert not (subject.folder / "labels").exists()
