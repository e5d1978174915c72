"""Trainings of several phases, and methods that build on others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dancebench.core.errors import BenchError
from dancebench.core.nn import training as core_training
from dancebench.core.nn.checkpoint import load_checkpoint
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.datasets.pose.skeleton import NOSE
from dancebench.datasets.subjects.dataset import Subject
from dancebench.synth.base import METHODS, Schedule
from dancebench.synth.clip import Batch, load_training_clip
from dancebench.synth.gan.method import GanConfig, GanMethod, GanPhase, LocalStage
from dancebench.synth.methods.fbf_ts_fg import FaceGan, FaceGanConfig
from dancebench.synth.methods.posewarp.method import PoseWarpConfig
from dancebench.synth.render import take_held_out_motion
from dancebench.synth.training import loop
from dancebench.synth.training.loop import TrainingOptions
from dancebench.synth.training.synthesizer import TrainJob, find_finished, load_method, train

CPU = torch.device("cpu")
ONE = GanConfig(long_side=64, ngf=4, n_down=2, n_blocks=1, ndf=4, n_scales=1, schedule=Schedule(steps=6, batch=2))
TWO = ONE.model_copy(update={"local": LocalStage(schedule=Schedule(steps=5, batch=2), n_blocks=1, n_scales=2)})
FACE = FaceGanConfig(
    long_side=64, main=ONE, face_ngf=4, face_n_down=2, face_n_blocks=1, face_ndf=4,
    face_schedule=Schedule(steps=6, batch=2),
)  # fmt: skip


@pytest.fixture
def job(walker: Subject, tmp_path: Path) -> TrainJob:
    return TrainJob("fbf-ts", "tiny", TWO, "d" * 64, walker, tmp_path / "fbf-ts")


@pytest.fixture
def face_job(walker: Subject, tmp_path: Path) -> TrainJob:
    base = TrainJob("fbf-ts", "tiny", ONE, "d" * 64, walker, tmp_path / "base")
    return TrainJob("fbf-ts-fg", "tiny", FACE, "d" * 64, walker, tmp_path / "fg", base=base)


class KilledError(Exception):
    pass


def kill_at(what_ends_with: str, step: int) -> ReportProgress:
    def report(what: str, done: int, total: int) -> None:
        if what.endswith(what_ends_with) and done == step:
            raise KilledError

    return report


# ---------------------------------------------------------------- coarse to fine


def test_the_global_stage_trains_at_half_the_size_and_the_local_one_at_the_full(job: TrainJob) -> None:
    record = train(job)
    assert [(phase.name, phase.height, phase.width, phase.steps) for phase in record.phases] == [
        ("global", 32, 16, 6), ("local", 64, 32, 5),
    ]  # fmt: skip
    assert record.steps == 11
    assert next(load_method(job, record).render(take_held_out_motion(job.subject).segments[0])).shape == (64, 32, 3)


def test_the_local_stage_begins_with_the_trained_global_generator(walker: Subject) -> None:
    method = METHODS["fbf-ts"](TWO, load_training_clip(walker, 64), CPU)
    assert isinstance(method, GanMethod)
    inside = dict(method.generator.named_parameters())
    shared = [name for name in inside if name.startswith("coarse.")]
    assert len(shared) == len(list(method.coarse.parameters())) - 2  # all but the output layers
    assert all(inside[name] is dict(method.coarse.named_parameters())[name.removeprefix("coarse.")] for name in shared)


@pytest.mark.parametrize(("phase", "step"), [("global", 4), ("local", 1), ("local", 3)])
def test_killed_in_either_phase_and_resumed_ends_with_the_same_weights(
    job: TrainJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str, step: int
) -> None:
    monkeypatch.setattr(core_training, "SAVE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(core_training, "MIN_SAVE_INTERVAL_RATIO", 0.0)
    uninterrupted = train(replace(job, folder=tmp_path / "uninterrupted"))
    killed = replace(job, folder=tmp_path / "killed")
    with pytest.raises(KilledError):
        train(killed, report=kill_at(phase, step))
    torch.manual_seed(99)
    resumed = train(killed)
    assert resumed.weights_sha256 == uninterrupted.weights_sha256
    assert [record.losses for record in resumed.phases] == [record.losses for record in uninterrupted.phases]


# ---------------------------------------------------------------- the face GAN


def test_the_face_gan_trains_its_base_first_and_keeps_it_frozen(face_job: TrainJob) -> None:
    record = train(face_job)
    assert face_job.base is not None
    base = find_finished(face_job.base)
    assert base is not None
    assert record.base is not None
    assert record.base.weights_sha256 == base.weights_sha256
    assert (record.steps, [phase.name for phase in record.phases]) == (12, ["face"])
    weights, base_weights = load_file(face_job.weights_path), load_file(face_job.base.weights_path)
    assert all(torch.equal(weights[name], value) for name, value in base_weights.items())


def test_a_base_that_changed_makes_another_training(face_job: TrainJob) -> None:
    first = train(face_job)
    assert face_job.base is not None
    other = replace(face_job.base, config=ONE.model_copy(update={"seed": 4}))
    again = train(replace(face_job, base=other, config=FACE.model_copy(update={"main": other.config})))
    assert again.weights_sha256 != first.weights_sha256


@pytest.mark.parametrize("step", [2, 5])
def test_the_face_gan_killed_and_resumed_ends_with_the_same_weights(
    face_job: TrainJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(core_training, "SAVE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(core_training, "MIN_SAVE_INTERVAL_RATIO", 0.0)
    uninterrupted = train(replace(face_job, folder=tmp_path / "uninterrupted"))
    with pytest.raises(KilledError):
        train(face_job, report=kill_at("face", step))
    assert train(face_job).weights_sha256 == uninterrupted.weights_sha256


def train_and_render(job: TrainJob) -> np.ndarray:
    motion = take_held_out_motion(job.subject).segments[0]
    return np.stack(list(load_method(job, train(job)).render(motion)))


def test_outside_the_crop_the_pixels_are_those_of_the_base(face_job: TrainJob) -> None:
    assert face_job.base is not None
    full, base = train_and_render(face_job), train_and_render(face_job.base)
    method = load_method(face_job, train(face_job))
    assert isinstance(method, FaceGan)
    centres = take_held_out_motion(face_job.subject).segments[0].face_centres / 2  # the clip is twice as large
    for t, centre in enumerate(centres):
        box = method.compute_face_box(centre)
        assert box is not None
        inside = np.zeros(full[t].shape[:2], bool)
        inside[box.rows, box.columns] = True
        assert np.array_equal(full[t][~inside], base[t][~inside])
    assert not np.array_equal(full, base)  # inside, the face was corrected


def test_a_frame_without_a_face_is_not_changed(face_job: TrainJob) -> None:
    assert face_job.base is not None
    motion = take_held_out_motion(face_job.subject).segments[0]
    centres = motion.face_centres.copy()
    centres[2] = np.nan
    hidden = replace(motion, face_centres=centres)
    full = list(load_method(face_job, train(face_job)).render(hidden))
    base = train_and_render(face_job.base)
    assert np.array_equal(full[2], base[2])
    assert not np.array_equal(full[1], base[1])


def test_each_frame_is_cropped_to_its_own_face(walker: Subject) -> None:
    torch.manual_seed(0)
    clip = load_training_clip(walker, 128)
    method = FaceGan(FACE.model_copy(update={"main": ONE.model_copy(update={"long_side": 128})}), clip, CPU)
    phase = method.start_phase("face", None)
    phase.prepare(ignore_progress)
    batch = clip.read_batch(np.array([[0], [7]]), CPU)
    faces = phase.crop_faces(batch)  # type: ignore[attr-defined]
    for row, t in enumerate((0, 7)):
        box = method.compute_face_box(clip.keypoints[t, NOSE, :2])
        assert box is not None
        assert torch.equal(faces.frames[row, 0], batch.frames[row, 0][:, box.rows, box.columns])
    assert method.compute_face_box(clip.keypoints[0, NOSE, :2]) != method.compute_face_box(clip.keypoints[7, NOSE, :2])


def test_an_untrained_face_generator_changes_nothing(walker: Subject) -> None:
    clip = load_training_clip(walker, 64)
    method = FaceGan(FACE, clip, CPU)
    motion = clip.make_motion(range(4))
    for full, base in zip(method.render(motion), method.main.render(motion), strict=True):
        assert np.array_equal(full, base)


def test_a_clip_without_a_face_is_refused(face_job: TrainJob, monkeypatch: pytest.MonkeyPatch) -> None:
    assert face_job.base is not None
    train(face_job.base)
    clip = load_training_clip(face_job.subject, 64)
    hidden = replace(clip, face_centres=np.full_like(clip.face_centres, np.nan))
    monkeypatch.setattr("dancebench.synth.training.synthesizer.load_training_clip", lambda *_: hidden)
    with pytest.raises(BenchError, match="No face is seen in any training frame") as error:
        train(face_job)
    assert error.value.hint == "Use --method fbf-ts, which needs none."


# ---------------------------------------------------------------- checkpoints, options


def test_a_checkpoint_of_another_preset_is_not_rendered_from(job: TrainJob) -> None:
    record = train(job)
    other = replace(job, config=ONE, preset="small")
    with pytest.raises(BenchError, match="holds a fbf-ts of preset tiny") as error:
        load_method(other, record)
    assert error.value.hint is not None


def test_a_clip_smaller_than_the_preset_is_refused(job: TrainJob) -> None:
    with pytest.raises(BenchError, match="128x64") as error:
        train(replace(job, config=ONE.model_copy(update={"long_side": 256})))
    assert "--size" in str(error.value.hint)


def test_tensorboard_gets_curves_and_sample_grids(job: TrainJob, monkeypatch: pytest.MonkeyPatch) -> None:
    event = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.setattr(loop, "LOG_EVERY_STEPS", 2)
    monkeypatch.setattr(loop, "SAMPLE_EVERY_STEPS", 3)
    train(replace(job, options=TrainingOptions(tensorboard=True)))
    board = event.EventAccumulator(str(job.folder / "tensorboard"))
    board.Reload()
    tags = board.Tags()
    assert {"global/g_gan", "local/d_real"} <= set(tags["scalars"])
    assert {tag.split("/")[0] for tag in tags["images"]} == {"global", "local"}


def test_an_option_without_effect_is_refused(job: TrainJob) -> None:
    config = PoseWarpConfig(long_side=64, width=4, n_down=2, schedule=Schedule(steps=1))
    with pytest.raises(BenchError, match="no residual blocks") as error:
        train(replace(job, method="posewarp", config=config, options=TrainingOptions(checkpointing=True)))
    assert error.value.hint == "Leave --gradient-checkpointing out."


def test_weights_that_are_not_finite_are_not_saved_as_a_checkpoint(
    job: TrainJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core_training, "SAVE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(core_training, "MIN_SAVE_INTERVAL_RATIO", 0.0)
    original = GanPhase.train_step

    def train_step_to_nan(self: GanPhase, batch: Batch) -> dict[str, torch.Tensor]:
        losses = original(self, batch)
        if steps.append(1) or len(steps) == 4:
            next(self.generator.parameters()).data.fill_(float("nan"))
        return losses

    steps: list[int] = []
    monkeypatch.setattr(GanPhase, "train_step", train_step_to_nan)
    with pytest.raises(BenchError, match="no longer a number at step 5"):
        train(job)
    state = load_checkpoint(job.folder / "state.safetensors")
    assert state is not None
    assert state.facts["step"] == 3
    assert all(torch.isfinite(value).all() for value in state.tensors.values())
