"""Dance Dance Generation (Zhou et al. 2019): a person cut into parts, moved, made whole, and put into the scene.

    training frame nearest in pose ──cut into 10 parts, each moved──▶ human network ──▶ the person before green
    the person cut out of the green, on the mean background ──▶ fusion network ──▶ the frame

Both networks are trained together, each against a discriminator and the reference frame of its own: the person before
green, and the frame. `ddg-baseline` is the paper's ablation, whose person has no reference.

It departs from the paper where a short training on one person benefits: the networks' outputs are added to their
inputs, and the outline of the person before green is an output of its own (`networks.py`); half of the training pairs
are near in pose, as those of synthesis are; the mask of the generated person has a soft edge. Short presets have
U-Nets, and an L1 pixel loss as all adversarial methods here. The semantic and pose feature loss (Eq. 7) needs a
pretrained parser, which no package carries: it is off, and recorded so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import nn

from dancebench.core.nn.trunks import Trunk
from dancebench.datasets.pose.skeleton import Keypoints, has_person, scale_keypoints
from dancebench.synth.base import METHODS, LayeredMethod, Layers, Phase, Schedule, SynthConfig, TrunkChoice
from dancebench.synth.clip import Motion, Pixels, TrainingClip, to_pixels, to_tensor
from dancebench.synth.gan.method import LocalStage
from dancebench.synth.methods.ddg.background import find_backgrounds
from dancebench.synth.methods.ddg.conditions import build_conditions, to_binary
from dancebench.synth.methods.ddg.networks import DdgNetworks, enhance_networks, make_coarse_networks, make_unets
from dancebench.synth.methods.ddg.pairs import PersonFrames, list_history
from dancebench.synth.methods.ddg.phase import DdgPhase, PhaseSettings


class DdgConfig(SynthConfig):
    """Networks, losses and schedules of DDG; the defaults are the paper's, half as wide as pix2pixHD."""

    generator: Literal["pix2pixhd", "unet"] = "pix2pixhd"
    """What both networks are: the paper's, or U-Nets, which learn in minutes."""
    ngf: int = Field(32, ge=2, multiple_of=2)
    """Channels at full size."""
    n_down: int = Field(4, ge=1)
    n_blocks: int = Field(9, ge=0)
    """Residual blocks of the paper's generators; U-Nets have none."""
    ndf: int = Field(32, ge=1)
    n_scales: int = Field(2, ge=1)
    poses: int = Field(3, ge=1)
    """K: how many poses the networks see, the last of them the one that is generated."""
    schedule: Schedule = Schedule(epochs=20.0, batch=4)
    near_share: float = Field(0.5, ge=0, le=1)
    """Share of the training pairs whose input is among the nearest poses; the others are random."""
    gradient_penalty_weight: float = Field(10.0, ge=0)
    perceptual_weight: float = 10.0
    pixel_weight: float = Field(0.0, ge=0)
    """Weight of an L1 loss on pixels; as for `GanConfig.pixel_weight`."""
    semantic_pose_loss: Literal["off"] = "off"
    """Eq. 7, which needs a pretrained parser: off, and recorded so."""
    local: LocalStage | None = None
    """The second stage of the paper's generators."""

    @model_validator(mode="after")
    def _check_generator(self) -> Self:
        if self.local is not None and self.generator == "unet":
            raise ValueError("a local stage enhances generators of pix2pixhd, not a unet")
        return self


def _make_short_config(long_side: int, ngf: int, *, steps: int, trunk: TrunkChoice = "off") -> DdgConfig:
    """A training that is too short for the paper's schedule, as those of the other adversarial methods."""
    schedule = Schedule(steps=steps, learning_rate=1e-3, decay_share=0.8)
    return DdgConfig(
        long_side=long_side, generator="unet", ngf=ngf, n_blocks=0, ndf=16, schedule=schedule, trunk=trunk,
        pixel_weight=100.0,
    )  # fmt: skip


