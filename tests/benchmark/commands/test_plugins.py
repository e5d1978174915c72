"""Plug-ins from the outside: another distribution's method, metric, detector, rule and layout, listed and used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plugins import discover_again, write_plugin
from typer.testing import CliRunner, Result

from dancebench.benchmark import presets
from dancebench.benchmark.cli import app
from dancebench.benchmark.metrics.base import METRICS
from dancebench.core.errors import BenchError
from dancebench.core.registry import Registry
from dancebench.datasets.importers.base import IMPORTERS, ImportRequest
from dancebench.detect.detectors.base import DETECTORS
from dancebench.detect.evaluation.aggregation import AGGREGATORS
from dancebench.leaderboards.records import RunRecord
from dancebench.synth.base import METHODS

METHOD = '''
from typing import ClassVar
import numpy as np
from dancebench.synth.base import METHODS, Method, SynthConfig

class StillConfig(SynthConfig):
    level: int = 90

@METHODS.register("acme-still")
class Still(Method):
    """One grey level."""

    Config: ClassVar[type[SynthConfig]] = StillConfig
    section: ClassVar[str] = "none"

    def __init__(self, config, clip, device):
        super().__init__(config, clip, device)
        self.level = config.level

    def weights(self):
        return {}

    def load_weights(self, weights):
        pass

    def render(self, motion):
        for _ in motion.keypoints:
            yield np.full((*self.clip.size, 3), self.level, np.uint8)
'''
LEARNED_METHOD = '''
from dancebench.synth.base import METHODS
from dancebench.synth.methods.fbf import FrameByFrame

@METHODS.register("acme-gan")
class Acme(FrameByFrame):
    """A method that needs memory of its own."""

    def __init__(self, config, clip, device):
        raise RuntimeError("no meta device")
'''
METRIC = """
import numpy as np
from dancebench.benchmark.metrics.base import METRICS, MetricInfo

@METRICS.register_image("acme_mae", MetricInfo("share of the range", False), regions=["body"])
def mean_absolute_error(fake, real):
    return (fake - real).abs().mean(dim=(1, 2, 3))

def explain():
    return "no licence"

@METRICS.register_image("acme_absent", MetricInfo("none", True), regions=["frame"], explain_absence=explain)
def absent(fake, real):
    raise AssertionError("it is never called")
