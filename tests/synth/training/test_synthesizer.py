"""The training loop: reuse, exact resume, records, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.core.files import sha256_file
from dancebench.core.nn import training as core_training
from dancebench.core.progress import ReportProgress
from dancebench.datasets.subjects.dataset import Subject
from dancebench.datasets.subjects.prepare import write_poses
from dancebench.synth.base import METHODS, Schedule
from dancebench.synth.clip import Batch
from dancebench.synth.gan.method import GanConfig, GanPhase, LocalStage
from dancebench.synth.render import FakeRecord, render_fake, take_held_out_motion
from dancebench.synth.training import synthesizer as training
from dancebench.synth.training.synthesizer import TrainJob, TrainRecord, find_finished, load_method, train

TINY = GanConfig(long_side=64, ngf=4, n_down=2, n_blocks=1, ndf=4, n_scales=1, schedule=Schedule(steps=12, batch=2))
TWO_STAGES = TINY.model_copy(update={"local": LocalStage(schedule=Schedule(steps=5, batch=2), n_blocks=1, n_scales=2)})


@pytest.fixture
def job(walker: Subject, tmp_path: Path) -> TrainJob:
    return TrainJob("fbf-ts", "tiny", TINY, "d" * 64, walker, tmp_path / "synth")


class KilledError(Exception):
    pass


def kill_at(step: int) -> ReportProgress:
    """A progress callback that stops the training in the middle of the loop, as a kill would."""

    def report(what: str, done: int, total: int) -> None:
        if done == step:
            raise KilledError

    return report


def test_a_training_leaves_weights_log_and_record_and_no_checkpoint(job: TrainJob) -> None:
    record = train(job)
    assert sorted(path.name for path in job.folder.iterdir()) == ["losses.jsonl", "train.json", "weights.safetensors"]
    assert record == TrainRecord.load(job.folder / "train.json")
    assert record.steps == 12
    assert record.phases[0].examples == 23
    assert record.weights_sha256 == sha256_file(job.folder / "weights.safetensors")
    assert set(record.parameters) == {"generator"}
    assert [(phase.name, phase.height, phase.width) for phase in record.phases] == [("global", 64, 32)]
    assert [json.loads(line)["step"] for line in (job.folder / "losses.jsonl").read_text().splitlines()] == [10]


def test_the_same_job_again_trains_nothing(job: TrainJob) -> None:
    first = train(job)
    stamp = (job.folder / "weights.safetensors").stat().st_mtime_ns
    assert train(job) == first
    assert (job.folder / "weights.safetensors").stat().st_mtime_ns == stamp


def test_another_seed_or_changed_weights_is_another_training(job: TrainJob) -> None:
    train(job)
    assert find_finished(replace(job, config=TINY.model_copy(update={"seed": 1}))) is None
    path = job.folder / "weights.safetensors"
    path.write_bytes(path.read_bytes() + b"x")
    assert find_finished(job) is None


def test_what_an_earlier_revision_of_the_method_trained_is_neither_reused_nor_rendered(
    job: TrainJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = train(job)
    assert record.revision == METHODS["fbf-ts"].revision
    motion = take_held_out_motion(job.subject)
    render_fake(job, record, motion, tmp_path / "fake.mp4")
    monkeypatch.setattr(METHODS["fbf-ts"], "revision", record.revision + 1)
    assert find_finished(job) is None
    with pytest.raises(BenchError, match="another configuration or revision"):
        load_method(job, record)
    again = train(job)
    assert again.revision == record.revision + 1
    assert again.weights_sha256 == record.weights_sha256  # of this method nothing else has changed
    assert render_fake(job, again, motion, tmp_path / "fake.mp4").revision == again.revision
    assert find_finished(job) == again


def test_records_before_revisions_are_of_the_first(job: TrainJob) -> None:
    record = train(job)
    path = job.folder / "train.json"
    written = json.loads(path.read_text())
    assert written.pop("revision") == 1
    path.write_text(json.dumps(written | {"schema_version": 3}))
    assert find_finished(job) == record


def test_the_same_seed_gives_the_same_weights(job: TrainJob, tmp_path: Path) -> None:
    other = replace(job, folder=tmp_path / "other")
    assert train(job).weights_sha256 == train(other).weights_sha256
    third = replace(job, folder=tmp_path / "third", config=TINY.model_copy(update={"seed": 5}))
    assert train(third).weights_sha256 != train(job).weights_sha256


@pytest.mark.parametrize("method", ["fbf", "fbf-ts"])
@pytest.mark.parametrize("step", [3, 7, 12])
def test_killed_and_resumed_ends_with_the_same_weights(
    job: TrainJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, method: str
) -> None:
    monkeypatch.setattr(core_training, "SAVE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(core_training, "MIN_SAVE_INTERVAL_RATIO", 0.0)
    uninterrupted = train(replace(job, method=method, folder=tmp_path / "uninterrupted"))
    killed = replace(job, method=method, folder=tmp_path / "killed")
    with pytest.raises(KilledError):
        train(killed, report=kill_at(step))
    assert not (killed.folder / "train.json").exists()
    torch.manual_seed(99)  # nothing may depend on the random generator's state at the time of the resume
    resumed = train(killed)
    assert resumed.weights_sha256 == uninterrupted.weights_sha256
    assert [phase.losses for phase in resumed.phases] == [phase.losses for phase in uninterrupted.phases]
    assert (killed.folder / "losses.jsonl").read_text() == (tmp_path / "uninterrupted" / "losses.jsonl").read_text()


def test_a_checkpoint_of_another_config_is_not_resumed(job: TrainJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_training, "SAVE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(core_training, "MIN_SAVE_INTERVAL_RATIO", 0.0)
    with pytest.raises(KilledError):
        train(job, report=kill_at(8))
    seen: list[int] = []
    train(
        replace(job, config=TINY.model_copy(update={"schedule": Schedule(steps=12, batch=2, learning_rate=1e-4)})),
        report=lambda what, done, total: seen.append(done),
    )
    assert seen[0] == 1


def test_a_damaged_checkpoint_is_named(job: TrainJob) -> None:
    job.folder.mkdir(parents=True)
    (job.folder / "state.safetensors").write_bytes(b"damaged")
    with pytest.raises(BenchError, match=r"state\.safetensors cannot be used") as error:
        train(job)
    assert error.value.hint == "Remove it to train from the start."


def test_a_trunk_that_is_available_later_makes_another_training(
    job: TrainJob, monkeypatch: pytest.MonkeyPatch, trunk_weights: Path, tmp_path: Path
) -> None:
    wanted = replace(job, config=TINY.model_copy(update={"trunk": "squeeze"}))
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    assert train(wanted).trunk == "off"
    assert find_finished(wanted) is not None
    monkeypatch.setenv("BENCH_WEIGHTS", str(trunk_weights))
    assert find_finished(wanted) is None
    assert train(wanted).trunk == "squeeze"


def refuse(*_: object, **__: object) -> None:
    raise OSError("no network")


def test_a_loss_that_is_not_a_number_stops_the_training_and_says_where(
    job: TrainJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core_training, "SAVE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(core_training, "MIN_SAVE_INTERVAL_RATIO", 0.0)
    steps = iter(range(1, 100))
    original = GanPhase.train_step

    def train_step_with_nan(self: GanPhase, batch: Batch) -> dict[str, torch.Tensor]:
        losses = original(self, batch)
        return losses | {"g_gan": torch.tensor(float("nan"))} if next(steps) == 6 else losses

    monkeypatch.setattr(GanPhase, "train_step", train_step_with_nan)
    with pytest.raises(BenchError, match="g_gan is no longer a number at step 6"):
        train(job)
    assert not (job.folder / "train.json").exists()
    state = load_file(job.folder / "state.safetensors")
    assert all(torch.isfinite(value).all() for value in state.values())


def test_methods_without_steps_are_trained_the_same_way(job: TrainJob) -> None:
    record = train(replace(job, method="nearest"))
    assert (record.steps, record.phases, record.parameters) == (0, (), {})
    assert (job.folder / "weights.safetensors").exists()


def test_an_unknown_method_is_refused_before_anything_is_written(job: TrainJob) -> None:
    with pytest.raises(UnknownNameError, match="Unknown method 'fbf-tss'"):
        train(replace(job, method="fbf-tss"))
    assert not job.folder.exists()


def test_a_record_of_another_format_is_made_again(job: TrainJob) -> None:
    first = train(job)
    (job.folder / "train.json").write_text('{"schema_version": 1, "method": "fbf-ts"}')
    assert find_finished(job) is None
    assert train(job).weights_sha256 == first.weights_sha256


def test_too_few_usable_frames_are_refused(job: TrainJob) -> None:
    keypoints = job.subject.keypoints()
    keypoints[::2] = 0
    write_poses(job.subject.folder / "poses.npz", keypoints)
    with pytest.raises(BenchError, match="no 2 consecutive frames with a person") as error:
        train(job)
    assert error.value.hint


def test_a_trunk_that_is_not_available_is_recorded_as_off(job: TrainJob, monkeypatch: pytest.MonkeyPatch) -> None:
    from dancebench.core.nn.trunks import TrunkUnavailableError

    def refuse_to_load(name: str, *, download: bool) -> None:
        raise TrunkUnavailableError(f"the {name} trunk is not available")

    monkeypatch.setattr(training, "load_trunk", refuse_to_load)
    record = train(replace(job, config=TINY.model_copy(update={"trunk": "vgg19"})))
    assert (record.trunk, record.trunk_sha256) == ("off", None)
    assert record.trunk_reason == "the vgg19 trunk is not available"


def test_an_available_trunk_is_used_and_recorded(job: TrainJob, trunk_weights: Path) -> None:
    record = train(replace(job, config=TINY.model_copy(update={"trunk": "squeeze", "schedule": Schedule(steps=2)})))
    assert record.trunk == "squeeze"
    assert record.trunk_sha256 is not None
    assert record.phases[0].losses["g_perceptual"] > 0


def test_changed_weights_are_not_rendered_from(job: TrainJob) -> None:
    record = train(job)
    path = job.folder / "weights.safetensors"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(BenchError, match="was changed after training"):
        load_method(job, record)


def test_a_fake_lacks_the_first_frame_and_says_what_it_is(job: TrainJob, tmp_path: Path) -> None:
    record = train(job)
    path = tmp_path / "fakes" / "walker.mp4"
    fake = render_fake(job, record, take_held_out_motion(job.subject), path)
    assert fake == FakeRecord.load(path.with_suffix(".json"))
    assert (fake.first_frame, fake.n_frames) == (25, 5)  # the held-out span is 24 to 29
    assert fake.weights_sha256 == record.weights_sha256
    assert fake.sha256 == sha256_file(path)
    stamp = path.stat().st_mtime_ns
    assert render_fake(job, record, take_held_out_motion(job.subject), path) == fake
    assert path.stat().st_mtime_ns == stamp


def test_an_interrupted_render_leaves_no_clip(job: TrainJob, tmp_path: Path) -> None:
    record = train(job)
    with pytest.raises(KilledError):
        render_fake(
            job, record, take_held_out_motion(job.subject), tmp_path / "fakes" / "walker.mp4", report=kill_at(3)
        )
    assert list((tmp_path / "fakes").iterdir()) == []


def test_lengths_are_in_steps_or_epochs() -> None:
    assert Schedule(steps=12).count_steps(1000) == 12
    assert Schedule(epochs=5.0, batch=2).count_steps(100) == 250
    with pytest.raises(ValueError, match="steps or in epochs"):
        Schedule(steps=12, epochs=5.0)
