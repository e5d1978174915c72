"""Warm starts: an ancestor of several people, what is taken over from it, resume, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import make_dataset, write_masks_of
from safetensors.torch import load_file

from dancebench.core.errors import BenchError
from dancebench.core.nn import training as core_training
from dancebench.core.progress import ReportProgress
from dancebench.datasets.subjects.dataset import Subject
from dancebench.datasets.subjects.records import DrawnSource
from dancebench.synth.base import METHODS, Schedule, SynthConfig
from dancebench.synth.gan.method import GanConfig, LocalStage
from dancebench.synth.methods.ddg.method import DdgConfig
from dancebench.synth.methods.fbf_ts_fg import FaceGanConfig
from dancebench.synth.methods.posewarp.method import PoseWarpConfig
from dancebench.synth.render import FakeRecord, render_fake, take_held_out_motion
from dancebench.synth.training.ancestor import AncestorJob, AncestorRecord, open_ancestor, train_ancestor
from dancebench.synth.training.inheritance import Ancestor, take_part
from dancebench.synth.training.synthesizer import TrainJob, TrainRecord, find_finished, train

STEPS = Schedule(steps=2, batch=2)
NO_STEPS = Schedule.model_construct(steps=0, epochs=None, batch=2, learning_rate=2e-4, decay_share=0.0)
TINY = GanConfig(long_side=64, ngf=4, n_down=2, n_blocks=1, ndf=4, n_scales=1, schedule=STEPS)
TWO = TINY.model_copy(update={"local": LocalStage(schedule=STEPS, n_blocks=1, n_scales=1)})
FACE = FaceGanConfig(
    long_side=64, main=TINY, face_ngf=4, face_n_down=2, face_n_blocks=1, face_ndf=4, face_schedule=STEPS
)  # fmt: skip
DDG = DdgConfig(long_side=64, ngf=4, n_down=2, n_blocks=1, ndf=4, n_scales=1, schedule=STEPS)
WARP = PoseWarpConfig(long_side=64, width=4, schedule=STEPS, gan=STEPS, ndf=4)
CONFIGS: dict[str, SynthConfig] = {
    "fbf": TINY, "fbf-ts": TWO, "fbf-ts-fg": FACE, "ddg": DDG, "ddg-baseline": DDG, "posewarp": WARP,
}  # fmt: skip
NO_STEPS_LEFT: dict[str, SynthConfig] = {
    "fbf": TINY.model_copy(update={"schedule": NO_STEPS}),
    "fbf-ts": TWO.model_copy(
        update={"schedule": NO_STEPS, "local": TWO.local and TWO.local.model_copy(update={"schedule": NO_STEPS})}
    ),
    "fbf-ts-fg": FACE.model_copy(
        update={"main": TINY.model_copy(update={"schedule": NO_STEPS}), "face_schedule": NO_STEPS}
    ),
    "ddg": DDG.model_copy(update={"schedule": NO_STEPS}),
    "ddg-baseline": DDG.model_copy(update={"schedule": NO_STEPS}),
    "posewarp": WARP.model_copy(update={"schedule": NO_STEPS, "gan": NO_STEPS}),
}


@pytest.fixture
def people(tmp_path: Path) -> tuple[Subject, ...]:
    """Three people: two who train an ancestor, and one who is held out."""
    made = []
    for number, role in enumerate(("train", "train", "holdout")):
        subject = make_dataset(tmp_path, subject=f"p{number}", n_frames=20 + 5 * number).subject(f"p{number}")
        source = DrawnSource(generator_version=1, seed=number, n_frames=20)
        subject = replace(subject, record=subject.record.model_copy(update={"role": role, "source": source}))
        write_masks_of(subject)
        made.append(subject)
    return tuple(made)


@pytest.fixture
def ancestor_job(people: tuple[Subject, ...], tmp_path: Path) -> Callable[..., AncestorJob]:
    """The job of a method's ancestor, trained on the first two people."""

    def make(method: str, subjects: tuple[Subject, ...] = people[:2], root: str = "ancestors") -> AncestorJob:
        base = make("fbf-ts", subjects, root) if method == "fbf-ts-fg" else None
        config = TINY if method == "fbf-ts" and root != "two" else CONFIGS[method]
        folder = tmp_path / root / method / "toy" / "holdout" / "tiny-s0"
        return AncestorJob(method, "tiny", config, "d" * 64, "holdout", subjects, folder, base=base)

    return make