"""
DETECTOR = '''
from pathlib import Path
from typing import ClassVar
import numpy as np
from safetensors.numpy import load_file, save_file
from dancebench.core.files import atomic_path
from dancebench.detect.detectors.base import DETECTORS, Detector, DetectorConfig

class BrightConfig(DetectorConfig):
    gain: float = 1.0

@DETECTORS.register("acme-bright")
class Bright(Detector):
    """How bright a pair is."""

    Config: ClassVar[type[DetectorConfig]] = BrightConfig
    centre = 0.0

    def fit(self, pool, state, report):
        windows, labels = pool.draw_batch(16, np.random.default_rng(self.config.seed))
        self.centre = float(windows.mean())

    def logits(self, pairs):
        return (self.config.gain * (pairs.mean(axis=(1, 2, 3, 4)) - self.centre)).astype(np.float32)

    @property
    def parameters(self):
        return 1

    def save(self, folder):
        with atomic_path(folder / self.WEIGHTS) as path:
            save_file({"centre": np.array([self.centre], np.float32)}, path)

    @classmethod
    def load(cls, folder, config, device="cpu"):
        detector = cls(config, device)
        detector.centre = float(load_file(folder / cls.WEIGHTS)["centre"][0])
        return detector
'''
HALF_DETECTOR = DETECTOR.replace("def logits", "def logit").replace("acme-bright", "acme-half")
AGGREGATOR = '''
import numpy as np
from dancebench.detect.evaluation.aggregation import AGGREGATORS

@AGGREGATORS.register("acme-quantile")
def quantile(logits, *, q: float = 0.5) -> float:
    """A quantile of the logits."""
    return float(np.quantile(logits, q))
'''
IMPORTER = '''
from dataclasses import replace
from dancebench.core.errors import BenchError
from dancebench.datasets.importers.base import IMPORTERS

@IMPORTERS.register("acme-layout")
def import_acme(request):
    """A layout with a person in it."""
    raise BenchError(f"{request.folder.name} was read by acme.", hint="It is a test.")
'''
KINDS: dict[str, tuple[Registry[Any], str, str, str]] = {
    "methods": (METHODS, "method", "acme-still", METHOD),
    "metrics": (METRICS, "metric", "body_acme_mae", METRIC),
    "detectors": (DETECTORS, "detector", "acme-bright", DETECTOR),
    "aggregators": (AGGREGATORS, "aggregator", "acme-quantile", AGGREGATOR),
    "layouts": (IMPORTERS, "layout", "acme-layout", IMPORTER),
}
Install = Callable[[str], None]


def bench(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """`install(kind)` or `install(kind, source)`: a distribution `acme_KIND` 1.0 that offers one of `KINDS`."""
    monkeypatch.setattr(presets, "PRESETS", {"tiny": presets.PRESETS["tiny"]})  # whose networks are built
    for registry, *_ in KINDS.values():
        registry.names()  # what is built in, before a plug-in can be found
    folder = tmp_path / "site"
    folder.mkdir()

    def install_one(kind: str, source: str = "", name: str = "") -> None:
        registry, _, _, standard = KINDS[kind]
        write_plugin(folder, name or f"acme_{kind}", registry._group, source or standard)
        discover_again(registry, folder, monkeypatch)

    return install_one


@pytest.fixture
def workspace(tiny_demo: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_demo, tmp_path / "workspace"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_plugin_is_listed_with_its_distribution(install: Install, kind: str) -> None:
    install(kind)
    _, column, name, _ = KINDS[kind]
    rows = {row[column]: row for row in json.loads(bench("list", kind, "--json").stdout)}
    assert rows[name]["from"] == f"acme_{kind} 1.0"
    others = {row["from"] for other, row in rows.items() if "acme" not in other}
    assert others - {"your own code"} == {"built in"}  # how a factory of one's own is named, among the detectors
    assert "from" in bench("list", kind).stdout


@pytest.mark.parametrize("kind", KINDS)
def test_a_plugin_that_raises_is_a_line_and_the_rest_is_listed(
    install: Install, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    install(kind, KINDS[kind][3] + "\nraise OSError('no such camera')\n")
    result = bench("list", kind, "--json")
    assert result.exit_code == 0
    [warning] = [line for line in result.stderr.splitlines() if "warning" in line]
    assert f"the plug-in 'acme_{kind}' ({KINDS[kind][0]._group}) of acme_{kind} 1.0 is left out" in warning
    assert "no such camera" in warning
    assert "Traceback" not in result.output
    assert "acme" not in result.stdout


def test_a_method_and_a_metric_of_others_are_measured_and_ranked(install: Install, workspace: Path) -> None:
    install("methods")
    install("metrics")
    result = bench(
        "synth", "--dataset", "demo-tiny", "--subject", "1", "--method", "acme-still", "--preset", "tiny",
        "--set", "acme-still.level=120", "--workspace", workspace, "--jobs", "1", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    record = RunRecord.model_validate(json.loads(result.stdout))
    metric = record.metrics["body_acme_mae"]
    assert metric.value is not None
    assert 0 < metric.value < 1
    assert (metric.unit, metric.higher_is_better) == ("share of the range, frames", False)
    assert record.metrics["frame_acme_absent"].reason == "no licence"
    page = (workspace / "leaderboards" / "synthesis.md").read_text()
    assert "### Other metrics" in page
    assert "| row | body_acme_mae ↓ | frame_acme_absent ↑ |" in page


def test_a_detector_and_a_rule_of_others_are_trained_scored_and_ranked(install: Install, workspace: Path) -> None:
    install("detectors")
    install("aggregators")
    result = bench(
        "detect", "--holdout", "--dataset", "demo-tiny", "--preset", "tiny", "--detector", "acme-bright",
        "--aggregator", "acme-quantile", "--set", "acme-quantile.q=0.25", "--set", "acme-bright.gain=0.5",
        "--workspace", workspace, "--jobs", "1", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    record = RunRecord.model_validate(json.loads(result.stdout))
    assert record.metrics["video_auc"].value is not None
    assert "video_auc@rule=acme-quantile" in record.metrics
    [folder] = (workspace / "detectors" / "acme-bright").iterdir()
    card = json.loads((folder / "card.json").read_text())
    assert (card["aggregator"], card["config"]["gain"]) == ("acme-quantile(q=0.25)", 0.5)
    assert "acme-bright" in (workspace / "leaderboards" / "detection.md").read_text()
    fake = workspace / "fakes/fbf-ts/demo-tiny/holdout01/tiny-s0/holdout01.mp4"
    scored = bench("score", fake, "--detector", "acme-bright", "--workspace", workspace, "--format", "json")
    assert scored.exit_code == 0, scored.output
    [video] = json.loads(scored.stdout)["videos"]
    assert (video["status"], video["llr"] is None) == ("abstained", False)
    assert any("only ever seen drawn people" in reason for reason in video["abstained_because"])


def test_a_layout_of_others_is_read(install: Install, tmp_path: Path) -> None:
    install("layouts")
    with pytest.raises(BenchError, match="person7 was read by acme"):
        IMPORTERS["acme-layout"](ImportRequest(tmp_path / "person7"))
    result = bench(
        "data", "import", tmp_path / "person7", "--layout", "acme-layout", "--subject", "a", "--licence", "MIT",
        "--consent", "yes", "--workspace", tmp_path / "workspace",
    )  # fmt: skip
    assert "person7 was read by acme" in result.output


def test_a_detector_without_logits_is_named_with_what_it_lacks(install: Install, workspace: Path) -> None:
    install("detectors", HALF_DETECTOR)
    rows = {row["detector"]: row for row in json.loads(bench("list", "detectors", "--json").stdout)}
    assert rows["acme-half"]["what"] == "cannot be used: it lacks logits"
    assert rows["pair-patch"]["defaults"]["steps"] > 0
    result = bench(
        "detect", "--holdout", "--dataset", "demo-tiny", "--preset", "tiny", "--detector", "acme-half",
        "--workspace", workspace,
    )  # fmt: skip
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert "error: The detector 'acme-half' of acme_detectors 1.0 cannot be used: it lacks logits." in lines
    assert sum(line.startswith("hint:") for line in lines) == 1


def test_a_method_that_is_no_method_is_named(install: Install) -> None:
    install("methods", "from dancebench.synth.base import METHODS\n@METHODS.register('acme-none')\nclass None_: ...\n")
    with pytest.raises(BenchError, match="it lacks the base class Method"):
        METHODS["acme-none"]
    rows = {row["method"]: row for row in json.loads(bench("list", "methods", "--json").stdout)}
    assert rows["acme-none"]["section"] == "cannot be used: it lacks the base class Method"


def test_a_method_whose_networks_cannot_be_built_is_named(install: Install) -> None:
    install("methods", LEARNED_METHOD)
    result = bench("list", "methods", "--json")
    assert result.exit_code == 0
    rows = {row["method"]: row for row in json.loads(result.stdout)}
    assert rows["acme-gan"]["section"] == "its networks cannot be built: RuntimeError: no meta device"
    assert rows["acme-gan"]["parameters"] is None
    assert "acme-gan" in bench("list", "methods").stdout


def test_of_two_with_one_name_the_built_in_is_listed(install: Install) -> None:
    install("aggregators", AGGREGATOR.replace("acme-quantile", "median"))
    result = bench("list", "aggregators", "--json")
    rows = {row["aggregator"]: row for row in json.loads(result.stdout)}
    assert rows["median"]["from"] == "built in"
    assert "two aggregators are named 'median': the built-in one is used" in result.stderr
    assert "that of acme_aggregators 1.0 is not" in result.stderr


@pytest.mark.parametrize(
    ("signature", "missing"),
    [
        ("def rule(logits, *, q): ...", "a default of its option 'q'"),
        ("def rule(logits, *, q: Nowhere = 1): ...", "a signature that can be read"),
        ("def rule(logits, *, q: type('Odd', (), {}) = 1): ...", "a type of its option 'q' that can be checked"),
    ],
)
def test_a_rule_whose_options_cannot_be_set_is_named(install: Install, signature: str, missing: str) -> None:
    header = "from __future__ import annotations\nfrom dancebench.detect.evaluation.aggregation import AGGREGATORS\n"
    install("aggregators", f"{header}@AGGREGATORS.register('acme-rule')\n{signature}\n")
    with pytest.raises(BenchError, match=missing):
        AGGREGATORS["acme-rule"]
    assert "acme-rule" not in AGGREGATORS.entries()


def test_a_metric_that_gives_too_few_values_is_named(install: Install) -> None:
    from dancebench.benchmark.metrics.chunks import FakeAndReal
    from dancebench.benchmark.metrics.image import measure_images

    install("metrics", METRIC.replace("dim=(1, 2, 3)", ""))
    frames = np.zeros((4, 64, 48, 3), np.uint8)
    points = np.ones((4, 75, 3), np.float32) * np.array([20, 30, 1], np.float32)
    with pytest.raises(BenchError, match="'body_acme_mae' gives 1 values for 4 images"):
        measure_images(FakeAndReal(frames, frames, points))
