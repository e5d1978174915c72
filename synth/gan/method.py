"""The base class of the adversarial methods: networks, phases, synthesis.

A subclass states how many consecutive frames an example holds and what the generator is conditioned on;
the losses and the updates are the same for all (EDN Eq. 3). Training goes from coarse to fine as in
pix2pixHD (EDN 8.2): the global generator at half the size, then a local enhancer around it at the full
size; without a local stage the global generator works at the full size.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer
from torch import nn
from torch.nn import functional as F

from dancebench.core.nn.trunks import Trunk
from dancebench.core.schema import Strict
from dancebench.datasets.pose.skeleton import scale_keypoints
from dancebench.synth.base import LearnedMethod, Phase, Schedule, SynthConfig, TrunkChoice
from dancebench.synth.clip import Batch, Motion, TrainingClip, to_pixels, to_tensor
from dancebench.synth.gan.conditioning import CHANNELS, Conditioning, draw_heatmaps
from dancebench.synth.gan.losses import FEATURE_MATCHING_WEIGHT, PerceptualLoss, feature_matching_loss, gan_loss
from dancebench.synth.gan.networks import GlobalGenerator, LocalEnhancer, MultiscaleDiscriminator
from dancebench.synth.gan.phase import AdversarialPhase, DiscriminatorOutputs


class LocalStage(Strict):
    """The second stage: a local enhancer at the full size, trained together with the global generator."""

    schedule: Schedule
    n_blocks: int = Field(3, ge=0)
    n_scales: int = Field(3, ge=1)
    perceptual_weight: float = 10.0


class GanConfig(SynthConfig):
    """Networks, losses and schedules of the adversarial methods."""

    ngf: int = Field(64, ge=2, multiple_of=2)
    n_down: int = Field(4, ge=1)
    n_blocks: int = Field(9, ge=0)
    ndf: int = Field(64, ge=1)
    n_scales: int = Field(2, ge=1)
    schedule: Schedule = Schedule(epochs=5.0)
    perceptual_weight: float = 5.0
    pixel_weight: float = Field(0.0, ge=0)
    """Weight of an L1 loss on pixels, as in pix2pix. The paper has none; it stabilises short trainings that
    have no perceptual trunk."""
    conditioning: Conditioning = "sticks"
    """What the generator is conditioned on. Written where it is not `sticks`, so that what was trained before it could
    be chosen is still known as trained."""
    local: LocalStage | None = None

    @model_serializer(mode="wrap")
    def _leave_out_sticks(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = handler(self)
        return {name: value for name, value in data.items() if (name, value) != ("conditioning", "sticks")}


def _make_short_config(
    long_side: int, ngf: int, *, steps: int, learning_rate: float, trunk: TrunkChoice = "off"
) -> GanConfig:
    """A training that is too short for the paper's schedule.

    It works because of an L1 pixel loss with pix2pix's weight, batches of one example (more updates in the
    same time), and a learning rate schedule that starts high and decays to zero.
    """
    return GanConfig(
        long_side=long_side,
        ngf=ngf,
        n_down=3,
        n_blocks=4,
        ndf=16,
        n_scales=2,
        schedule=Schedule(steps=steps, learning_rate=learning_rate, decay_share=0.8),
        trunk=trunk,
        pixel_weight=100.0,
    )


GAN_PRESETS: Final[Mapping[str, GanConfig]] = {
    "tiny": GanConfig(
        long_side=64, ngf=8, n_down=2, n_blocks=1, ndf=8, n_scales=1, schedule=Schedule(steps=12, batch=2)
    ),
    "demo": _make_short_config(128, 16, steps=250, learning_rate=1.5e-3),
    "protocol": _make_short_config(128, 20, steps=600, learning_rate=1e-3),
    "small": _make_short_config(192, 16, steps=1000, learning_rate=1e-3, trunk="vgg19"),
    "paper-global": GanConfig(long_side=512, trunk="vgg19"),
    "paper": GanConfig(long_side=1024, trunk="vgg19", local=LocalStage(schedule=Schedule(epochs=30.0))),
}


@dataclass(frozen=True)
class LossWeights:
    """Weights of a phase's losses beside the adversarial one, whose weight is 1."""

    perceptual: float
    pixels: float


