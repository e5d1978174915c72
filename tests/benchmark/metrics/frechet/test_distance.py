"""Fréchet distances: the formula, the networks, what a file of weights may be, and what a metric's name says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from safetensors.torch import save_file
from torch import nn

from dancebench.benchmark.metrics.frechet.base import FEATURE_NETWORKS, FeatureNetwork, LoadedNetwork, load_network
from dancebench.benchmark.metrics.frechet.distance import ClipFiles, compute_frechet_distance, measure_distances
from dancebench.benchmark.metrics.frechet.networks import inception
from dancebench.core.errors import BenchError
from dancebench.core.nn import torchvision_ops
from dancebench.datasets.video.clips import write_clip


def make_gaussian(mean: list[float], covariance: np.ndarray, n: int = 64) -> torch.Tensor:
    """Features whose sample mean and covariance are exactly these: float64 (n, d)."""
    raw = np.random.default_rng(len(mean)).normal(size=(n, len(mean)))
    raw -= raw.mean(axis=0)
    whitened = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw, rowvar=False))).T
    return torch.from_numpy(whitened @ np.linalg.cholesky(covariance).T + mean)


def test_closed_form_two_gaussians() -> None:
    a = make_gaussian([0, 0, 0], np.diag([1.0, 4.0, 9.0]))
    b = make_gaussian([3, 0, 4], np.diag([4.0, 4.0, 1.0]))
    # |m|^2 + sum (s_a - s_b)^2 for covariances that commute
    assert compute_frechet_distance(a, b) == pytest.approx(25 + 1 + 0 + 4, rel=1e-9)
    assert compute_frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


def test_foreign_reference_scipys_matrix_root() -> None:
    rng = np.random.default_rng(0)
    sides = [rng.normal(size=(5, 5)) for _ in range(2)]
    first, second = (side @ side.T + np.eye(5) for side in sides)
    means = rng.normal(size=(2, 5))
    root = scipy.linalg.sqrtm(first @ second).real
    expected = np.square(means[0] - means[1]).sum() + np.trace(first + second - 2 * root)
    found = compute_frechet_distance(make_gaussian(means[0].tolist(), first), make_gaussian(means[1].tolist(), second))
    assert found == pytest.approx(expected, rel=1e-8)


# networks


def make_weights(network: nn.Module, path: Path) -> Path:
    """Weights that keep values in range, so that a difference shows: He initialisation, statistics of any size."""
    generator = torch.Generator().manual_seed(0)
    state = network.state_dict()
    for name, value in state.items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=generator)
        elif name.endswith(".weight") and value.ndim > 2:
            value.normal_(0, (2 / value[0].numel()) ** 0.5, generator=generator)
    torch.save(state, path) if path.suffix == ".pth" else save_file(state, path)
    return path


@pytest.mark.parametrize(
    ("name", "features"), [("r3d_18", 512), ("s3d", 1024), pytest.param("mvit_v2_s", 768, marks=pytest.mark.long)]
)
def test_video_networks_give_the_features_below_their_classifier(name: str, features: int, tmp_path: Path) -> None:
    torchvision_ops.declare_missing_ops()
    import torchvision

    plain = torchvision.models.get_model(name, weights=None).eval()
    torch.save(plain.state_dict(), tmp_path / "w.pth")
    loaded = load_network(name, tmp_path / "w.pth")
    side = loaded.network.size[0]
    clips = torch.randint(0, 256, (1, 16, side, side, 3), dtype=torch.uint8)
    found = loaded.extract(clips)
    assert (found.shape, found.dtype) == ((1, features), torch.float64)
    last = [module for module in plain.modules() if isinstance(module, nn.Linear | nn.Conv3d)][-1]
    seen: list[torch.Tensor] = []
    last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    mean, std = (torch.tensor(values)[:, None, None, None] for values in (loaded.network.mean, loaded.network.std))
    with torch.no_grad():
        plain((clips.permute(0, 4, 1, 2, 3).float() / 255 - mean) / std)
    expected = seen[0].flatten(2).mean(-1) if seen[0].ndim > 2 else seen[0]
    assert torch.allclose(found.float(), expected, atol=1e-4)


def test_closed_form_fid_inception_does_not_count_padding_and_ends_with_maxima(tmp_path: Path) -> None:
    values = torch.rand(2, 3, 7, 5)
    pooled = nn.functional.avg_pool2d(values, 3, 1, 1)
    (found,) = inception._uncount_padding(nn.Identity(), (pooled,))
    expected = nn.functional.avg_pool2d(values, 3, 1, 1, count_include_pad=False)
    assert torch.allclose(found, expected, atol=1e-6)

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branch_pool = nn.Identity()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            pooled: torch.Tensor = self.branch_pool(nn.functional.avg_pool2d(x, 3, 1, 1))
            return pooled

    block = Block()
    inception._pool_by_maximum(block)
    assert torch.equal(block(values), nn.functional.max_pool2d(values, 3, 1, 1))


def test_both_inceptions_differ_and_refuse_each_others_weights(tmp_path: Path) -> None:
    torchvision_ops.declare_missing_ops()
    import torchvision

    ours = make_weights(torchvision.models.Inception3(1000, True, init_weights=False), tmp_path / "tv.safetensors")
    fid = make_weights(torchvision.models.Inception3(1008, False, init_weights=False), tmp_path / "fid.pth")
    frames = torch.randint(0, 256, (2, 1, 64, 32, 3), dtype=torch.uint8)
    features = load_network("inception-v3", ours).extract(frames), load_network("inception-v3-fid", fid).extract(frames)
    assert {each.shape for each in features} == {(2, 2048)}
    assert (features[0] - features[1]).abs().max() > 0.01
    for name, path in (("inception-v3", fid), ("inception-v3-fid", ours)):
        with pytest.raises(BenchError, match="does not hold the weights of"):
            load_network(name, path)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
def test_a_file_that_is_no_state_dict_is_refused_and_not_executed(tmp_path: Path) -> None:
    scripted = torch.jit.script(nn.Linear(2, 2))
    scripted.save(str(tmp_path / "scripted.pt"))
    torch.save(nn.Linear(2, 2), tmp_path / "module.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "text.pth").write_text("weights")
    (tmp_path / "text.safetensors").write_text("weights")
    (tmp_path / "empty.pth").write_bytes(b"")
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(BenchError) as caught:
            load_network("s3d", path)
        assert caught.value.hint, path
        assert "\n" not in caught.value.message


# over clips


def make_network(length: int = 1) -> LoadedNetwork:
    """Mean and deviation of the first and the last frame of a window."""

    class Levels(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            ends = x.flatten(2).mean(-1) if length == 1 else x[:, 0, [0, -1]].flatten(2).mean(-1)
            return torch.cat([ends, ends.square()], dim=1)

    network = FeatureNetwork("fid" if length == 1 else "fvd", lambda _: Levels(), length, (32, 32), (0,) * 3, (1,) * 3)
    return LoadedNetwork("levels", network, Levels(), "0" * 64)


def write(path: Path, levels: list[int], fps: float = 25, size: tuple[int, int] = (32, 32)) -> Path:
    write_clip(path, [np.full((*size, 3), level, np.uint8) for level in levels], fps)
    return path


def test_windows_follow_each_other_and_cross_no_break() -> None:
    clip = ClipFiles(Path("fake"), Path("real"), 20, 25, (32, 32), (9,))
    assert clip.list_windows(1, 1) == [range(t, t + 1) for t in range(20)]
    assert clip.list_windows(4, 1) == [range(0, 4), range(4, 8), range(9, 13), range(13, 17)]
    assert clip.list_windows(4, 2) == [range(0, 8, 2), range(9, 17, 2)]
    assert [list(window) for window in clip.list_windows(3, 4)] == [[0, 4, 8], [9, 13, 17]]


def test_a_name_says_clip_stride_rate_size_and_n(tmp_path: Path) -> None:
    clips = [
        ClipFiles(write(tmp_path / f"f{k}.mp4", list(range(20 + k, 140 + k, 10))),
                  write(tmp_path / f"r{k}.mp4", list(range(10, 130, 10))), 12, 25, (32, 32))
        for k in range(2)
    ]  # fmt: skip
    metrics = measure_distances(clips, [make_network(), make_network(4)])
    assert set(metrics) == {
        "fid_levels_clip1_stride1_fps25_size32x32_n24",
        "fvd_levels_clip4_stride1_fps25_size32x32_n6",
    }
    assert all(metric.value is not None and metric.value > 0 for metric in metrics.values())
    [name] = measure_distances(clips, [make_network(4)], stride=2)
    assert name == "fvd_levels_clip4_stride2_fps25_size32x32_n2"
    same = [ClipFiles(each.real, each.real, 12, 25, (32, 32)) for each in clips]
    [itself] = measure_distances(same, [make_network()]).values()
    assert itself.value == pytest.approx(0, abs=1e-6)


def test_too_few_windows_and_mixed_clips_are_null_with_the_reason(tmp_path: Path) -> None:
    def clip(name: str, n: int, fps: float = 25, size: tuple[int, int] = (32, 32)) -> ClipFiles:
        path = write(tmp_path / name, [50] * n, fps, size)
        return ClipFiles(path, path, n, fps, size)

    [(name, metric)] = measure_distances([clip("a.mp4", 5)], [make_network(4)]).items()
    assert name == "fvd_levels_clip4_stride1_fps25_size32x32_n1"
    assert metric.reason == "1 windows of 4 frames: two are needed"
    [(name, metric)] = measure_distances([clip("b.mp4", 8), clip("c.mp4", 8, fps=30)], [make_network(4)]).items()
    assert name.startswith("fvd_levels_clip4_stride1_fpsmixed")
    assert metric.reason == "the clips are of several rates: 25, 30"
    [metric] = measure_distances([clip("d.mp4", 8), clip("e.mp4", 8, size=(64, 32))], [make_network()]).values()
    assert metric.reason == "the clips are of several sizes: 32x32, 64x32"


def test_the_registry_lists_what_there_is() -> None:
    assert {"inception-v3", "inception-v3-fid", "r3d_18", "s3d", "mvit_v2_s"} <= set(FEATURE_NETWORKS.names())
