"""The full method (EDN section 3.3): temporal smoothing, and a second GAN that corrects the face."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from dancebench.core.errors import BenchError
from dancebench.core.nn.patchgan import PatchDiscriminator
from dancebench.core.nn.trunks import Trunk
from dancebench.core.progress import ReportProgress
from dancebench.datasets.pose.box import Box
from dancebench.datasets.pose.face_crop import compute_face_box
from dancebench.synth.base import METHODS, LearnedMethod, Phase, Schedule, SynthConfig
from dancebench.synth.clip import Batch, Motion, TrainingClip, scale_points, to_pixels, to_tensor
from dancebench.synth.gan.losses import Features, PerceptualLoss, gan_loss
from dancebench.synth.gan.method import GAN_PRESETS, GanConfig
from dancebench.synth.gan.networks import GlobalGenerator, zero_init_last_conv
from dancebench.synth.gan.phase import AdversarialPhase, DiscriminatorOutputs
from dancebench.synth.methods.fbf_ts import TemporalSmoothing


class FaceGanConfig(SynthConfig):
    """The main generator's configuration and the face GAN's own."""

    main: GanConfig
    face_ngf: int = Field(64, ge=1)
    face_n_down: int = Field(3, ge=1)
    face_n_blocks: int = Field(5, ge=0)
    face_ndf: int = Field(64, ge=1)
    face_schedule: Schedule = Schedule(epochs=5.0)
    face_perceptual_weight: float = 5.0
    face_pixel_weight: float = Field(0.0, ge=0)
    """Weight of an L1 loss on the pixels of the final face; as for `GanConfig.pixel_weight`."""


def _make_preset(name: str, **face: Any) -> FaceGanConfig:
    """The main generator's preset with these settings of the face GAN."""
    main = GAN_PRESETS[name]
    return FaceGanConfig(long_side=main.long_side, trunk=main.trunk, main=main, **face)


def _make_short_preset(name: str, *, steps: int) -> FaceGanConfig:
    """As `_make_preset`, for a training that is too short for the paper's schedule."""
    return _make_preset(
        name,
        face_ngf=16,
        face_n_down=2,
        face_n_blocks=3,
        face_ndf=16,
        face_schedule=Schedule(steps=steps, batch=4, learning_rate=1e-3, decay_share=0.8),
        face_pixel_weight=100.0,
    )


@METHODS.register("fbf-ts-fg")
class FaceGan(LearnedMethod):
    """r = G_f(x_F, G(x)_F) is added to the face G(x)_F that the frozen main generator produced.

    The crop is centred on each frame's own nose; frames without a visible face are not changed, and neither
    is anything outside the crop. The next frame is conditioned on the main generator's output, as in its
    training: the corrected face is not fed back.
    """

    Config: ClassVar[type[SynthConfig]] = FaceGanConfig
    presets: ClassVar[Mapping[str, SynthConfig]] = {
        "tiny": _make_preset(
            "tiny", face_ngf=8, face_n_down=2, face_n_blocks=1, face_ndf=8, face_schedule=Schedule(steps=6, batch=2)
        ),
        "demo": _make_short_preset("demo", steps=150),
        "protocol": _make_short_preset("protocol", steps=300),
        "small": _make_short_preset("small", steps=500),
        "paper-global": _make_preset("paper-global"),
        "paper": _make_preset("paper"),
    }
    section: ClassVar[str] = "EDN 3.3, FBF+TS+FG"
    base: ClassVar[str | None] = "fbf-ts"

    def __init__(self, config: SynthConfig, clip: TrainingClip, device: torch.device) -> None:
        super().__init__(config, clip, device)
        assert isinstance(config, FaceGanConfig)  # the registry pairs methods with their configurations
        self.config = config
        self.main = TemporalSmoothing(config.main, clip, device)
        self.face = GlobalGenerator(
            self.main.pose_channels + 3, ngf=config.face_ngf, n_down=config.face_n_down, n_blocks=config.face_n_blocks
        ).to(device)
        zero_init_last_conv(self.face)  # an untrained face generator leaves the face as it is

    @classmethod
    def get_base_config(cls, config: SynthConfig) -> SynthConfig:
        assert isinstance(config, FaceGanConfig)
        return config.main

    def load_base(self, weights: Mapping[str, torch.Tensor]) -> None:
        self.main.load_weights(weights)

    def list_phases(self) -> Sequence[str]:
        return ("face",)

    def start_phase(self, name: str, trunk: Trunk | None) -> Phase:
        return FacePhase(self, trunk)

    def inference_networks(self) -> Mapping[str, nn.Module]:
        return {**self.main.inference_networks(), "face": self.face}

    def inherited_networks(self) -> Mapping[str, nn.Module]:
        """The face generator: the main one is the base method's, and has an ancestor of its own."""
        return {"face": self.face}

    def compute_face_box(self, centre: npt.NDArray[np.float32]) -> Box[int] | None:
        """The bounding box of the crop around a face's centre, in pixels of the clip; None where no face is seen."""
        return compute_face_box(centre, self.clip.size, multiple=2**self.config.face_n_down)

    def correct_face(self, pose: torch.Tensor, face: torch.Tensor) -> torch.Tensor:
        """The final face (B, 3, h, w) from the crops of the pose map (B, C, h, w) and of the image; not clipped."""
        residual: torch.Tensor = self.face(torch.cat([pose, face], dim=1))
        return face + residual

    @torch.no_grad()
    def render(self, motion: Motion) -> Iterator[npt.NDArray[np.uint8]]:
        self.face.eval()
        height, width = self.clip.size
        centres = scale_points(motion.face_centres, width / motion.size[1], height / motion.size[0])
        for (pose, image), centre in zip(self.main.generate_images(motion), centres, strict=True):
            pixels = to_pixels(image[0])
            box = self.compute_face_box(centre)
            if box is not None:
                face = self.correct_face(pose[..., box.rows, box.columns], image[..., box.rows, box.columns])
                pixels[box.rows, box.columns] = to_pixels(face[0])
            yield pixels


