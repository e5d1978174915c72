"""PoseWarp, a baseline of the paper (EDN section 4.1): Balakrishnan et al., "Synthesizing Images of Humans
in Unseen Poses", CVPR 2018.

A frame is not generated from scratch: a training frame in a similar pose is cut into limbs, each limb is moved
to its new place, and networks repair the seams and inpaint the background (`networks.py`). Here it is trained
on one person's clip, like every other method.

It departs from the publication where a short training on one person benefits, as measured on the end of a demo dancer's
training span, held out from the rest of it (SSIM at 128x64 after 400 steps; seeds differ by up to 0.004): half of the
pairs are near in pose, as those of synthesis are (0.872 → 0.880), and the outputs of the foreground and background
networks are added to their inputs (→ 0.887). That sum is not squashed by a tanh, and gradients are clipped: on moving
pictures 2 of 5 trainings of 860 steps ran into the flat ends of the tanh, where no gradient brings a pixel back (one
colour on every limb, body SSIM 0.35), and without it 2 others lost the person (0.54 and 0.42), which none of 15 does
since the gradients, single ones of which are tens of times as long as the median, are clipped (these two: 0.66 and
0.54). The blending has a prior, as the masks have, and neither moves far from it: without, 4 of 15 trainings of preset
`protocol` blended nothing in after five steps and for ever (body SSIM 0.69 to 0.75). The optional adversarial phase is
least-squares, as everywhere in this project.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from dancebench.core.nn.distributed import average_gradients
from dancebench.core.nn.patchgan import PatchDiscriminator
from dancebench.core.nn.trunks import Trunk
from dancebench.datasets.pose.distance import find_nearest_pose, pose_distances
from dancebench.datasets.pose.skeleton import scale_keypoints
from dancebench.synth.acceleration import autocast, make_adam, to_device_layout
from dancebench.synth.base import METHODS, LearnedMethod, Phase, Schedule, SynthConfig, TrunkChoice
from dancebench.synth.clip import Batch, Motion, TrainingClip, to_pixels, to_tensor
from dancebench.synth.gan.losses import Features, PerceptualLoss, gan_loss
from dancebench.synth.gan.phase import AdversarialPhase, DiscriminatorOutputs
from dancebench.synth.methods.posewarp.limbs import JOINTS, draw_heatmaps
from dancebench.synth.methods.posewarp.networks import PoseWarpNetworks, RedrawnImages

_NEAR_GAP: Final = 10  # frames; a pair any closer in time shows nearly the same image twice
_NEAREST: Final = 10  # how many training frames count as near a pose


class PoseWarpConfig(SynthConfig):
    """Networks and schedules of PoseWarp."""

    width: int = Field(64, ge=1)
    """Channels of the foreground's network at full size; the masks' and the background's have half as many."""
    n_down: int = Field(4, ge=1)
    room: float = Field(4.0, gt=0)
    """How far a logit of the masks or of the blending may move from its prior."""
    max_gradient_norm: float = Field(1.0, gt=0)
    """Of all three networks together; a longer gradient of the image loss is shortened to it. In trainings on moving
    pictures the median is about 1, single ones are up to 58."""
    schedule: Schedule = Schedule(epochs=20.0, batch=4, learning_rate=1e-4)
    near_share: float = Field(0.5, ge=0, le=1)
    """Share of the training pairs whose source is among the nearest poses; the others are random."""
    gan: Schedule | None = None
    """The adversarial phase, which begins where the first one ends."""
    gan_weight: float = 0.1
    ndf: int = Field(64, ge=1)


def _make_short_config(long_side: int, width: int, *, steps: int, trunk: TrunkChoice = "off") -> PoseWarpConfig:
    """A training that is too short for the default schedule: fewer channels, a learning rate that decays to zero."""
    schedule = Schedule(steps=steps, learning_rate=1.5e-3, decay_share=0.8)
    return PoseWarpConfig(long_side=long_side, width=width, schedule=schedule, trunk=trunk)


