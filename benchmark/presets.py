"""Presets: names under which each method and detector has a configuration, and what a run overrides of it.

tiny      seconds on one core, for tests; its images are not worth a look
demo      about 20 s per subject and core, for the forensic dancers of `bench demo`
protocol  about a minute per subject and core, for the 62 dancers of the detection protocol
protocol-192  the same networks and steps at 192 pixels; from warm starts, for detectors that look at the person
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
from dancebench.detect.detectors.base import DetectorConfig, find_detector_class
from dancebench.synth.base import METHODS, Precision, Schedule, SynthConfig, TrunkChoice
from dancebench.synth.gan.losses import PERCEPTUAL_TRUNKS

Part = TypeVar("Part", bound=Strict)


@dataclass(frozen=True)
class Preset:
    """A named set of configurations: each method and detector has its own beside its code.

    Attributes:
        long_side: Larger side of the frames, of every method.
        trunk: Perceptual trunk of every method that uses one.
        like: The preset that it is, but for the size of the frames; None: it has configurations of its own.
    """

    name: str
    purpose: str
    long_side: int
    trunk: TrunkChoice = "off"
    like: str | None = None

    def config(self, method: str) -> SynthConfig:
        """The configuration of a method: its own for this preset, else its defaults.

        Raises:
            UnknownNameError: There is no such method.
        """
        method_class = METHODS[method]
        config = method_class.presets.get(self.like or self.name)
        if config is None:
            return method_class.Config(long_side=self.long_side, trunk=self.trunk)
        return config if self.like is None else _override(config, {"long_side": self.long_side})

    def detector_config(self, detector: str) -> DetectorConfig | None:
        """The settings of a detector, but for size and seed, which come from the run; None for its defaults.

        Raises:
            UnknownNameError: There is no such detector.
        """
        return find_detector_class(detector).PRESETS.get(self.like or self.name)


PRESETS: Final = {
    preset.name: preset
    for preset in (
        Preset("tiny", "seconds on one core, for tests", 64),
        Preset("demo", "about 20 s per subject and core", 128),
        Preset("protocol", "about a minute per subject and core", 128),
        Preset("protocol-192", "as protocol, at 192 pixels", 192, like="protocol"),
        Preset("small", "minutes per subject and core", 192, "vgg19"),
        Preset("paper-global", "EDN's global stage alone, for a GPU", 512, "vgg19"),
        Preset("paper", "EDN's global and local stages, for a GPU", 1024, "vgg19"),
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
