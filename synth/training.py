"""The one training loop: subject in, a folder with weights, a loss log and a record out.

    synths/METHOD/DATASET/SUBJECT/VARIANT/
        weights.safetensors   what synthesis needs
        train.json            config, data, steps, losses, seeds; written last: it marks the end
        losses.jsonl          a line every few steps
        state.safetensors     networks and optimizers on the way; gone when training is done

Resume is exact: a step's examples depend on (seed, step) alone, and the state holds everything else, so
training that was killed ends with the same weights as training left alone (one thread, one machine).
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from dancebench.core.environment import code_version, seed_everything, versions
from dancebench.core.errors import BenchError
from dancebench.core.files import atomic_path, sha256_file, sha256_json, write_text
from dancebench.core.progress import Report, silent
from dancebench.core.schema import Document
from dancebench.core.trunks import Trunk, TrunkUnavailableError, load_trunk
from dancebench.datasets.store import Subject
from dancebench.synth.clip import TrainingClip, load_training_clip
from dancebench.synth.method import METHODS, LearnedMethod, Method, SynthConfig

SAVE_EVERY_SECONDS: Final = 20.0
LOG_EVERY_STEPS: Final = 10


class TrainRecord(Document):
    """`train.json`: what a synthesizer is and how it came to be."""

    method: str
    preset: str
    dataset_id: str
    subject: str
    content_sha256: str
    config: SynthConfig
    train_frames: int
    examples: int
    """Windows of consecutive frames that training drew from; 0 for methods without steps."""
    steps: int
    seconds: float
    losses: dict[str, float]
    """Means over the last tenth of the steps."""
    parameters: dict[str, int]
    trunk: str
    """The perceptual trunk that was used, or `off`."""
    trunk_sha256: str | None
    trunk_reason: str | None
    """Why the configured trunk was not used."""
    weights_sha256: str
    git_sha: str | None
    dirty: bool | None
    versions: dict[str, str]
    device: str


@dataclass(frozen=True)
class TrainJob:
    """What to train on what; `folder` is where it goes."""

    method: str
    preset: str
    config: SynthConfig
    dataset_id: str
    subject: Subject
    folder: Path
    device: str = "cpu"
    tensorboard: bool = False


def train(job: TrainJob, *, report: Report = silent) -> TrainRecord:
    """Train a synthesizer, take up one that was interrupted, or give back one that is done.

    Raises:
        UnknownNameError: There is no such method.
        BenchError: The clip has too few usable frames, or a loss stopped being a number (the message
            says at which step; the last good state is kept).
    """
    make = METHODS[job.method]
    done = finished(job)
    if done is not None:
        return done
    seed_everything(job.config.seed)
    clip = load_training_clip(job.subject, job.config.long_side)
    method = make(job.config, clip, torch.device(job.device))
    started = _Progress()
    trunk, trunk_reason = None, None
    if isinstance(method, LearnedMethod):
        trunk, trunk_reason = _trunk_for(job.config)
        method.begin_training(trunk)
        started = _run(method, job, trunk, report)
    with atomic_path(job.folder / "weights.safetensors") as temporary:
        save_file({name: value.contiguous() for name, value in method.weights().items()}, temporary)
    record = _record(job, method, clip, started, trunk, trunk_reason)
    record.save(job.folder / "train.json")
    (job.folder / "state.safetensors").unlink(missing_ok=True)
    return record


def finished(job: TrainJob) -> TrainRecord | None:
    """The record of a training of this very job that has ended, else None."""
    record = TrainRecord.load_if_usable(job.folder / "train.json")
    if record is None:
        return None
    same = record.config == job.config and record.content_sha256 == job.subject.record.content_sha256
    if record.trunk_reason is not None and _trunk_for(job.config)[0] is not None:
        return None  # the trunk that was missing then is there now: that would be another training
    weights = job.folder / "weights.safetensors"
    return record if same and weights.exists() and sha256_file(weights) == record.weights_sha256 else None


def load_method(job: TrainJob, record: TrainRecord) -> Method:
    """A trained synthesizer, ready to render.

    Raises:
        BenchError: The weights are not those that the record names.
    """
    path = job.folder / "weights.safetensors"
    if sha256_file(path) != record.weights_sha256:
        raise BenchError(f"{path} was changed after training.", hint="Remove its folder and train again: bench synth.")
    clip = load_training_clip(job.subject, job.config.long_side)
    method = METHODS[job.method](job.config, clip, torch.device(job.device))
    method.load_weights(load_file(path, device=job.device))
    return method


@dataclass
class _Progress:
    """Where a training stands: steps done, seconds spent in them, losses of the last tenth."""

    step: int = 0
    seconds: float = 0.0
    recent: list[dict[str, float]] | None = None

    def losses(self) -> dict[str, float]:
        recent = self.recent or []
        names = recent[0] if recent else {}
        return {name: float(np.mean([losses[name] for losses in recent])) for name in names}


def _trunk_for(config: SynthConfig) -> tuple[Trunk | None, str | None]:
    """The configured trunk, or None and why not: the perceptual loss is then off, and recorded as off."""
    if config.trunk == "off":
        return None, None
    try:
        return load_trunk(config.trunk, download=True), None
    except TrunkUnavailableError as error:
        return None, error.message


def _run(method: LearnedMethod, job: TrainJob, trunk: Trunk | None, report: Report) -> _Progress:
    config = job.config
    starts = method.clip.starts(method.window)
    steps = config.n_steps(len(starts))
    state = _State(method, job, trunk)
    progress = state.restore()
    progress.recent = progress.recent or []
    log = _LossLog(job, progress.step)
    clock, saved = time.perf_counter(), time.perf_counter()
    what = f"{job.method} on {job.subject.id}"
    while progress.step < steps:
        rng = np.random.default_rng([config.seed, progress.step])
        batch = method.clip.batch(rng.choice(starts, config.batch), method.window, method.device)
        for optimizer in method.optimizers().values():
            for group in optimizer.param_groups:
                group["lr"] = config.rate(progress.step, steps)
        losses = method.train_step(batch)
        now = time.perf_counter()
        progress.seconds, clock = progress.seconds + now - clock, now
        if not all(math.isfinite(value) for value in losses.values()):
            raise _diverged(job, losses, progress.step + 1)
        progress.step += 1
        if progress.step > 0.9 * steps:
            progress.recent.append(losses)
        log.add(progress.step, losses)
        report(what, progress.step, steps)
        if now - saved > SAVE_EVERY_SECONDS:
            state.save(progress)
            saved = now
    log.close()
    return progress


def _diverged(job: TrainJob, losses: dict[str, float], step: int) -> BenchError:
    names = ", ".join(name for name, value in losses.items() if not math.isfinite(value))
    return BenchError(
        f"Training {job.method} on '{job.subject.id}' stopped: {names} is no longer a number at step {step}.",
        hint="The last good state is kept; lower the learning rate, or start again with another --seed.",
    )


class _State:
    """Everything a training needs to go on, in one file that is written whole or not at all."""

    def __init__(self, method: LearnedMethod, job: TrainJob, trunk: Trunk | None) -> None:
        self.method = method
        self.path = job.folder / "state.safetensors"
        judged_by = trunk.sha256 if trunk else None
        self.key = sha256_json([job.config.model_dump(), job.subject.record.content_sha256, job.method, judged_by])

    def save(self, progress: _Progress) -> None:
        tensors = {
            f"network/{name}/{key}": value.contiguous()
            for name, network in self.method.networks().items()
            for key, value in network.state_dict().items()
        }
        for name, optimizer in self.method.optimizers().items():
            for index, moments in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer/{name}/{index}/{key}": value for key, value in moments.items()}
        recent = json.dumps(progress.recent)
        metadata = {
            "key": self.key, "step": str(progress.step), "seconds": repr(progress.seconds), "recent": recent,
        }  # fmt: skip
        with atomic_path(self.path) as temporary:
            save_file(tensors, temporary, metadata=metadata)

    def restore(self) -> _Progress:
        """Take up the saved state if it is of this very job; else begin at step 0."""
        if not self.path.exists():
            return _Progress()
        try:
            with safe_open(self.path, framework="pt") as stored:
                metadata = stored.metadata() or {}
            tensors = load_file(self.path)
        except SafetensorError:
            return _Progress()  # damaged on the disk: nothing to take up
        if metadata.get("key") != self.key:
            return _Progress()
        for name, network in self.method.networks().items():
            prefix = f"network/{name}/"
            network.load_state_dict(
                {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
            )
        for name, optimizer in self.method.optimizers().items():
            optimizer.load_state_dict(_optimizer_state(optimizer, f"optimizer/{name}/", tensors))
        return _Progress(int(metadata["step"]), float(metadata["seconds"]), json.loads(metadata["recent"]))


def _optimizer_state(optimizer: torch.optim.Optimizer, prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    state = optimizer.state_dict()
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith(prefix):
            index, name = key.removeprefix(prefix).split("/")
            moments.setdefault(int(index), {})[name] = value
    return state | {"state": moments}


class _LossLog:
    """`losses.jsonl`, and TensorBoard beside it where asked for."""

    def __init__(self, job: TrainJob, step: int) -> None:
        path = job.folder / "losses.jsonl"
        write_text(path, "".join(_lines_up_to(path, step)))
        self._handle = path.open("a", encoding="utf-8", buffering=1)  # a line at a time
        self._board = _tensorboard(job.folder) if job.tensorboard else None

    def add(self, step: int, losses: dict[str, float]) -> None:
        if step % LOG_EVERY_STEPS:
            return
        line = {"step": step} | {name: round(value, 6) for name, value in losses.items()}
        self._handle.write(json.dumps(line) + "\n")
        if self._board is not None:
            for name, value in losses.items():
                self._board.add_scalar(f"loss/{name}", value, step)

    def close(self) -> None:
        self._handle.close()
        if self._board is not None:
            self._board.close()


def _lines_up_to(path: Path, step: int) -> list[str]:
    """The log up to `step`: what follows belongs to steps that will be made again, or was cut off."""
    if step == 0 or not path.exists():
        return []
    whole = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("}\n")]
    return [line for line in whole if json.loads(line)["step"] <= step]


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise BenchError("TensorBoard is not installed.", hint="pip install 'dancebench[tensorboard]'") from error
    return SummaryWriter(str(folder / "tensorboard"))


def _record(
    job: TrainJob,
    method: Method,
    clip: TrainingClip,
    progress: _Progress,
    trunk: Trunk | None,
    trunk_reason: str | None,
) -> TrainRecord:
    learned = isinstance(method, LearnedMethod)
    networks = method.networks() if isinstance(method, LearnedMethod) else {}
    git_sha, dirty = code_version()
    return TrainRecord(
        method=job.method,
        preset=job.preset,
        dataset_id=job.dataset_id,
        subject=job.subject.id,
        content_sha256=job.subject.record.content_sha256,
        config=job.config,
        train_frames=len(clip.frames),
        examples=len(clip.starts(method.window)) if isinstance(method, LearnedMethod) else 0,
        steps=progress.step if learned else 0,
        seconds=progress.seconds,
        losses=progress.losses(),
        parameters={name: sum(value.numel() for value in network.parameters()) for name, network in networks.items()},
        trunk=trunk.name if trunk else "off",
        trunk_sha256=trunk.sha256 if trunk else None,
        trunk_reason=trunk_reason,
        weights_sha256=sha256_file(job.folder / "weights.safetensors"),
        git_sha=git_sha,
        dirty=dirty,
        versions=versions(),
        device=job.device,
    )