@METHODS.register("posewarp")
class PoseWarp(LearnedMethod):
    """The training frame of the nearest pose, warped to the requested pose."""

    Config: ClassVar[type[SynthConfig]] = PoseWarpConfig
    presets: ClassVar[Mapping[str, SynthConfig]] = {
        "tiny": PoseWarpConfig(long_side=64, width=8, schedule=Schedule(steps=6, batch=2)),
        "demo": _make_short_config(128, 12, steps=280),
        "protocol": _make_short_config(128, 16, steps=600),
        "small": _make_short_config(192, 16, steps=1000, trunk="vgg19"),
        "paper-global": PoseWarpConfig(long_side=512, trunk="vgg19", n_down=5),
        "paper": PoseWarpConfig(long_side=1024, trunk="vgg19", n_down=5),
    }
    section: ClassVar[str] = "EDN 4.1, PoseWarp (Balakrishnan et al. 2018)"
    revision: ClassVar[int] = 2  # 1 passed its sums through a tanh

    def __init__(self, config: SynthConfig, clip: TrainingClip, device: torch.device) -> None:
        super().__init__(config, clip, device)
        assert isinstance(config, PoseWarpConfig)  # the registry pairs methods with their configurations
        self.config = config
        self.generator = PoseWarpNetworks(width=config.width, n_down=config.n_down, room=config.room).to(device)

    def list_phases(self) -> Sequence[str]:
        return ("warp",) if self.config.gan is None else ("warp", "gan")

    def start_phase(self, name: str, trunk: Trunk | None) -> Phase:
        return WarpPhase(self, trunk) if name == "warp" else WarpGanPhase(self, trunk)

    def inference_networks(self) -> Mapping[str, nn.Module]:
        return dict(self.generator.named_children())

    def redraw(self, batch: Batch) -> RedrawnImages:
        """Generate each pair's source person in the pose of its target."""
        redrawn: RedrawnImages = self.generator(batch.frames[:, 0], batch.keypoints[:, 0], batch.keypoints[:, 1])
        return redrawn

    @torch.no_grad()
    def render(self, motion: Motion) -> Iterator[npt.NDArray[np.uint8]]:
        self.generator.eval()
        height, width = self.clip.size
        candidates = self.clip.list_example_starts(1)  # frames with a person
        poses = self.clip.keypoints[candidates]
        best, pose = 0, poses[0]
        for requested in scale_keypoints(motion.keypoints, width / motion.size[1], height / motion.size[0]):
            nearest = find_nearest_pose(requested, poses)
            if nearest is not None:  # a frame without a pose repeats the previous image
                best, pose = nearest, requested
            source = to_tensor(self.clip.frames[candidates[[best]]], self.device)  # (1, 3, H, W)
            source_pose, target_pose = (
                torch.from_numpy(points)[None].to(self.device) for points in (poses[best], pose)
            )
            yield to_pixels(self.generator(source, source_pose, target_pose).image[0])


class PosePairs:
    """Training pairs (source, target) of one clip, both with a person, and both with the same.

    A pair is either random, or its source is one of the frames nearest in pose to the target, without those
    adjacent to it in time: at synthesis the source is the nearest of all training frames.
    """

    def __init__(self, clip: TrainingClip, near_share: float) -> None:
        self.people = clip.list_example_starts(1)
        self.poses = clip.keypoints[self.people]
        self.near_share = near_share
        shown = clip.people[self.people]
        self._same = {int(person): np.flatnonzero(shown == person) for person in np.unique(shown)}
        self._shown = shown

    def sample_examples(self, rng: np.random.Generator, count: int) -> npt.NDArray[np.intp]:
        """Sample pairs, [count, 2]."""
        return np.array([self._sample_pair(rng) for _ in range(count)], dtype=np.intp)

    def _sample_pair(self, rng: np.random.Generator) -> tuple[int, int]:
        target = int(rng.integers(len(self.people)))
        near = rng.random() < self.near_share
        if near:
            source = rng.choice(self.find_near(target))
        else:
            same = self._list_same(target)
            source = same[rng.integers(len(same))]
        return int(self.people[source]), int(self.people[target])

    def _list_same(self, target: int) -> npt.NDArray[np.intp]:
        """Positions of all frames of the person whom the target shows."""
        return self._same[int(self._shown[target])]

    def find_near(self, target: int) -> npt.NDArray[np.intp]:
        """Positions of the frames nearest in pose; where all are adjacent to it in time, those count too."""
        same = self._list_same(target)
        adjacent = np.abs(self.people[same] - self.people[target]) <= _NEAR_GAP
        order = np.lexsort((pose_distances(self.poses[target], self.poses[same]), adjacent))
        near: npt.NDArray[np.intp] = same[order[: min(_NEAREST, max(1, int((~adjacent).sum())))]]
        return near


class ImageLoss:
    """L1 distance of images from the target, of their pixels and, where there is a trunk, of its features.

    Pixels count as one more layer, divided by their standard deviation over the clip like the features: by
    features alone a short training reaches an SSIM of 0.870 where both together reach 0.884.
    """

    def __init__(self, clip: TrainingClip, trunk: Trunk | None, device: torch.device) -> None:
        sample = _sample_frames(clip, device)
        self.deviation = float(sample.std())
        self.features = None if trunk is None else ScaledPerceptualLoss(trunk, sample)

    def __call__(self, images: torch.Tensor, targets: torch.Tensor) -> dict[str, torch.Tensor]:
        """Losses by name of images (B, 3, H, W) in [-1, 1]."""
        losses = {"g_pixels": F.l1_loss(images, targets) / self.deviation}
        if self.features is not None:
            losses["g_perceptual"] = self.features(images, targets)
        return losses