def warm_job(method: str, subject: Subject, ancestor: Ancestor | None, folder: Path, config: SynthConfig) -> TrainJob:
    base = None
    if isinstance(config, FaceGanConfig):
        base = warm_job("fbf-ts", subject, ancestor and ancestor.base, folder / "base", config.main)
    return TrainJob(method, "tiny", config, "d" * 64, subject, folder, base=base, ancestor=ancestor)


class KilledError(Exception):
    pass


def kill_at(what_ends_with: str) -> ReportProgress:
    def report(what: str, done: int, total: int) -> None:
        if what.endswith(what_ends_with) and done == 2:
            raise KilledError

    return report


@pytest.mark.parametrize("method", CONFIGS)
def test_a_warm_start_without_further_steps_is_the_ancestor(
    method: str, people: tuple[Subject, ...], ancestor_job: Callable[..., AncestorJob], tmp_path: Path
) -> None:
    ancestor = train_ancestor(ancestor_job(method, root="two" if method == "fbf-ts" else "ancestors"))
    job = warm_job(method, people[2], ancestor, tmp_path / "warm", NO_STEPS_LEFT[method])
    record = train(job)
    handed_down = take_part("networks", load_file(ancestor.folder / "weights.safetensors"))
    weights = load_file(job.weights_path)
    shared = handed_down.keys() & weights.keys()
    assert {name.split(".")[0] for name in shared} >= ({"face"} if method == "fbf-ts-fg" else set(record.parameters))
    assert all(torch.equal(weights[name], handed_down[name]) for name in shared)
    assert record.ancestor == ancestor.reference


def test_an_ancestor_of_one_person_is_their_own_synthesizer(
    people: tuple[Subject, ...], ancestor_job: Callable[..., AncestorJob], tmp_path: Path
) -> None:
    for method in ("fbf", "posewarp", "ddg"):
        alone = train_ancestor(ancestor_job(method, people[:1]))
        own = warm_job(method, people[0], None, tmp_path / method, CONFIGS[method])
        train(own)
        weights = load_file(own.weights_path)
        handed_down = take_part("networks", load_file(alone.folder / "weights.safetensors"))
        assert all(torch.equal(value, weights[name]) for name, value in handed_down.items()), method


def test_an_ancestor_says_whom_it_has_seen_and_keeps_its_discriminators(
    people: tuple[Subject, ...], ancestor_job: Callable[..., AncestorJob]
) -> None:
    job = ancestor_job("fbf")
    ancestor = train_ancestor(job)
    record = AncestorRecord.load(ancestor.folder / "ancestor.json")
    assert (record.side, [each.subject for each in record.people]) == ("holdout", ["p0", "p1"])
    assert (record.steps, record.train_frames, record.config["seed"]) == (2, 16 + 20, 0)
    kinds = {name.split(".")[0] for name in load_file(ancestor.folder / "weights.safetensors")}
    assert kinds == {"networks", "discriminators"}
    assert sorted(path.name for path in ancestor.folder.iterdir()) == [
        "ancestor.json", "losses.jsonl", "weights.safetensors",
    ]  # fmt: skip
    assert [ancestor.has_seen(each.record) for each in people] == [True, True, False]
    assert train_ancestor(job) == ancestor


def test_the_same_ancestor_and_seed_give_the_same_weights_and_another_ancestor_others(
    people: tuple[Subject, ...], ancestor_job: Callable[..., AncestorJob], tmp_path: Path
) -> None:
    ancestor, other = train_ancestor(ancestor_job("fbf")), train_ancestor(ancestor_job("fbf", people[1:2], "other"))
    again = train_ancestor(ancestor_job("fbf", root="again"))
    assert again.reference == ancestor.reference
    job = warm_job("fbf", people[2], ancestor, tmp_path / "warm", TINY)
    record = train(job)
    assert train(replace(job, folder=tmp_path / "same", ancestor=again)).weights_sha256 == record.weights_sha256
    cold = train(replace(job, folder=tmp_path / "cold", ancestor=None))
    assert len({record.weights_sha256, cold.weights_sha256}) == 2
    assert cold.ancestor is None
    assert find_finished(replace(job, ancestor=other)) is None
    assert find_finished(replace(job, ancestor=None)) is None


