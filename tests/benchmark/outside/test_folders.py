"""`bench measure`: two folders in, a record out; equal to what plain libraries compute, and nothing dropped."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from click.testing import Result
from conftest import picture_of, waving
from extractors import StubExtractor
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from typer.testing import CliRunner

from dancebench.benchmark.cli import app
from dancebench.benchmark.metrics import perceptual
from dancebench.benchmark.outside import folders
from dancebench.benchmark.outside.pairing import describe_differences, list_clips
from dancebench.core.errors import BenchError
from dancebench.datasets.video.clips import VideoReader, write_clip
from dancebench.leaderboards.records import RunRecord, load_runs
from dancebench.leaderboards.tables import group_sections

SIZE = (96, 64)
N = 6


def draw(seed: int = 0) -> list[npt.NDArray[np.uint8]]:
    noise = np.random.default_rng(seed)
    return [
        np.clip(picture_of(waving(t, SIZE), SIZE) + noise.normal(0, 9, (*SIZE, 3)), 0, 255).astype(np.uint8)
        for t in range(N)
    ]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two people, each in a folder of their own, and a fake of each; poses are known."""
    for k, name in enumerate(("anna/walk.mp4", "ben/turn.mp4")):
        write_clip(tmp_path / "reals" / name, draw(k), 25)
        write_clip(tmp_path / "fakes" / name, draw(k + 10), 25)

    def extract(frames: object) -> object:
        return (waving(t, SIZE) for t, _ in enumerate(frames))  # type: ignore[arg-type, var-annotated]

    monkeypatch.setattr(folders, "open_extractor", lambda _: StubExtractor(extract))  # type: ignore[arg-type]
    monkeypatch.setattr(folders, "find_default_extractor", lambda: "stub")
    return tmp_path


def measure(root: Path, *more: object, reals: str = "reals", fakes: str = "fakes") -> Result:
    arguments = ["measure", root / reals, root / fakes, "--jobs", 1, "--workspace", root / "ws", *more]
    return CliRunner().invoke(app, list(map(str, arguments)))


def read_record(root: Path) -> RunRecord:
    [record] = load_runs(root / "ws/results")[0]
    return record


def list_files(root: Path) -> list[Path]:
    return sorted(path for folder in ("reals", "fakes") for path in (root / folder).rglob("*"))


def test_closed_form_a_folder_against_itself(root: Path, trunk_weights: Path) -> None:
    result = measure(root, "--name", "itself", fakes="reals")
    assert result.exit_code == 0, result.output
    metrics = read_record(root).metrics
    for region in ("frame", "body", "face"):
        assert metrics[f"{region}_ssim"].value == pytest.approx(1, abs=1e-6)
        assert metrics[f"{region}_l1"].value == 0
        assert metrics[f"{region}_lpips_squeeze"].value == pytest.approx(0, abs=1e-7)
        assert metrics[f"{region}_psnr"].value is None
        reason = metrics[f"{region}_psnr"].reason
        assert reason == "no frame shows the region, or fake and real are equal there: infinite"
    assert metrics["frame_ssim_valid"].value == pytest.approx(1, abs=1e-12)
    assert (metrics["pose_distance"].value, metrics["pose_missed"].value) == (0, 0)
    assert metrics["background_flicker_excess"].value == 0


def load_plain_lpips(trunk: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., torch.Tensor]:
    """The lpips package as anyone calls it, its trunk in the hub cache where it looks for it."""
    import lpips
    import torchvision

    features = torch.load(trunk / "squeezenet1_1_features.pth", weights_only=True)
    whole = torchvision.models.squeezenet1_1(weights=None)
    whole.features.load_state_dict({name.removeprefix("features."): value for name, value in features.items()})
    checkpoints = cache / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    torch.save(whole.state_dict(), checkpoints / "squeezenet1_1-b8a52dc0.pth")
    monkeypatch.setenv("TORCH_HOME", str(cache))
    loaded: Callable[..., torch.Tensor] = lpips.LPIPS(net="squeeze", verbose=False)
    return loaded


