"""Presets: everything a run is tuned by, as typed objects with names.

tiny      seconds on one core, for tests; draws nothing that deserves a look
demo      about 20 s per subject and core, for the dancers that `bench demo` detects
protocol  at most 60 s per subject and core, for the 62 of the detection protocol
small     minutes per subject and core
paper     EDN's global stage: 256x512 or 512x256, the paper's networks and schedule, for a GPU
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from dancebench.core.errors import UnknownNameError
from dancebench.detect.detectors.pair_patch import PairPatchConfig
from dancebench.detect.registry import DetectorConfig
from dancebench.synth.losses import PERCEPTUAL_TRUNKS
from dancebench.synth.method import SynthConfig, TrunkChoice


@dataclass(frozen=True)
class Preset:
    """A named set of configurations."""

    name: str
    purpose: str
    synth: SynthConfig
    detectors: Mapping[str, DetectorConfig] = field(default_factory=dict)
    """Settings of a detector, by its name; size and seed come from the run. Others take their defaults."""


def _short(long_side: int, *, ngf: int, steps: int, learning_rate: float, trunk: TrunkChoice = "off") -> SynthConfig:
    """A training too short for the paper's schedule.

    What carries it: an L1 loss on pixels at pix2pix's weight, single examples (more updates in the same
    time), and a learning rate that starts high and falls to zero.
    """
    return SynthConfig(
        long_side=long_side,
        ngf=ngf,
        n_down=3,
        n_blocks=4,
        ndf=16,
        n_scales=2,
        steps=steps,
        batch=1,
        learning_rate=learning_rate,
        decay_share=0.8,
        trunk=trunk,
        pixel_weight=100.0,
    )


PRESETS: Final = {
    preset.name: preset
    for preset in (
        Preset(
            "tiny",
            "seconds on one core, for tests",
            SynthConfig(long_side=64, ngf=8, n_down=2, n_blocks=1, ndf=8, n_scales=1, steps=12, batch=2),
            {"pair-patch": PairPatchConfig(ndf=8, steps=60, batch=8, pairs=6)},
        ),
        Preset(
            "demo",
            "about 20 s per subject and core",
            _short(128, ngf=16, steps=250, learning_rate=1.5e-3),
        ),
        Preset(
            "protocol",
            "at most 60 s per subject and core",
            _short(128, ngf=20, steps=600, learning_rate=1e-3),
        ),
        Preset(
            "small",
            "minutes per subject and core",
            _short(192, ngf=24, steps=1200, learning_rate=8e-4, trunk="vgg19"),
        ),
        Preset(
            "paper",
            "EDN's global stage, for a GPU",
            SynthConfig(
                long_side=512, ngf=64, n_down=4, n_blocks=9, ndf=64, n_scales=2, epochs=5, batch=1, trunk="vgg19"
            ),
        ),
    )
}


def preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in PRESETS:
        raise UnknownNameError("preset", name, PRESETS)
    return PRESETS[name]


def configured(name: str, *, seed: int, trunk: str | None = None) -> SynthConfig:
    """A preset's synthesizer with this seed and, where given, another perceptual trunk.

    Raises:
        UnknownNameError: There is no such preset or trunk.
    """
    chosen = preset(name).synth
    if trunk is not None and trunk not in ("off", *PERCEPTUAL_TRUNKS):
        raise UnknownNameError("perceptual trunk", trunk, ("off", *PERCEPTUAL_TRUNKS))
    return SynthConfig.model_validate(chosen.model_dump() | {"seed": seed, "trunk": trunk or chosen.trunk})
