"""All methods at one size: training steps and synthesized frames per second, and where a step of `ddg` goes.

The `protocol` preset of each, 128 pixels high, on one thread, in float32: figures of one run, whose ratios alone carry
over.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_dataset, write_masks_of
from speed.timing import medians_of, show
from torch import nn

from dancebench.benchmark.presets import RunSettings, configure_method
from dancebench.core.environment import seed_everything
from dancebench.core.errors import BenchError
from dancebench.core.nn.trunks import load_trunk
from dancebench.core.progress import ignore_progress
from dancebench.datasets.subjects.subject import Subject
from dancebench.synth.base import METHODS, LearnedMethod, Method, Phase
from dancebench.synth.clip import TrainingClip, load_training_clip
from dancebench.synth.gan.losses import FEATURE_MATCHING_WEIGHT, PerceptualLoss, feature_matching_loss
from dancebench.synth.gan.phase import set_gradients
from dancebench.synth.methods.ddg.losses import gradient_penalty, relativistic_loss
from dancebench.synth.methods.ddg.phase import DdgPhase, Examples
from dancebench.synth.render import take_held_out_motion
from dancebench.synth.training.batches import iterate_batches

pytestmark = pytest.mark.speed

CPU = torch.device("cpu")
PRESET = "protocol"
AIM = 4.0
"""Steps of `fbf-ts` that one of `ddg` may take."""

Work = Callable[[], object]


@pytest.fixture
def dancer(tmp_path: Path) -> Subject:
    """A figure at the demo's size, 48 frames for training and 12 held out."""
    subject = make_dataset(tmp_path, n_frames=60, size=(512, 256)).subject("walker")
    write_masks_of(subject)
    return subject


def make_method(name: str, clip: TrainingClip) -> Method:
    """An untrained method; one that enhances another's frames has an untrained one of those."""
    seed_everything(0)
    method_class = METHODS[name]
    method = method_class(configure_method(PRESET, name, RunSettings()), clip, CPU)
    if isinstance(method, LearnedMethod) and method.base is not None:
        method.load_base(make_method(method.base, clip).weights())
    return method


def make_step(phase: Phase) -> Work:
    """A step of the training, from reading its batch on."""
    phase.prepare(ignore_progress)
    batches = iterate_batches(phase, (0, 0), range(1_000_000), CPU)
    return lambda: phase.train_step(next(batches))


def test_every_methods_steps_and_frames_per_second(dancer: Subject) -> None:
    clip = load_training_clip(dancer, configure_method(PRESET, "ddg", RunSettings()).long_side)
    methods = {name: make_method(name, clip) for name in METHODS.entries()}
    phases = {
        (name, phase): make_step(method.start_phase(phase, None))
        for name, method in methods.items()
        if isinstance(method, LearnedMethod)
        for phase in method.list_phases()
    }
    steps = medians_of({" ".join(key): step for key, step in phases.items()}, repeats=15)
    (motion,) = take_held_out_motion(dancer).segments
    renders: dict[str, Work] = {
        name: lambda method=method: list(method.render(motion))  # type: ignore[misc]
        for name, method in methods.items()
    }
    rendered = medians_of(renders, repeats=3)
    height, width = clip.size
    lines = [f"{'method':18}{'ms a step':>12}{'steps/s':>10}{'over fbf-ts':>13}{'frames/s':>11}"]
    for name in methods:
        shown = [phase for owner, phase in phases if owner == name] or [""]
        for phase in shown:
            seconds = steps.get(f"{name} {phase}")
            training = (
                f"{'-':>12}{'-':>10}{'-':>13}"
                if seconds is None
                else f"{seconds * 1e3:12.1f}{1 / seconds:10.2f}{seconds / steps['fbf-ts global']:12.2f}x"
            )
            label = name if phase in ("", "global") else f"{name}, {phase}"
            lines.append(f"{label:18}{training}{len(motion.keypoints) / rendered[name]:11.1f}")
    ratio = steps["ddg global"] / steps["fbf-ts global"]
    show(f"preset {PRESET}, {height}x{width}, 1 thread", "\n" + "\n".join(lines))
    show("a step of ddg over one of fbf-ts", f"{ratio:.2f}x, where at most {AIM:g}x is aimed at")
    assert set(rendered) == set(METHODS.entries())
    assert min(*steps.values(), *rendered.values()) > 0


