"""Backbones of timm; nothing is downloaded."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.core.files import sha256_file
from dancebench.core.progress import ignore_progress
from dancebench.detect.detectors import _packaged_weights, timm_backbone
from dancebench.detect.detectors.base import DetectorConfig, configure_detector, find_detector_class
from dancebench.detect.detectors.timm_backbone import TimmBackbone, TimmConfig, import_timm
from dancebench.detect.inputs.pairs import PairPool, PooledClip

NAME = "mobilenetv3_small_050"


def config(backbone: str = NAME, **settings: Any) -> DetectorConfig:
    small = {"height": 64, "width": 32, "steps": 2, "batch": 4, "pretrained": False}
    return configure_detector(f"timm:{backbone}", None, **small | settings)


def noise(n: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, (n, 2, 64, 32, 3), dtype=np.uint8)


POOL = PairPool([PooledClip("a", label, noise(3)[:, label], np.arange(2)) for label in (0, 1)])


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuses every download, with an empty cache."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no network in tests")

    monkeypatch.setattr(timm_backbone.urllib.request, "urlopen", refuse)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    monkeypatch.delenv("BENCH_WEIGHTS", raising=False)


# --- closed form


def test_closed_form_the_input_is_both_frames_and_their_difference() -> None:
    pair = np.stack([np.full((64, 32, 3), 0, np.uint8), np.full((64, 32, 3), 255, np.uint8)])[None]
    x = TimmBackbone(config()).to_tensor(pair)[0, :, 0, 0]
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(x, torch.cat([-mean / std, (1 - mean) / std, 1 / std]))


# --- foreign reference


def test_foreign_reference_parameters_are_timms_own() -> None:
    built = import_timm().create_model(NAME, in_chans=9, num_classes=1)
    assert TimmBackbone(config()).parameters == sum(weight.numel() for weight in built.parameters())


# --- laws


def test_a_saved_and_loaded_detector_gives_the_same_logits(tmp_path: Path) -> None:
    assert find_detector_class(f"timm:{NAME}") is TimmBackbone
    detector = TimmBackbone(config())
    detector.fit(POOL, tmp_path / "state", ignore_progress)
    detector.save(tmp_path)
    again = TimmBackbone.load(tmp_path, config())
    logits = detector.logits(noise(5))
    np.testing.assert_array_equal(logits, again.logits(noise(5)))
    np.testing.assert_allclose(logits[4:], detector.logits(noise(5)[4:]), rtol=1e-3, atol=1e-5)
    assert detector.logits(noise(0)).shape == (0,)
    assert again.origin is None


def test_it_has_a_saliency_map() -> None:
    seen = TimmBackbone(config()).saliency(noise(3))
    assert seen is not None
    assert seen.shape == (3, 64, 32)
    assert 0 <= seen.min() <= seen.max() <= 1


def test_a_transformer_works_at_any_size_and_has_no_saliency_map() -> None:
    detector = TimmBackbone(config("test_vit"))
    assert detector.logits(noise(2)).shape == (2,)
    assert detector.saliency(noise(2)) is None


@pytest.mark.usefixtures("no_hub")
def test_without_pretrained_weights_it_starts_at_random_and_keeps_the_reason(tmp_path: Path) -> None:
    pretrained = config(pretrained=True)
    detector, plain = TimmBackbone(pretrained), TimmBackbone(config())
    for each, name in ((detector, "a"), (plain, "b")):
        each.fit(POOL, tmp_path / name, ignore_progress)
    np.testing.assert_array_equal(detector.logits(noise(2)), plain.logits(noise(2)))
    assert detector.origin is not None
    assert detector.origin.startswith("at random, since pretrained weights of mobilenetv3_small_050 are not")
    detector.save(tmp_path)
    assert TimmBackbone.load(tmp_path, pretrained).origin == detector.origin
    resumed = TimmBackbone(pretrained)
    resumed.fit(POOL, tmp_path / "a", ignore_progress)
    assert resumed.origin == detector.origin


@pytest.mark.usefixtures("no_hub")
def test_weights_on_disk_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    published = import_timm().create_model(NAME).state_dict()  # 3 channels, 1000 classes
    save_file(published, tmp_path / f"{NAME}.safetensors")
    detector = TimmBackbone(config(pretrained=True))
    detector.fit(POOL, tmp_path / "state", lambda what, done, total: None)
    assert detector.origin is not None
    assert detector.origin.startswith("pretrained mobilenetv3_small_050, SHA-256 ")
    initial = TimmBackbone(config(pretrained=True))
    initial._load_pretrained()
    filters = published["conv_stem.weight"].repeat(1, 3, 1, 1) / 3
    torch.testing.assert_close(initial.network.backbone.conv_stem.weight.detach(), filters)


@pytest.mark.usefixtures("no_hub")
def test_a_state_of_another_config_is_not_resumed_and_its_origin_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TimmBackbone(config(pretrained=True, seed=1)).fit(POOL, tmp_path / "used", ignore_progress)
    save_file(import_timm().create_model(NAME).state_dict(), tmp_path / f"{NAME}.safetensors")
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    anew, clean = TimmBackbone(config(pretrained=True)), TimmBackbone(config(pretrained=True))
    anew.fit(POOL, tmp_path / "used", ignore_progress)
    clean.fit(POOL, tmp_path / "clean", ignore_progress)
    assert anew.origin == clean.origin
    assert str(anew.origin).startswith("pretrained")
    np.testing.assert_array_equal(anew.logits(noise(2)), clean.logits(noise(2)))


# --- what is tuned


def test_where_all_is_tuned_the_configuration_is_written_as_before_there_was_a_choice() -> None:
    assert config().model_dump().keys() == {
        "height", "width", "pairs", "degraded", "copies", "seed", "steps", "batch", "learning_rate", "decay_share",
        "backbone", "pretrained",
    }  # fmt: skip
    assert config(tune="head", view="face").model_dump()["tune"] == "head"
    assert TimmConfig.model_validate(config().model_dump()) == config()


FRAMES = PairPool([PooledClip("a", label, noise(3)[:, label], np.arange(3)) for label in (0, 1)], window=1)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of both backbones, as they are published."""
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()
    for name in (NAME, "test_vit"):
        save_file(import_timm().create_model(name).state_dict(), tmp_path / "weights" / f"{name}.safetensors")
    return tmp_path