@dataclass(frozen=True)
class FaceBatch(Batch):
    """A batch cropped to the faces: images (B, 1, 3, h, w), pose maps (B, 1, C, h, w).

    Attributes:
        main_faces: The faces in the main generator's output.
    """

    main_faces: torch.Tensor


class FacePhase(AdversarialPhase):
    """The face generator G_f against its discriminator D_f, with everything else frozen.

    The main generator's output for the training poses never changes, so it is generated once, as in
    synthesis, and only the faces are kept.
    """

    window = 1

    def __init__(self, method: FaceGan, trunk: Trunk | None) -> None:
        config = method.config
        self.method = method
        self.perceptual = PerceptualLoss(trunk).to(method.device) if trunk else None
        self.main_faces: dict[int, npt.NDArray[np.uint8]] = {}  # [h, w, 3] by training frame
        discriminator = PatchDiscriminator(method.main.pose_channels + 3, ndf=config.face_ndf)
        super().__init__(method.clip, config.face_schedule, method.face, discriminator, method.device, config.precision)

    @cached_property
    def example_starts(self) -> npt.NDArray[np.intp]:
        """Frames with a person whose face is seen.

        Raises:
            BenchError: There is none.
        """
        candidates = self.clip.list_example_starts(1)
        faces = candidates[np.isfinite(self.clip.face_centres[candidates]).all(axis=-1)]
        if len(faces) == 0:
            raise BenchError("No face is seen in any training frame.", hint="Use --method fbf-ts, which needs none.")
        return np.asarray(faces, np.intp)

    def prepare(self, report: ReportProgress) -> None:
        """Generate the main generator's faces."""
        self.main_faces = {}
        for segment in self.clip.segments():
            for t, (_, image) in zip(
                segment, self.method.main.generate_images(self.clip.make_motion(segment)), strict=True
            ):
                report("generating the faces that the face GAN corrects", t + 1, len(self.clip))
                box = self.method.compute_face_box(self.clip.face_centres[t])
                if box is not None:
                    self.main_faces[t] = to_pixels(image[0])[box.rows, box.columns]

    def train_step(self, batch: Batch) -> dict[str, torch.Tensor]:
        return super().train_step(self.crop_faces(self.method.main.set_pose_maps(batch)))

    def crop_faces(self, batch: Batch) -> FaceBatch:
        """Crop every frame to its own face."""
        index = batch.index[:, 0].tolist()
        boxes = [box for t in index if (box := self.method.compute_face_box(self.clip.face_centres[t])) is not None]

        def crop(images: torch.Tensor) -> torch.Tensor:
            crops = [image[..., box.rows, box.columns] for image, box in zip(images, boxes, strict=True)]
            return torch.stack(crops)  # (B, 1, 3, h, w)

        main_faces = to_tensor(np.stack([self.main_faces[t] for t in index])[:, None], self.device)
        return FaceBatch(crop(batch.pose_maps), crop(batch.frames), batch.keypoints, batch.index, main_faces)

    def generate(self, batch: Batch) -> torch.Tensor:
        assert isinstance(batch, FaceBatch)
        return self.method.correct_face(batch.pose_maps[:, 0], batch.main_faces[:, 0])[:, None]

    def discriminator_input(self, batch: Batch, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([batch.pose_maps, images], dim=2).flatten(1, 2)  # (B, C + 3, h, w)

    def discriminate(self, inputs: torch.Tensor) -> Features:
        return [self.discriminator(inputs)]  # one scale

    def generator_losses(
        self, batch: Batch, fake: torch.Tensor, outputs: DiscriminatorOutputs
    ) -> dict[str, torch.Tensor]:
        config = self.method.config
        losses = {"g_gan": gan_loss(outputs.fake, real=True)}
        if self.perceptual is not None:
            losses["g_perceptual"] = config.face_perceptual_weight * self.perceptual(fake[:, 0], batch.frames[:, 0])
        if config.face_pixel_weight > 0:
            losses["g_pixels"] = config.face_pixel_weight * F.l1_loss(fake, batch.frames)
        return losses

    @torch.no_grad()
    def preview(self, batch: Batch) -> torch.Tensor:
        faces = self.crop_faces(batch)
        fake = self.generate(self.crop_faces(self.method.main.set_pose_maps(batch)))
        return torch.stack([faces.pose_maps, faces.frames, faces.main_faces, fake], dim=2).flatten(0, 2).clamp(-1, 1)