class GanMethod(LearnedMethod):
    """A generator of frames from conditioning images, trained against a multiscale discriminator.

    Class attributes:
        window: Consecutive frames of a training example, which the discriminator sees together.
        feeds_back: Whether the generator sees the previous output beside the pose map.
    """

    Config: ClassVar[type[SynthConfig]] = GanConfig
    presets: ClassVar[Mapping[str, SynthConfig]] = GAN_PRESETS
    window: ClassVar[int]
    feeds_back: ClassVar[bool]

    def __init__(self, config: SynthConfig, clip: TrainingClip, device: torch.device) -> None:
        super().__init__(config, clip, device)
        assert isinstance(config, GanConfig)  # the registry pairs methods with their configurations
        self.config = config
        self.pose_channels = CHANNELS[config.conditioning]
        channels = self.pose_channels + 3 * self.feeds_back
        self.coarse = GlobalGenerator(channels, ngf=config.ngf, n_down=config.n_down, n_blocks=config.n_blocks).to(
            device
        )
        self.generator: nn.Module = self.coarse
        if config.local is not None:
            self.generator = LocalEnhancer(
                self.coarse, channels, ngf=config.ngf // 2, n_blocks=config.local.n_blocks
            ).to(device)

    def list_phases(self) -> Sequence[str]:
        return ("global",) if self.config.local is None else ("global", "local")

    def start_phase(self, name: str, trunk: Trunk | None) -> Phase:
        config = self.config
        if name == "local":
            assert config.local is not None  # only then is the phase listed
            return GanPhase(
                self, self.generator, self.clip, config.local.schedule, config.local.n_scales, trunk,
                LossWeights(config.local.perceptual_weight, config.pixel_weight),
            )  # fmt: skip
        clip = self.clip if config.local is None else self.clip.at(config.long_side // 2)
        weights = LossWeights(config.perceptual_weight, config.pixel_weight)
        return GanPhase(self, self.coarse, clip, config.schedule, config.n_scales, trunk, weights)

    def inference_networks(self) -> Mapping[str, nn.Module]:
        return {"generator": self.generator}

    def inherited_networks(self) -> Mapping[str, nn.Module]:
        """The generator; with a local stage the global generator too, whose last layers only its own phase uses."""
        coarse = {} if self.config.local is None else {"coarse": self.coarse}
        return {**coarse, **self.inference_networks()}

    @abstractmethod
    def generate_window(self, generator: nn.Module, poses: torch.Tensor) -> torch.Tensor:
        """Generate images (B, window, 3, H, W) from pose maps (B, window, C, H, W), with gradients through all."""

    @abstractmethod
    def build_condition(self, pose: torch.Tensor, previous: torch.Tensor) -> torch.Tensor:
        """The generator's input from a pose map (B, C, H, W) and the previous output (B, 3, H, W)."""

    def set_pose_maps(self, batch: Batch) -> Batch:
        """The batch with the pose maps that the generator is conditioned on, (B, n, C, H, W)."""
        if self.config.conditioning == "sticks":
            return batch
        return replace(
            batch, pose_maps=draw_heatmaps(batch.keypoints, (batch.frames.shape[-2], batch.frames.shape[-1]))
        )

    def _draw_pose_maps(self, motion: Motion) -> Iterator[torch.Tensor]:
        """The pose map of each frame of a motion, (1, C, H, W) in [-1, 1]."""
        if self.config.conditioning == "sticks":
            for pixels in motion.pose_maps(self.clip.size):
                yield to_tensor(pixels[None], self.device)
            return
        height, width = self.clip.size
        for pose in scale_keypoints(motion.keypoints, width / motion.size[1], height / motion.size[0]):
            yield draw_heatmaps(torch.from_numpy(pose).to(self.device)[None], self.clip.size)

    @torch.no_grad()
    def generate_images(self, motion: Motion) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Generate frame by frame: (pose map, image), (1, C, H, W) and (1, 3, H, W) in [-1, 1]."""
        self.generator.eval()
        previous = torch.zeros(1, 3, *self.clip.size, device=self.device)
        for pose in self._draw_pose_maps(motion):
            previous = self.generator(self.build_condition(pose, previous))
            yield pose, previous

    def render(self, motion: Motion) -> Iterator[npt.NDArray[np.uint8]]:
        return (to_pixels(image[0]) for _, image in self.generate_images(motion))


class GanPhase(AdversarialPhase):
    """A generator of one size against a multiscale discriminator."""

    def __init__(
        self,
        method: GanMethod,
        generator: nn.Module,
        clip: TrainingClip,
        schedule: Schedule,
        n_scales: int,
        trunk: Trunk | None,
        weights: LossWeights,
    ) -> None:
        self.method = method
        self.window = method.window
        self.weights = weights
        self.perceptual = PerceptualLoss(trunk).to(method.device) if trunk else None
        discriminator = MultiscaleDiscriminator(
            (method.pose_channels + 3) * method.window, ndf=method.config.ndf, n_scales=n_scales
        )
        super().__init__(clip, schedule, generator, discriminator, method.device, method.config.precision)

    def train_step(self, batch: Batch) -> dict[str, torch.Tensor]:
        return super().train_step(self.method.set_pose_maps(batch))

    def generate(self, batch: Batch) -> torch.Tensor:
        return self.method.generate_window(self.generator, batch.pose_maps)

    def discriminator_input(self, batch: Batch, images: torch.Tensor) -> torch.Tensor:
        maps, shown = batch.pose_maps.flatten(1, 2), images.flatten(1, 2)
        return torch.cat([maps, shown], dim=1)  # (B, (C + 3) * window, H, W)

    def generator_losses(
        self, batch: Batch, fake: torch.Tensor, outputs: DiscriminatorOutputs
    ) -> dict[str, torch.Tensor]:
        losses = {
            "g_gan": gan_loss(outputs.fake, real=True),
            "g_features": FEATURE_MATCHING_WEIGHT * feature_matching_loss(outputs.fake, outputs.real),
        }
        if self.perceptual is not None:
            distance = self.perceptual(fake.flatten(0, 1), batch.frames.flatten(0, 1))
            # The mean over the frames of an example; Eq. 3 adds the loss of each of them.
            losses["g_perceptual"] = self.weights.perceptual * self.window * distance
        if self.weights.pixels > 0:
            losses["g_pixels"] = self.weights.pixels * F.l1_loss(fake, batch.frames)
        return losses

    @torch.no_grad()
    def preview(self, batch: Batch) -> torch.Tensor:
        fake = self.generate(self.method.set_pose_maps(batch))
        return torch.stack([batch.pose_maps, batch.frames, fake], dim=2).flatten(0, 2).clamp(-1, 1)