@pytest.mark.parametrize("backbone", [NAME, "test_vit"])
@pytest.mark.parametrize("tune", ["head", "norm"])
def test_only_what_is_tuned_changes_in_training(published: Path, backbone: str, tune: str) -> None:
    chosen = config(backbone, pretrained=True, tune=tune, steps=3)
    detector, before = TimmBackbone(chosen), TimmBackbone(chosen)
    before._load_pretrained()
    detector.fit(FRAMES, published / "state", ignore_progress)
    start = before.network.backbone.state_dict()
    changed = {name for name, value in detector.network.backbone.state_dict().items() if not value.equal(start[name])}
    head = {name for name in start if name.startswith(("classifier.", "head."))}
    norms = {name for name in changed - head if ".bn" in name or name.startswith("bn") or "norm" in name}
    assert head <= changed
    assert changed - head == norms  # no filter
    assert bool(norms) == (tune == "norm")
    assert detector.parameters < sum(value.numel() for value in start.values()) / 3


def test_a_frozen_trunk_sees_one_frame_as_in_its_pretraining(published: Path) -> None:
    detector = TimmBackbone(config(pretrained=True, tune="head"))
    detector._load_pretrained()
    assert detector.window == 1
    frame = noise(1)[:, :1]
    trunk = import_timm().create_model(NAME, pretrained=False)
    trunk.load_state_dict(load_file(published / "weights" / f"{NAME}.safetensors"))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = ((torch.from_numpy(frame[:, 0]).float() / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()
    with torch.inference_mode():
        expected = trunk.eval().forward_features(normalised)
        found = detector.network.eval().feature_maps(detector.to_tensor(frame))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_tuned_head_is_saved_and_loaded_with_its_trunk(published: Path) -> None:
    chosen = config("test_vit", pretrained=True, tune="norm")
    detector = TimmBackbone(chosen)
    detector.fit(FRAMES, published / "state", ignore_progress)
    detector.save(published)
    frames = noise(4)[:, :1]
    np.testing.assert_array_equal(TimmBackbone.load(published, chosen).logits(frames), detector.logits(frames))


@pytest.mark.usefixtures("no_hub")
@pytest.mark.parametrize("pretrained", [True, False])
def test_a_head_on_a_random_trunk_is_refused(pretrained: bool, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=f"tune=head needs pretrained weights of {NAME}: ") as caught:
        TimmBackbone(config(pretrained=pretrained, tune="head")).fit(FRAMES, tmp_path, ignore_progress)
    assert caught.value.hint == "Put them into BENCH_WEIGHTS, or tune all."


# --- weights that a package carries


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed distribution with weights of timm's tensors, under other names."""
    (tmp_path / "acme_weights-1.0.dist-info").mkdir()
    (tmp_path / "acme_weights-1.0.dist-info" / "METADATA").write_text("Name: acme-weights\nVersion: 1.0\n")
    published = import_timm().create_model(NAME).state_dict()
    renamed = {f"w{index}": value for index, (name, value) in enumerate(published.items()) if "num_b" not in name}
    torch.save(renamed, tmp_path / "weights.pth", _use_new_zipfile_serialization=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    known = _packaged_weights.Package("acme-weights", "weights.pth", sha256_file(tmp_path / "weights.pth"))
    monkeypatch.setitem(_packaged_weights.PACKAGES, NAME, known)
    return tmp_path / "weights.pth"


@pytest.mark.usefixtures("no_hub")
def test_weights_of_an_installed_package_are_loaded_by_their_order(package: Path, tmp_path: Path) -> None:
    detector = TimmBackbone(config(pretrained=True))
    origin = detector._load_pretrained()
    assert origin == f"pretrained {NAME}, SHA-256 {sha256_file(package)}"
    stored = list(torch.load(package, weights_only=True).values())
    torch.testing.assert_close(
        detector.network.backbone.conv_stem.weight.detach(), stored[0].repeat(1, 3, 1, 1) / 3
    )  # fmt: skip


@pytest.mark.usefixtures("no_hub")
def test_a_package_of_another_content_is_not_opened(package: Path) -> None:
    package.write_bytes(package.read_bytes() + b"x")
    assert TimmBackbone(config(pretrained=True))._load_pretrained().startswith("at random, since")


@pytest.mark.parametrize("backbone", list(_packaged_weights.PACKAGES))
def test_foreign_reference_an_installed_trunk_fills_timms_backbone(backbone: str) -> None:
    if _packaged_weights.find_packaged(backbone) is None:
        pytest.skip(f"{_packaged_weights.PACKAGES[backbone].name} is not installed")
    detector = TimmBackbone(config(backbone, pretrained=True))
    assert detector._load_pretrained().endswith(_packaged_weights.PACKAGES[backbone].sha256)


# --- bad input


def test_an_unknown_backbone_is_refused_and_the_nearest_proposed() -> None:
    with pytest.raises(UnknownNameError, match="Unknown timm backbone") as caught:
        TimmConfig(backbone="resnet10tt")
    assert caught.value.hint is not None
    assert "resnet10t" in caught.value.hint


@pytest.mark.usefixtures("no_hub")
def test_a_file_of_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    save_file({"other": torch.zeros(1)}, tmp_path / f"{NAME}.safetensors")
    with pytest.raises(BenchError, match="does not hold the weights of mobilenetv3_small_050"):
        TimmBackbone(config(pretrained=True)).fit(POOL, tmp_path / "state", ignore_progress)


@pytest.mark.parametrize("content", [b"", b"x", None, [torch.zeros(1)], {"a": {"b": torch.zeros(1)}}, 3])
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_file_without_weights_is_refused(
    suffix: str, content: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    path = tmp_path / f"{NAME}.{suffix}"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(BenchError, match="does not hold the weights of mobilenetv3_small_050") as caught:
        TimmBackbone(config(pretrained=True)).fit(POOL, tmp_path / "state", ignore_progress)
    assert "\n" not in caught.value.message


class Harmful:
    """Unpickling it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.folder,)


def test_a_file_that_would_execute_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    torch.save({"a": Harmful(tmp_path / "harm")}, tmp_path / f"{NAME}.pth")
    with pytest.raises(BenchError, match="does not hold the weights"):
        TimmBackbone(config(pretrained=True)).fit(POOL, tmp_path / "state", ignore_progress)
    assert not (tmp_path / "harm").exists()
