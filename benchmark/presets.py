"""Presets: all settings of synthesizers and detectors, as named, typed configurations.

tiny      seconds on one core, for tests; its images are not worth a look
demo      about 20 s per subject and core, for the forensic dancers of `bench demo`
protocol  about a minute per subject and core, for the 62 dancers of the detection protocol
small     minutes per subject and core
paper-global  EDN's global stage alone, at 512 pixels, for a GPU
paper     EDN's two stages, 256x512 then 512x1024 (height x width), its networks and schedule, for a GPU
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from dancebench.core.errors import UnknownNameError
from dancebench.core.schema import Strict, set_fields
from dancebench.detect.detectors.base import DetectorConfig
from dancebench.detect.detectors.ensemble import EnsembleConfig
from dancebench.detect.detectors.pair_patch import PairPatchConfig
from dancebench.detect.detectors.spectrum import SpectrumConfig
from dancebench.synth.base import METHODS, Precision, Schedule, SynthConfig, TrunkChoice
from dancebench.synth.gan.losses import PERCEPTUAL_TRUNKS
from dancebench.synth.gan.method import GanConfig, LocalStage
from dancebench.synth.methods.fbf_ts_fg import FaceGanConfig
from dancebench.synth.methods.posewarp.method import PoseWarpConfig

Part = TypeVar("Part", bound=Strict)


@dataclass(frozen=True)
class Preset:
    """A named set of configurations.

    Attributes:
        synth: One configuration of each class that the methods use; `long_side` is the same in all.
        detectors: Settings of detectors, by name; size and seed come from the run. Other detectors have
            their defaults.
    """

    name: str
    purpose: str
    synth: tuple[SynthConfig, ...]
    detectors: Mapping[str, DetectorConfig] = field(default_factory=dict)

    def config(self, method: str) -> SynthConfig:
        """The configuration of a method: the preset's of that class, else the class's defaults.

        Raises:
            UnknownNameError: There is no such method.
        """
        config_class = METHODS[method].Config
        for config in self.synth:
            if type(config) is config_class:
                return config
        first = self.synth[0]
        return config_class(long_side=first.long_side, trunk=first.trunk)


def _make_short_configs(
    long_side: int,
    *,
    ngf: int,
    steps: int,
    learning_rate: float,
    face_steps: int,
    warp_width: int,
    warp_steps: int,
    trunk: TrunkChoice = "off",
) -> tuple[SynthConfig, ...]:
    """Configurations for a training that is too short for the paper's schedule.

    It works because of an L1 pixel loss with pix2pix's weight, batches of one example (more updates in the
    same time), and a learning rate schedule that starts high and decays to zero.
    """
    gan = GanConfig(
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
    face = FaceGanConfig(
        long_side=long_side,
        main=gan,
        face_ngf=16,
        face_n_down=2,
        face_n_blocks=3,
        face_ndf=16,
        face_schedule=Schedule(steps=face_steps, batch=4, learning_rate=1e-3, decay_share=0.8),
        face_pixel_weight=100.0,
        trunk=trunk,
    )
    warp = PoseWarpConfig(
        long_side=long_side,
        width=warp_width,
        schedule=Schedule(steps=warp_steps, learning_rate=1.5e-3, decay_share=0.8),
        trunk=trunk,
    )
    return gan, face, warp


def _make_paper_configs(long_side: int, local: LocalStage | None) -> tuple[SynthConfig, ...]:
    gan = GanConfig(long_side=long_side, trunk="vgg19", local=local)
    return (
        gan,
        FaceGanConfig(long_side=long_side, trunk="vgg19", main=gan),
        PoseWarpConfig(long_side=long_side, trunk="vgg19", n_down=5),
    )


_TINY: Final = GanConfig(
    long_side=64, ngf=8, n_down=2, n_blocks=1, ndf=8, n_scales=1, schedule=Schedule(steps=12, batch=2)
)

_HARDENED: Final = PairPatchConfig(steps=3000, degraded=0.75, copies=3)
"""Longer training on more compressed copies: pair AUC 0.87 instead of 0.81 on the validation set at CRF 40."""

PRESETS: Final = {
    preset.name: preset
    for preset in (
        Preset(
            "tiny",
            "seconds on one core, for tests",
            (
                _TINY,
                FaceGanConfig(
                    long_side=64,
                    main=_TINY,
                    face_ngf=8,
                    face_n_down=2,
                    face_n_blocks=1,
                    face_ndf=8,
                    face_schedule=Schedule(steps=6, batch=2),
                ),
                PoseWarpConfig(long_side=64, width=8, schedule=Schedule(steps=6, batch=2)),
            ),
            {
                "pair-patch": PairPatchConfig(ndf=8, steps=60, batch=8, pairs=6),
                "spectrum": SpectrumConfig(windows=120, pairs=6),
            },
        ),
        Preset(
            "demo",
            "about 20 s per subject and core",
            _make_short_configs(
                128, ngf=16, steps=250, learning_rate=1.5e-3, face_steps=150, warp_width=12, warp_steps=280
            ),
        ),
        Preset(
            "protocol",
            "about a minute per subject and core",
            _make_short_configs(
                128, ngf=20, steps=600, learning_rate=1e-3, face_steps=300, warp_width=16, warp_steps=600
            ),
            {
                "pair-patch": _HARDENED,
                "ensemble": EnsembleConfig(
                    degraded=_HARDENED.degraded,
                    copies=_HARDENED.copies,
                    configs={"pair-patch": {"steps": _HARDENED.steps}},
                ),
            },
        ),
        Preset(
            "small",
            "minutes per subject and core",
            _make_short_configs(
                192,
                ngf=16,
                steps=1000,
                learning_rate=1e-3,
                face_steps=500,
                warp_width=16,
                warp_steps=1000,
                trunk="vgg19",
            ),
        ),
        Preset("paper-global", "EDN's global stage alone, for a GPU", _make_paper_configs(512, None)),
        Preset(
            "paper",
            "EDN's global and local stages, for a GPU",
            _make_paper_configs(1024, LocalStage(schedule=Schedule(epochs=30.0))),
        ),
    )
}


def find_preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in PRESETS:
        raise UnknownNameError("preset", name, PRESETS)
    return PRESETS[name]


@dataclass(frozen=True)
class RunSettings:
    """Settings of a run that override its preset's.

    Attributes:
        seed: Seed of all random numbers.
        trunk: Perceptual trunk instead of the preset's; None keeps that.
        precision: Numeric precision of the networks in training.
        batch: Batch size of every phase; None keeps the preset's.
        fields: Further fields of the configuration of a method, by method and by path (`schedule.steps`).
    """

    seed: int = 0
    trunk: str | None = None
    precision: Precision = "fp32"
    batch: int | None = None
    fields: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)


_SET_BY_OPTIONS: Final = {"seed": "--seed", "precision": "--precision", "trunk": "--trunk"}


def configure_method(name: str, method: str, settings: RunSettings) -> SynthConfig:
    """A preset's configuration of a method, with the settings of a run.

    Raises:
        UnknownNameError: There is no such preset, method, trunk or field.
        BenchError: The value of a field is refused.
    """
    chosen = find_preset(name).config(method)
    if settings.trunk is not None and settings.trunk not in ("off", *PERCEPTUAL_TRUNKS):
        raise UnknownNameError("perceptual trunk", settings.trunk, ("off", *PERCEPTUAL_TRUNKS))
    trunk = settings.trunk or chosen.trunk
    config = _override(chosen, {"seed": settings.seed, "precision": settings.precision, "trunk": trunk})
    if settings.batch is not None:
        config = _override_batch(config, settings.batch)
    fields = settings.fields.get(method, {})
    changed = set_fields(method, config, fields, _SET_BY_OPTIONS)
    return _override(changed, {"long_side": changed.long_side}) if "long_side" in fields else changed


def _override(config: SynthConfig, settings: Mapping[str, Any]) -> SynthConfig:
    """The configuration with these settings, which also hold for a base method's nested in it."""
    nested = {name: _override(value, settings) for name, value in config if isinstance(value, SynthConfig)}
    return config.model_copy(update={**settings, **nested})


def _override_batch(part: Part, batch: int) -> Part:
    """The configuration with this batch size in all its schedules, at any depth."""
    if isinstance(part, Schedule):
        return part.model_copy(update={"batch": batch})
    nested = {name: _override_batch(value, batch) for name, value in part if isinstance(value, Strict)}
    return part.model_copy(update=nested)
