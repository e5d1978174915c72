"""A phase of DDG's training: both networks at one size, trained together (DDG section 3.5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional as F

from dancebench.core.nn.trunks import Trunk
from dancebench.core.progress import ReportProgress
from dancebench.synth.acceleration import autocast, make_adam, to_device_layout
from dancebench.synth.base import Phase, Precision, Schedule
from dancebench.synth.clip import Batch, Pixels, TrainingClip, to_tensor
from dancebench.synth.gan.losses import FEATURE_MATCHING_WEIGHT, PerceptualLoss, feature_matching_loss
from dancebench.synth.gan.networks import MultiscaleDiscriminator
from dancebench.synth.gan.phase import set_gradients
from dancebench.synth.methods.ddg.background import find_backgrounds
from dancebench.synth.methods.ddg.conditions import Conditions, build_conditions, to_binary
from dancebench.synth.methods.ddg.losses import gradient_penalty, relativistic_loss
from dancebench.synth.methods.ddg.networks import DdgNetworks, GeneratedImages, make_green
from dancebench.synth.methods.ddg.pairs import PersonFrames, list_history
from dancebench.synth.methods.ddg.pose_maps import N_MAPS

Losses = dict[str, torch.Tensor]


@dataclass(frozen=True)
class PhaseSettings:
    """What determines a phase, besides its networks and its clip.

    Attributes:
        supervised: Whether the person before green has a reference and a discriminator of its own.
    """

    schedule: Schedule
    poses: int
    near_share: float
    ndf: int
    n_scales: int
    gradient_penalty_weight: float
    perceptual_weight: float
    pixel_weight: float
    precision: Precision
    supervised: bool


@dataclass(frozen=True)
class Examples:
    """Training pairs: what the networks are given, and what they should make of it.

    Attributes:
        conditions: What they are given.
        human: The reference's person before green, (B, 3, H, W).
        frame: The reference, the same shape.
    """

    conditions: Conditions
    human: torch.Tensor
    frame: torch.Tensor


class DdgPhase(Phase):
    """Both networks against a discriminator each, on pairs (input, reference) of one scene."""

    window = 2

    def __init__(
        self,
        clip: TrainingClip,
        generator: DdgNetworks,
        settings: PhaseSettings,
        trunk: Trunk | None,
        device: torch.device,
    ) -> None:
        super().__init__(clip, settings.schedule)
        self.settings = settings
        self.device = device
        self.perceptual = PerceptualLoss(trunk).to(device) if trunk else None
        self.generator = to_device_layout(generator.train(), device)
        stages = ("human", "frame") if settings.supervised else ("frame",)
        channels = 3 + N_MAPS * settings.poses
        self.discriminators = nn.ModuleDict(
            {stage: MultiscaleDiscriminator(channels, ndf=settings.ndf, n_scales=settings.n_scales) for stage in stages}
        )
        to_device_layout(self.discriminators, device)
        rate = settings.schedule.learning_rate
        self._optimizers = {
            "generator": make_adam(self.generator, rate),
            "discriminator": make_adam(self.discriminators, rate),
        }

    @cached_property
    def people(self) -> PersonFrames:
        """Read from the clip when training begins, not when the networks are built."""
        return PersonFrames(self.clip)

    @cached_property
    def example_starts(self) -> npt.NDArray[np.intp]:
        return self.people.frames

    @cached_property
    def backgrounds(self) -> dict[int, Pixels]:
        """The background of each scene, uint8 [H, W, 3]."""
        return find_backgrounds(self.clip, self.people.list_scenes())

    def prepare(self, report: ReportProgress) -> None:
        """Find the person's masks where that was not done before."""
        self.clip.masks.find(report)

    def sample_examples(self, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        return self.people.sample_pairs(rng, self.schedule.batch, self.settings.near_share)

    def networks(self) -> Mapping[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminators}

    def inherited_discriminators(self) -> Mapping[str, nn.Module]:
        return {"discriminator": self.discriminators}

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        return self._optimizers

    def read_examples(self, batch: Batch) -> Examples:
        """The batch's pairs."""
        masks = to_binary(self.clip.masks[batch.index], self.device)  # (B, 2, H, W)
        history = list_history(self.clip.starts_segment, batch.index[:, 1], self.settings.poses)  # [B, K]
        requested = torch.from_numpy(self.clip.keypoints[history]).to(self.device)  # (B, K, 75, 3)
        scenes = [self.people.get_scene(int(frame)) for frame in batch.index[:, 1]]
        background = to_tensor(np.stack([self.backgrounds[scene] for scene in scenes]), self.device)
        frame = batch.frames[:, 1]
        conditions = build_conditions(batch.frames[:, 0], masks[:, 0], batch.keypoints[:, 0], requested, background)
        person = masks[:, 1, None] > 0
        return Examples(conditions, torch.where(person, frame, make_green(frame)), frame)

    def train_step(self, batch: Batch) -> Losses:
        examples = self.read_examples(batch)
        share = self._sample_shares(batch.index)
        with autocast(self.device, self.settings.precision):
            images: GeneratedImages = self.generator(examples.conditions)
            generator, discriminator = self._compute_losses("frame", images.frame, examples.frame, examples, share)
            if self.settings.supervised:
                more = self._compute_losses("human", images.human, examples.human, examples, share)
                generator, discriminator = generator | more[0], discriminator | more[1]
        set_gradients(_add(discriminator), list(self.discriminators.parameters()), keep=True)
        set_gradients(_add(generator), list(self.generator.parameters()), keep=False)
        for optimizer in self._optimizers.values():
            optimizer.step()
        return {name: value.detach() for name, value in (generator | discriminator).items()}

    def _compute_losses(
        self, stage: str, fake: torch.Tensor, real: torch.Tensor, examples: Examples, share: torch.Tensor
    ) -> tuple[Losses, Losses]:
        """The weighted losses of the generator and of a stage's discriminator, by name."""
        settings, discriminate = self.settings, self.discriminators[stage]
        inputs = [torch.cat([images, examples.conditions.pose_maps], dim=1) for images in (fake, real)]
        of_fake, of_real = (discriminate(each) for each in inputs)
        generator = {
            f"g_gan_{stage}": relativistic_loss(of_fake, of_real),
            f"g_features_{stage}": FEATURE_MATCHING_WEIGHT * feature_matching_loss(of_fake, of_real),
        }
        if self.perceptual is not None:
            generator[f"g_perceptual_{stage}"] = settings.perceptual_weight * self.perceptual(fake, real)
        if settings.pixel_weight > 0:
            generator[f"g_pixels_{stage}"] = settings.pixel_weight * F.l1_loss(fake, real)
        discriminator = {f"d_{stage}": relativistic_loss(of_real, of_fake)}
        if settings.gradient_penalty_weight > 0:
            penalty = gradient_penalty(discriminate, inputs[1], inputs[0], share)
            discriminator[f"d_penalty_{stage}"] = settings.gradient_penalty_weight * penalty
        return generator, discriminator

    def _sample_shares(self, index: npt.NDArray[np.intp]) -> torch.Tensor:
        """Where between real and fake the gradient penalty is measured, (B,): the same when a step is done again."""
        shares = [np.random.default_rng(pair.tolist()).random() for pair in index]
        return torch.tensor(shares, dtype=torch.float32, device=self.device)

    @torch.no_grad()
    def preview(self, batch: Batch) -> torch.Tensor:
        """Input, reference, the person before green and the frame, one after the other."""
        examples = self.read_examples(batch)
        images = self.generator(examples.conditions)
        shown = [batch.frames[:, 0], examples.frame, images.human, images.frame]
        return torch.stack(shown, dim=1).flatten(0, 1).float().clamp(-1, 1)


def _add(losses: Losses) -> torch.Tensor:
    return torch.stack(list(losses.values())).sum()