class ScaledPerceptualLoss(PerceptualLoss):
    """L1 between a trunk's features, those of each layer divided by their standard deviation over `images`.

    So every layer has the same weight; the mean over the layers is taken.

    Args:
        trunk: One of `PERCEPTUAL_TRUNKS`.
        images: Real frames (N, 3, H, W) in [-1, 1], on the device of the training.
    """

    @torch.no_grad()
    def __init__(self, trunk: Trunk, images: torch.Tensor) -> None:
        super().__init__(trunk)
        self.to(images.device)
        features, weights = self._normalise(images), []
        for stage in self.stages:
            features = stage(features)
            weights.append(1 / (len(self.stages) * float(features.std())))
        self.weights = weights


def _sample_frames(clip: TrainingClip, device: torch.device, count: int = 16) -> torch.Tensor:
    """Evenly spaced frames of a clip, (N, 3, H, W)."""
    index = np.linspace(0, len(clip) - 1, min(count, len(clip))).round().astype(np.intp)
    return to_tensor(clip.frames[index], device)


class PairPhase(Phase):
    """A phase whose examples are pairs (source, target), not consecutive frames."""

    window = 2
    method: PoseWarp
    trunk: Trunk | None

    @cached_property
    def pairs(self) -> PosePairs:
        """Read from the clip when training begins, not when the networks are built."""
        return PosePairs(self.clip, self.method.config.near_share)

    @cached_property
    def loss(self) -> ImageLoss:
        """Likewise built when training begins."""
        return ImageLoss(self.clip, self.trunk, self.method.device)

    @cached_property
    def example_starts(self) -> npt.NDArray[np.intp]:
        return self.pairs.people

    def sample_examples(self, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        return self.pairs.sample_examples(rng, self.schedule.batch)


class WarpPhase(PairPhase):
    """All three networks, trained on the image loss alone."""

    def __init__(self, method: PoseWarp, trunk: Trunk | None) -> None:
        config = method.config
        super().__init__(method.clip, config.schedule)
        self.method, self.trunk = method, trunk
        self.network = to_device_layout(method.generator.train(), method.device)
        self._optimizer = make_adam(self.network, config.schedule.learning_rate)

    def networks(self) -> Mapping[str, nn.Module]:
        return self.method.inference_networks()

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        return {"generator": self._optimizer}

    def train_step(self, batch: Batch) -> dict[str, torch.Tensor]:
        with autocast(self.method.device, self.method.config.precision):
            image = self.method.redraw(batch).image
            losses = self.loss(image.float(), batch.frames[:, 1])
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(list(losses.values()))
        weights = list(self.network.parameters())
        average_gradients(weights)
        nn.utils.clip_grad_norm_(weights, self.method.config.max_gradient_norm)
        self._optimizer.step()
        return {name: value.detach() for name, value in losses.items()}

    def preview(self, batch: Batch) -> torch.Tensor:
        return _preview(self.method, batch)


class WarpGanPhase(PairPhase, AdversarialPhase):
    """The same, with a discriminator that sees the image and the heatmaps of the target's pose."""

    def __init__(self, method: PoseWarp, trunk: Trunk | None) -> None:
        config = method.config
        assert config.gan is not None  # only then is the phase listed
        self.method, self.trunk = method, trunk
        discriminator = PatchDiscriminator(3 + len(JOINTS), ndf=config.ndf)
        super().__init__(method.clip, config.gan, method.generator, discriminator, method.device, config.precision)

    def generate(self, batch: Batch) -> torch.Tensor:
        return self.method.redraw(batch).image[:, None]

    def discriminator_input(self, batch: Batch, images: torch.Tensor) -> torch.Tensor:
        pose = draw_heatmaps(batch.keypoints[:, 1], self.clip.size)
        return torch.cat([images[:, -1], pose], dim=1)  # (B, 17, H, W); of real pairs the target alone

    def discriminate(self, inputs: torch.Tensor) -> Features:
        return [self.discriminator(inputs)]  # one scale

    def generator_losses(
        self, batch: Batch, fake: torch.Tensor, outputs: DiscriminatorOutputs
    ) -> dict[str, torch.Tensor]:
        adversarial = self.method.config.gan_weight * gan_loss(outputs.fake, real=True)
        return {"g_gan": adversarial} | self.loss(fake[:, 0], batch.frames[:, 1])

    def preview(self, batch: Batch) -> torch.Tensor:
        return _preview(self.method, batch)


@torch.no_grad()
def _preview(method: PoseWarp, batch: Batch) -> torch.Tensor:
    """Source, target, the moved limbs and the generated image, one after the other."""
    redrawn = method.redraw(batch)
    limbs = redrawn.limbs.sum(1)
    images = torch.stack([batch.frames[:, 0], batch.frames[:, 1], limbs, redrawn.image], dim=1)
    return images.flatten(0, 1).float().clamp(-1, 1)