def test_where_a_step_of_ddg_goes(dancer: Subject) -> None:
    clip = load_training_clip(dancer, configure_method(PRESET, "ddg", RunSettings()).long_side)
    method = make_method("ddg", clip)
    assert isinstance(method, LearnedMethod)
    phase = method.start_phase("global", None)
    assert isinstance(phase, DdgPhase)
    parts = list_parts(phase)
    seconds = medians_of({"": make_step(phase), **parts}, repeats=15)
    whole = seconds.pop("")
    lines = [f"{name:34}{part * 1e3:9.1f} ms{part / whole:8.0%}" for name, part in seconds.items()]
    lines += [f"{'their sum':34}{sum(seconds.values()) * 1e3:9.1f} ms", f"{'a whole step':34}{whole * 1e3:9.1f} ms"]
    show("a step of ddg by its parts, each forwards and backwards", "\n" + "\n".join(lines))
    try:
        work = make_perceptual_work(phase)
    except BenchError as error:
        show("perceptual loss, which this preset lacks", error.message)
        return
    extra, _ = medians_of({"perceptual": work, "": make_step(phase)}, repeats=9).values()
    show("perceptual loss (squeeze), which this preset lacks, would add", f"{extra * 1e3:.1f} ms, {extra / whole:.0%}")
    assert extra > 0


def list_parts(phase: DdgPhase) -> dict[str, Work]:
    """The parts of a step, each done alone on the same examples."""
    rng = np.random.default_rng(0)
    examples = read_examples(phase, rng)
    conditions, generator = examples.conditions, phase.generator
    parts = conditions.moved[:, :, :3].flatten(1, 2)
    combined = examples.frame.clone().requires_grad_()  # its gradient goes on to the human network
    real = {"human": examples.human, "frame": examples.frame}
    real = {stage: torch.cat([image, conditions.pose_maps], dim=1) for stage, image in real.items()}
    fake = {stage: (image + 0.1 * torch.randn_like(image)).requires_grad_() for stage, image in real.items()}

    def run_network(network: nn.Module, images: torch.Tensor, *inputs: torch.Tensor) -> None:
        output = network(torch.cat([images, conditions.pose_maps], dim=1))
        torch.autograd.backward(output.mean(), inputs=[*network.parameters(), *inputs])

    def run_discriminators() -> None:
        for stage, discriminate in phase.discriminators.items():
            of_fake, of_real = discriminate(fake[stage]), discriminate(real[stage])
            set_gradients(relativistic_loss(of_real, of_fake), list(discriminate.parameters()), keep=True)
            loss = FEATURE_MATCHING_WEIGHT * feature_matching_loss(of_fake, of_real)
            torch.autograd.backward(loss + relativistic_loss(of_fake, of_real), inputs=[fake[stage]])

    def run_penalties() -> None:
        for stage, discriminate in phase.discriminators.items():
            penalty = gradient_penalty(discriminate, real[stage], fake[stage], torch.full((len(real[stage]),), 0.5))
            set_gradients(penalty, list(discriminate.parameters()), keep=False)

    def step_optimizers() -> None:
        for optimizer in phase.optimizers().values():
            optimizer.step()

    return {
        "reading, body parts and pose maps": lambda: read_examples(phase, rng),
        "human network": lambda: run_network(generator.human, parts),
        "fusion network": lambda: run_network(generator.fusion, combined, combined),
        "discriminators": run_discriminators,
        "their gradient penalties": run_penalties,
        "optimizers": step_optimizers,
    }


def read_examples(phase: DdgPhase, rng: np.random.Generator) -> Examples:
    return phase.read_examples(phase.clip.read_batch(phase.sample_examples(rng), CPU))


def make_perceptual_work(phase: DdgPhase) -> Work:
    """The perceptual losses of both stages, forwards and backwards.

    Raises:
        BenchError: The trunk is not on this machine.
    """
    perceptual = PerceptualLoss(load_trunk("squeeze", download=False))
    examples = read_examples(phase, np.random.default_rng(0))

    def work() -> None:
        for real in (examples.human, examples.frame):
            fake = (real + 0.1).requires_grad_()
            torch.autograd.backward(perceptual(fake, real), inputs=[fake])

    return work