def test_foreign_reference_scikit_image_and_lpips_called_plainly(
    root: Path, trunk_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = measure(root)
    assert result.exit_code == 0, result.output
    record = read_record(root)
    distance = load_plain_lpips(trunk_weights, root / "cache", monkeypatch)
    per_person: dict[str, list[float]] = {name: [] for name in ("ssim_valid", "psnr", "l1", "lpips_squeeze")}
    for name in ("anna/walk.mp4", "ben/turn.mp4"):
        real, fake = (VideoReader(root / folder / name).read(range(N)) for folder in ("reals", "fakes"))
        tensors = [torch.from_numpy(clip).permute(0, 3, 1, 2).float() / 127.5 - 1 for clip in (fake, real)]
        found = {
            "ssim_valid": [
                structural_similarity(
                    a, b, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
                )
                for a, b in zip(real, fake, strict=True)
            ],
            "psnr": [peak_signal_noise_ratio(a, b, data_range=255) for a, b in zip(real, fake, strict=True)],
            "l1": [np.abs(a / 255 - b / 255).mean() for a, b in zip(real, fake, strict=True)],
            "lpips_squeeze": [float(value) for value in distance(*tensors).detach().flatten()],
        }
        for metric, values in found.items():
            per_person[metric].append(float(np.mean(values)))
    for metric, means in per_person.items():
        assert record.metrics[f"frame_{metric}"].value == pytest.approx(np.mean(means), abs=1e-5), metric
        assert record.per_subject["ben"][f"frame_{metric}"] == pytest.approx(means[1], abs=1e-5), metric


def test_a_run_is_recorded_by_person_and_nothing_is_written_into_the_folders(root: Path) -> None:
    before = list_files(root)
    assert measure(root).exit_code == 0
    assert list_files(root) == before
    record = read_record(root)
    assert (record.entry.name, record.entry.preset, record.data.dataset) == ("fakes", "measured", "reals")
    assert sorted(record.per_subject) == ["anna", "ben"]
    interval = record.metrics["body_ssim"].ci95
    assert interval is not None
    assert interval.subjects == 2
    for name in ("fid", "fid_vid", "fvd"):
        assert record.metrics[name].reason == "no network was named: --network NAME=FILE"
    assert measure(root).exit_code == 0  # again: the same run, replaced
    assert read_record(root).metrics == record.metrics
    assert measure(root, "--name", "others").exit_code == 0
    [section] = group_sections(load_runs(root / "ws/results")[0], "synthesis")
    assert {row.record.entry.name for row in section.rows} == {"fakes", "others"}


def test_without_folders_of_people_there_is_no_interval(root: Path) -> None:
    for folder in ("reals", "fakes"):
        for path in list((root / folder).rglob("*.mp4")):
            shutil.move(path, root / folder / path.name)
            path.parent.rmdir()
    assert measure(root).exit_code == 0
    record = read_record(root)
    assert sorted(record.per_subject) == ["turn", "walk"]
    assert all(metric.ci95 is None for metric in record.metrics.values())
    assert "who is seen is not known" in record.entry.facts.remarks[0]


def test_poses_off_measures_the_frame_alone(root: Path) -> None:
    assert measure(root, "--poses", "off").exit_code == 0
    metrics = read_record(root).metrics
    assert metrics["frame_ssim"].value is not None
    assert metrics["body_ssim"].value is None
    assert metrics["pose_distance"].reason == "poses were not looked for (--poses off)"


def test_pairs_that_do_not_match_are_failures_and_hide_the_mean(root: Path) -> None:
    blank = np.zeros((*SIZE, 3), np.uint8)
    broken = {
        "short": ([blank] * (N - 1), 25, "the fake has 5 frames, not 6."),
        "small": ([blank[:64]] * N, 25, "the fake has 64x64 pixels (height x width), not 96x64."),
        "slow": ([blank] * N, 12.5, "the fake has 12.5 frames per second, not 25."),
    }
    for name, (frames, fps, _) in broken.items():
        write_clip(root / "reals" / "cleo" / f"{name}.mp4", draw(), 25)
        write_clip(root / "fakes" / "cleo" / f"{name}.mp4", frames, fps)
    write_clip(root / "reals" / "dora" / "gone.mp4", draw(), 25)
    write_clip(root / "reals" / "dora" / "damaged.mp4", draw(), 25)
    (root / "fakes" / "dora").mkdir()
    (root / "fakes" / "dora" / "damaged.mp4").write_bytes(b"no video")
    write_clip(root / "fakes" / "extra.mp4", draw(), 25)
    (root / "fakes" / "notes.txt").write_text("notes")
    result = measure(root)
    assert result.exit_code == 0, result.output
    assert "passed over (no video): 1:" in result.stderr
    record = read_record(root)
    found = {failure.item: failure.reason for failure in record.failures}
    assert set(found) == {"cleo/short", "cleo/small", "cleo/slow", "dora/gone", "dora/damaged", "extra"}
    for name, (_, _, says) in broken.items():
        assert found[f"cleo/{name}"] == says
    assert (found["dora/gone"], found["extra"]) == ("it has no fake", "it has no real")
    assert all(f"failed  {name}: " in result.stderr for name in found)
    assert (record.data.n_original, record.data.n_effective) == (8, 2)
    assert sorted(record.per_subject) == ["anna", "ben", "cleo", "dora"]
    assert record.metrics["body_ssim"].reason == "5 of 7 clips could not be measured (see failures)"
    assert record.metrics["body_ssim@clips=measured"].value is not None


def test_rates_that_differ_by_rounding_are_the_same() -> None:
    assert not describe_differences((9, 30000 / 1001, SIZE), (9, 30, SIZE))
    assert not describe_differences((9, None, SIZE), (9, 30, SIZE))
    assert describe_differences((9, 29, SIZE), (9, 30, SIZE)) == ["29 frames per second, not 30"]


def test_bad_folders_and_names_are_refused(root: Path) -> None:
    (root / "empty").mkdir()
    (root / "twice").mkdir()
    for suffix in ("mp4", "mkv"):
        (root / "twice" / f"a.{suffix}").write_bytes(b"")
    for result, says in (
        (measure(root, fakes="nowhere"), "nowhere is not a folder."),
        (measure(root, fakes="empty"), "empty holds no clip."),
        (measure(root, fakes="twice"), "holds two clips of the name 'a': a.mkv and a.mp4."),
        (measure(root, "--name", "fbf"), "'fbf' is a method of this release."),
        (measure(root, "--name", "a b"), "'a b' cannot be the name of a synthesizer."),
        (measure(root, "--network", f"vgg={root}/w.pth"), "Unknown feature network 'vgg'."),
        (measure(root, "--network", f"s3d={root}/w.pth"), "w.pth does not exist."),
    ):
        assert result.exit_code == 1, result.output
        assert says in " ".join(result.stderr.split())
        assert "hint:" in result.stderr
    assert measure(root, "--stride", "2").exit_code == 2
    assert measure(root, "--network", "s3d").exit_code == 2
    assert not list((root / "ws").glob("results/*"))


def test_clips_smaller_than_a_window_are_a_failure(tmp_path: Path) -> None:
    write_clip(tmp_path / "reals/a.mp4", [np.zeros((16, 16, 3), np.uint8)] * 3, 25)
    result = measure(tmp_path, "--poses", "off", fakes="reals")
    assert result.exit_code == 1
    assert "None of the 1 clips could be measured; a: the clips have 16x16 pixels." in " ".join(result.stderr.split())


def test_people_are_the_folders_of_the_clips(tmp_path: Path) -> None:
    for name in ("anna/a.mp4", "anna/day2/b.MOV", "ben/c.avi"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    folder = list_clips(tmp_path)
    assert folder.people == {"anna/a": "anna", "anna/day2/b": "anna", "ben/c": "ben"}
    (tmp_path / "alone.mp4").write_bytes(b"")
    assert list_clips(tmp_path).people is None
    with pytest.raises(BenchError, match="is not a folder"):
        list_clips(tmp_path / "alone.mp4")


def test_lpips_is_null_with_its_reason_without_the_trunk(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(root))
    monkeypatch.delenv("BENCH_WEIGHTS", raising=False)
    perceptual.load_lpips.cache_clear()
    assert measure(root).exit_code == 0
    assert "not in BENCH_WEIGHTS" in (read_record(root).metrics["frame_lpips_squeeze"].reason or "")
