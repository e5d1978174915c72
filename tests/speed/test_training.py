"""Training speed against the plain loop over the same networks: steps per second at the same losses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import psutil
import pytest
import torch
from speed.plain import networks, plain_step
from speed.timing import medians, show

from dancebench.datasets.subjects.dataset import Subject
from dancebench.datasets.subjects.masks import PersonMasks
from dancebench.synth.acceleration import has_bf16
from dancebench.synth.base import METHODS, Precision, Schedule
from dancebench.synth.clip import Batch, CachedFrames, SpanMasks, TrainingClip, load_training_clip
from dancebench.synth.gan.method import GanConfig
from dancebench.synth.gan.phase import AdversarialPhase

pytestmark = pytest.mark.speed

LOSS_TOLERANCE = {"fp32": 1e-3, "bf16": 0.05}
"""Relative, of each loss in the first step."""

Step = Callable[[], dict[str, float]]


def make_both_steps(
    device: torch.device, size: tuple[int, int], batch: int, *, ngf: int, precision: Precision
) -> tuple[Step, Step]:
    """One step of the plain loop and one of ours, from the same weights on the same images."""
    config = GanConfig(
        long_side=max(size), ngf=ngf, n_down=4, n_blocks=9, ndf=64, n_scales=2,
        schedule=Schedule(steps=1, batch=batch), precision=precision,
    )  # fmt: skip
    clip = noise_clip(size)
    torch.manual_seed(0)
    generator, discriminator = networks(device, ngf=ngf, ndf=64, n_down=4, n_blocks=9)
    plain = plain_step(generator, discriminator, config.schedule.learning_rate)
    phase = METHODS["fbf-ts"](config, clip, device).start_phase("global", None)  # type: ignore[attr-defined]
    assert isinstance(phase, AdversarialPhase)
    phase.generator.load_state_dict(generator.state_dict())
    phase.discriminator.load_state_dict(discriminator.state_dict())
    examples: Batch = clip.read_batch(np.tile([[0, 1]], (batch, 1)), device)

    def ours() -> dict[str, float]:
        return {name: float(value) for name, value in phase.train_step(examples).items()}

    return lambda: plain(examples.pose_maps, examples.frames), ours


def noise_clip(size: tuple[int, int]) -> TrainingClip:
    pixels = np.random.default_rng(0).integers(0, 256, (4, *size, 3), np.uint8)
    frames = CachedFrames(lambda index: pixels[list(index)], 4, cached=True)
    points = np.ones((4, 75, 3), np.float32)
    starts = np.array([True, False, False, False])
    masks = SpanMasks(lambda _: PersonMasks(np.full((4, size[0], size[1] // 8), 255, np.uint8)), range(4), size)
    return TrainingClip(frames, frames, points, points[:, 0, :2], starts, size, masks, lambda _: noise_clip(size))


@pytest.mark.parametrize(("batch", "bound"), [(1, 1.3), (4, 1.0)])
def test_training_on_a_cpu_is_faster_than_the_plain_loop(batch: int, bound: float) -> None:
    torch.set_num_threads(1)
    device = torch.device("cpu")
    precision: Precision = "bf16" if has_bf16(device) else "fp32"
    plain, ours = make_both_steps(device, (128, 64), batch, ngf=32, precision=precision)
    expected, losses = plain(), ours()
    assert losses == pytest.approx(expected, rel=LOSS_TOLERANCE[precision])
    plain_seconds, seconds = medians(plain, ours, repeats=9)
    show(
        f"two-frame training at 128x64, ngf 32, batch {batch}, {precision}, over the plain loop",
        f"{plain_seconds / seconds:.2f}x ({plain_seconds * 1e3:.0f} against {seconds * 1e3:.0f} ms a step, "
        f"{batch / seconds:.2f} samples/s)",
    )
    assert plain_seconds / seconds >= bound


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_on_a_gpu_is_faster_than_the_plain_loop_with_tf32() -> None:
    device = torch.device("cuda")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    plain, ours = make_both_steps(device, (256, 512), 1, ngf=64, precision="bf16")
    assert ours() == pytest.approx(plain(), rel=LOSS_TOLERANCE["bf16"])
    plain_seconds, seconds = medians(plain, ours, repeats=9)
    torch.cuda.reset_peak_memory_stats()
    ours()
    peak = torch.cuda.max_memory_allocated() / 2**30
    show(
        "two-frame training at 256x512, ngf 64, bf16, over the plain loop with TF32",
        f"{plain_seconds / seconds:.2f}x ({plain_seconds * 1e3:.0f} against {seconds * 1e3:.0f} ms a step, "
        f"peak {peak:.1f} GiB)",
    )
    assert plain_seconds / seconds >= 3.0


def test_a_clip_at_the_papers_size_takes_under_two_gigabytes_per_thousand_frames(paper_sized: Subject) -> None:
    first = load_training_clip(paper_sized, 1024)
    first.read_batch(np.array([[0, 1]]), torch.device("cpu"))  # stays alive, so that its pages are not reused
    process = psutil.Process()
    clip = load_training_clip(paper_sized, 1024)
    before = process.memory_info().rss
    for t in range(0, 200, 20):
        clip.read_batch(np.array([[t, t + 1]]), torch.device("cpu"))
    per_thousand = (process.memory_info().rss - before) / len(clip) * 1000
    show("host memory per 1,000 cached frames at 512x1024", f"{per_thousand / 1e9:.2f} GB")
    assert len(first) == len(clip)
    assert per_thousand < 2.0e9