class TwoStageMethod(LayeredMethod):
    """Both methods; they differ in whether the person before green is supervised.

    Class attributes:
        supervised: Whether it is.
    """

    Config: ClassVar[type[SynthConfig]] = DdgConfig
    presets: ClassVar[Mapping[str, SynthConfig]] = {
        "tiny": DdgConfig(
            long_side=64, ngf=8, n_down=2, n_blocks=1, ndf=8, n_scales=1, schedule=Schedule(steps=6, batch=2)
        ),
        "demo": _make_short_config(128, 16, steps=130),
        "protocol": _make_short_config(128, 16, steps=330),
        "small": _make_short_config(192, 16, steps=500, trunk="vgg19"),
        "paper-global": DdgConfig(long_side=512, trunk="vgg19"),
        "paper": DdgConfig(
            long_side=1024, trunk="vgg19", local=LocalStage(schedule=Schedule(epochs=20.0, batch=4))
        ),
    }  # fmt: skip
    supervised: ClassVar[bool]

    def __init__(self, config: SynthConfig, clip: TrainingClip, device: torch.device) -> None:
        super().__init__(config, clip, device)
        assert isinstance(config, DdgConfig)  # the registry pairs methods with their configurations
        self.config = config
        if config.generator == "unet":
            networks = make_unets(poses=config.poses, width=config.ngf, n_down=config.n_down)
        else:
            networks = make_coarse_networks(
                poses=config.poses, ngf=config.ngf, n_down=config.n_down, n_blocks=config.n_blocks
            )
        self.coarse = networks.to(device)
        self.generator: DdgNetworks = self.coarse
        if config.local is not None:
            self.generator = enhance_networks(
                self.coarse, poses=config.poses, ngf=config.ngf // 2, n_blocks=config.local.n_blocks
            ).to(device)

    def list_phases(self) -> Sequence[str]:
        return ("global",) if self.config.local is None else ("global", "local")

    def start_phase(self, name: str, trunk: Trunk | None) -> Phase:
        config = self.config
        if name == "local":
            assert config.local is not None  # only then is the phase listed
            local = config.local
            settings = self._make_settings(local.schedule, local.n_scales, local.perceptual_weight)
            return DdgPhase(self.clip, self.generator, settings, trunk, self.device)
        clip = self.clip if config.local is None else self.clip.at(config.long_side // 2)
        settings = self._make_settings(config.schedule, config.n_scales, config.perceptual_weight)
        return DdgPhase(clip, self.coarse, settings, trunk, self.device)

    def _make_settings(self, schedule: Schedule, n_scales: int, perceptual_weight: float) -> PhaseSettings:
        config = self.config
        return PhaseSettings(
            schedule=schedule,
            poses=config.poses,
            near_share=config.near_share,
            ndf=config.ndf,
            n_scales=n_scales,
            gradient_penalty_weight=config.gradient_penalty_weight,
            perceptual_weight=perceptual_weight,
            pixel_weight=config.pixel_weight,
            precision=config.precision,
            supervised=self.supervised,
        )

    def inference_networks(self) -> Mapping[str, nn.Module]:
        return {"human": self.generator.human, "fusion": self.generator.fusion}

    def inherited_networks(self) -> Mapping[str, nn.Module]:
        """Both generators; with a local stage the global ones too, whose last layers only their own phase uses."""
        coarse = {} if self.config.local is None else {"coarse": self.coarse}
        return {**coarse, **self.inference_networks()}

    @cached_property
    def people(self) -> PersonFrames:
        """The frames that input frames are taken from; read from the clip when they are first needed."""
        return PersonFrames(self.clip)

    @cached_property
    def backgrounds(self) -> dict[int, Pixels]:
        """The background of each scene, uint8 [H, W, 3]."""
        return find_backgrounds(self.clip, self.people.list_scenes())

    @torch.no_grad()
    def render_layers(self, motion: Motion) -> Iterator[Layers]:
        """See `LayeredMethod`. The motion is put into the scene that it fits. A pose that is missing for a moment
        repeats the previous image; without one in the last K frames the person has left, and the background is shown.
        """
        self.generator.eval()
        height, width = self.clip.size
        poses = scale_keypoints(motion.keypoints, width / motion.size[1], height / motion.size[0])
        poses[motion.keypoints[..., 2] == 0] = 0
        scene = self.people.choose_scene(poses)
        empty = Layers(self.backgrounds[scene], np.zeros(self.clip.size, np.bool_))
        layers, shown = empty, has_person(poses)
        starts = np.zeros(len(poses), np.bool_)
        starts[:1] = True
        for t, history in enumerate(list_history(starts, np.arange(len(poses)), self.config.poses)):
            source = self.people.find_input(poses[t], scene) if shown[t] else None
            if source is not None:
                layers = self._generate(source, poses[history])
            elif not shown[history].any():
                layers = empty
            yield layers

    def _generate(self, source: int, poses: Keypoints) -> Layers:
        """Generate the last of `poses`, [K, 75, 3], from the parts of the training frame `source`."""
        index = np.array([source], np.intp)
        frame = to_tensor(self.clip.frames[index], self.device)  # (1, 3, H, W)
        own, requested = (
            torch.from_numpy(points).to(self.device) for points in (self.clip.keypoints[index], poses[None])
        )
        mask = to_binary(self.clip.masks[index], self.device)
        background = to_tensor(self.backgrounds[self.people.get_scene(source)][None], self.device)
        images = self.generator(build_conditions(frame, mask, own, requested, background))
        return Layers(to_pixels(images.frame[0]), (images.mask[0, 0] >= 0.5).cpu().numpy())


@METHODS.register("ddg")
class Ddg(TwoStageMethod):
    """Parts of the person, moved, made whole by one network and put into the scene by another."""

    section: ClassVar[str] = "DDG 3 (Zhou et al. 2019)"
    supervised: ClassVar[bool] = True
    warm_shares: ClassVar[Mapping[str, float]] = {"protocol": 0.25}


@METHODS.register("ddg-baseline")
class DdgBaseline(TwoStageMethod):
    """The same two networks without supervision of the person before green."""

    section: ClassVar[str] = "DDG 4.3, baseline (Zhou et al. 2019)"
    supervised: ClassVar[bool] = False