@pytest.mark.parametrize("killed_in", ["global", "local"])
def test_an_ancestor_and_its_descendant_are_resumed_after_a_kill(
    people: tuple[Subject, ...],
    ancestor_job: Callable[..., AncestorJob],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    killed_in: str,
) -> None:
    monkeypatch.setattr(core_training, "SAVE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(core_training, "MIN_SAVE_INTERVAL_RATIO", 0.0)
    whole, killed = (
        replace(ancestor_job("fbf-ts", root="two"), folder=tmp_path / name) for name in ("whole", "killed")
    )
    ancestor = train_ancestor(whole)
    with pytest.raises(KilledError):
        train_ancestor(killed, report=kill_at(killed_in))
    torch.manual_seed(99)
    assert train_ancestor(killed).reference == ancestor.reference
    job = warm_job("fbf-ts", people[2], ancestor, tmp_path / "warm", TWO)
    with pytest.raises(KilledError):
        train(job, report=kill_at(killed_in))
    torch.manual_seed(99)
    assert train(job).weights_sha256 == train(replace(job, folder=tmp_path / "uninterrupted")).weights_sha256


def test_a_fake_names_the_ancestor(
    people: tuple[Subject, ...], ancestor_job: Callable[..., AncestorJob], tmp_path: Path
) -> None:
    ancestor = train_ancestor(ancestor_job("fbf"))
    job = warm_job("fbf", people[2], ancestor, tmp_path / "warm", TINY)
    fake = render_fake(job, train(job), take_held_out_motion(people[2]), tmp_path / "fake.mp4")
    assert fake.ancestor == ancestor.reference
    assert fake.ancestor is not None
    assert fake.ancestor.people == ("p0", "p1")


def test_records_before_ancestors_are_read(people: tuple[Subject, ...], tmp_path: Path) -> None:
    job = warm_job("fbf", people[2], None, tmp_path / "cold", TINY)
    record = train(job)
    fake = render_fake(job, record, take_held_out_motion(people[2]), tmp_path / "fake.mp4")
    for path, version in ((job.folder / "train.json", 2), (tmp_path / "fake.json", 4)):
        written = json.loads(path.read_text())
        del written["ancestor"]
        path.write_text(json.dumps(written | {"schema_version": version}))
    assert TrainRecord.load(job.folder / "train.json") == record
    assert find_finished(job) == record
    assert FakeRecord.load(tmp_path / "fake.json") == fake


def test_an_ancestor_that_saw_the_person_who_is_tested_is_refused(
    people: tuple[Subject, ...], ancestor_job: Callable[..., AncestorJob], tmp_path: Path
) -> None:
    ancestor = train_ancestor(ancestor_job("fbf", people[1:]))
    seen = warm_job("fbf", people[2], ancestor, tmp_path / "warm", TINY)
    with pytest.raises(BenchError, match="was trained on 'p2', whose role is holdout") as error:
        train(seen)
    assert error.value.hint
    assert not seen.folder.exists()
    other_clip = people[2].record.model_copy(update={"clip_sha256": "1" * 64})  # of the same recording
    assert ancestor.has_seen(other_clip)
    ancestor.require_unseen(people[1].record)  # a training person's fakes are not tested on


def test_what_is_no_ancestor_of_the_method_is_refused(
    people: tuple[Subject, ...],
    ancestor_job: Callable[..., AncestorJob],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = train_ancestor(ancestor_job("fbf")).folder
    with monkeypatch.context() as later:
        later.setattr(METHODS["fbf"], "revision", 2)
        with pytest.raises(BenchError, match="trained by revision 1 of fbf, this is 2"):
            open_ancestor(folder, "fbf")
    with pytest.raises(BenchError, match="holds no ancestor of fbf"):
        open_ancestor(tmp_path / "nothing", "fbf")
    with pytest.raises(BenchError, match="holds an ancestor of fbf, not of posewarp"):
        open_ancestor(folder, "posewarp")
    with pytest.raises(BenchError, match="Nothing is trained of nearest"):
        train_ancestor(replace(ancestor_job("fbf"), method="nearest"))
    wider = warm_job("fbf", people[2], open_ancestor(folder, "fbf"), tmp_path / "w", TINY.model_copy(update={"ngf": 8}))
    with pytest.raises(BenchError, match="generator has other layers than the ancestor's"):
        train(wider)
    (folder / "weights.safetensors").write_bytes(b"damaged")
    with pytest.raises(BenchError, match="missing or was changed") as error:
        open_ancestor(folder, "fbf")
    assert error.value.hint
    assert train_ancestor(ancestor_job("fbf")).reference.people == ("p0", "p1")  # it is trained again


def test_people_of_several_sizes_are_refused(
    people: tuple[Subject, ...], ancestor_job: Callable[..., AncestorJob], tmp_path: Path
) -> None:
    square = make_dataset(tmp_path, name="square", subject="square", size=(128, 128)).subject("square")
    with pytest.raises(BenchError, match="frames of one size; found: 64x32, 64x64"):
        train_ancestor(ancestor_job("fbf", (people[0], square)))
