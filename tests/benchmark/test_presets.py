"""Presets: every method has its configuration, and a run's settings apply to all of its parts."""

from __future__ import annotations

import pytest

from dancebench.benchmark.presets import PRESETS, RunSettings, configure_method
from dancebench.core.errors import UnknownNameError
from dancebench.synth.base import METHODS
from dancebench.synth.gan.method import GanConfig
from dancebench.synth.methods.fbf_ts_fg import FaceGanConfig


@pytest.mark.parametrize("name", PRESETS)
def test_every_method_is_configured_for_one_size(name: str) -> None:
    configs = [PRESETS[name].config(method) for method in METHODS.names()]
    assert len({config.long_side for config in configs}) == 1
    assert all(type(config) is METHODS[method].Config for config, method in zip(configs, METHODS.names(), strict=True))


def test_the_base_within_a_method_is_the_method_itself() -> None:
    settings = RunSettings(seed=7, trunk="off", precision="bf16", batch=4)
    full, base = configure_method("paper", "fbf-ts-fg", settings), configure_method("paper", "fbf-ts", settings)
    assert isinstance(full, FaceGanConfig)
    assert full.main == base
    assert (full.seed, full.trunk, full.precision, full.face_schedule.batch) == (7, "off", "bf16", 4)


@pytest.mark.parametrize("method", METHODS.names())
def test_a_preset_like_another_differs_by_its_size_alone(method: str) -> None:
    larger = configure_method("protocol-192", method, RunSettings())
    assert larger.long_side == 192
    assert larger == configure_method("protocol", method, RunSettings(fields={method: {"long_side": 192}}))
    assert PRESETS["protocol-192"].detector_config("pair-patch") == PRESETS["protocol"].detector_config("pair-patch")


def test_a_batch_reaches_all_phases() -> None:
    config = configure_method("paper", "fbf-ts", RunSettings(batch=8))
    assert isinstance(config, GanConfig)
    assert config.local is not None
    assert (config.schedule.batch, config.local.schedule.batch) == (8, 8)
    assert (
        configure_method("paper", "fbf-ts", RunSettings()).model_dump()
        == PRESETS["paper"].config("fbf-ts").model_dump()
    )


def test_the_papers_schedule() -> None:
    config = PRESETS["paper"].config("fbf-ts-fg")
    assert isinstance(config, FaceGanConfig)
    assert config.main.local is not None
    epochs = (config.main.schedule.epochs, config.main.local.schedule.epochs, config.face_schedule.epochs)
    assert epochs == (5, 30, 5)
    assert (config.main.perceptual_weight, config.main.local.perceptual_weight) == (5, 10)
    assert (config.main.n_scales, config.main.local.n_scales) == (2, 3)


def test_unknown_trunks_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="Unknown perceptual trunk 'vgg'"):
        configure_method("tiny", "fbf", RunSettings(trunk="vgg"))
