"""The house: imports run only downwards, and the wheel clobbers nobody's package."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS: dict[str, tuple[set[str], ...]] = {
    "core": (
        {"environment", "errors", "progress"},
        {"files", "opencv", "registry"},
        {"schema"},
        {"artifacts", "metric", "workspace"},
        {"stats"},
        {"nn"},
    ),
    "datasets": ({"video"}, {"corpora"}, {"pose"}, {"subjects"}, {"importers", "dancers"}),
    "synth": (
        {"clip"},
        {"base", "pooled_clip"},
        {"acceleration"},
        {"gan"},
        {"methods", "training"},
        {"backgrounds"},
        {"render"},
    ),
    "detect": ({"inputs", "trunk"}, {"detectors"}, {"evaluation"}, {"protocol"}, {"casework", "shipped"}),
    "leaderboards": (
        {"record_versions", "perceptual"},
        {"records"},
        {"facts", "reference"},
        {"columns"},
        {"tables"},
        {"breakdowns", "significance"},
        {"markdown"},
        {"matrix"},
        {"site", "cards"},
        {"board"},
    ),
    "benchmark": (
        {"console", "jobs", "presets", "metrics"},
        {"views", "report", "ancestors"},
        {"runs", "casework"},
        {"corpora", "failures", "novelty", "outside", "published", "study"},
        {"commands"},
        {"cli"},
    ),
}
"""The rooms of each folder, lowest floor first: a room imports itself and lower floors, nothing up or across."""
BELOW: dict[str, set[str]] = {
    "core": set(),
    "datasets": {"core"},
    "synth": {"core", "datasets"},
    "detect": {"core", "datasets"},
    "leaderboards": {"core", "datasets"},
    "benchmark": {"core", "datasets", "synth", "detect", "leaderboards"},
}
"""The folders that each folder may import from."""
MAX_FILES = 12


def folder(name: str) -> Path:
    return ROOT / "src" / "dancebench" / "core" if name == "core" else ROOT / name


def imports(path: Path) -> set[str]:
    """Modules that a file imports, at its top or within a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def internal_imports(path: Path) -> Iterator[list[str]]:
    """The parts behind `dancebench` of each module of ours that a file imports: folder, room, …"""
    for module in imports(path):
        package, *parts = module.split(".")
        if package == "dancebench" and parts and parts[0] in FLOORS:
            yield parts


@pytest.mark.parametrize("name", FLOORS)
def test_folders_import_only_folders_below(name: str) -> None:
    files = sorted(folder(name).rglob("*.py"))
    assert files
    for path in files:
        for other, *rest in internal_imports(path):
            assert other == name or other in BELOW[name], f"{path} imports {other}.{'.'.join(rest)}"


@pytest.mark.parametrize("name", FLOORS)
def test_rooms_import_only_rooms_on_floors_below(name: str) -> None:
    floor_of = {room: floor for floor, rooms in enumerate(FLOORS[name]) for room in rooms}
    on_disk = {path.stem for path in folder(name).iterdir() if path.suffix == ".py" or any(path.glob("*.py"))}
    assert on_disk - {"__init__"} == set(floor_of), "every room has a floor, and every floor's rooms exist"
    for room, floor in floor_of.items():
        files = sorted((folder(name) / room).rglob("*.py")) or [folder(name) / f"{room}.py"]
        for path in files:
            for other, *rest in internal_imports(path):
                if other == name and rest[0] in floor_of and rest[0] != room:
                    assert floor_of[rest[0]] < floor, f"{path} imports {other}.{'.'.join(rest)}, up or across"


def test_no_room_is_crowded() -> None:
    for name in FLOORS:
        rooms = [folder(name), *(path for path in folder(name).rglob("*") if any(path.glob("*.py")))]
        for room in rooms:
            files = [path for path in room.iterdir() if path.is_file()]
            assert len(files) <= MAX_FILES, f"{room} holds {len(files)} files"
    for name in ("datasets", "detect"):
        assert {path.name for path in folder(name).glob("*.py")} <= {"__init__.py"}, (
            f"{name}/ has rooms, no flat module"
        )


def test_tests_mirror_the_folders() -> None:
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        name, *rooms = path.relative_to(ROOT / "tests").parent.parts or (None,)
        if name in FLOORS:
            assert folder(name).joinpath(*rooms).is_dir(), f"{path} mirrors no room"


def test_mediapipe_is_imported_by_its_extractors_alone() -> None:
    users = [
        path
        for name in FLOORS
        for path in folder(name).rglob("*.py")
        if any(module.split(".")[0] == "mediapipe" for module in imports(path))
    ]
    extractors = ROOT / "datasets" / "pose" / "extractors"
    assert sorted(users) == [extractors / "boxes.py", extractors / "holistic.py", extractors / "tasks.py"]


def test_nothing_is_unpickled() -> None:
    for name in FLOORS:
        for path in folder(name).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "np.load"):
                    arguments = {word.arg: ast.unparse(word.value) for word in node.keywords}
                    safe = arguments.get("weights_only") == "True" or arguments.get("allow_pickle") == "False"
                    assert safe, f"{path}:{node.lineno}"
            assert not {"pickle", "joblib", "dill"} & {module.split(".")[0] for module in imports(path)}


def test_help_needs_no_heavy_import() -> None:
    code = (
        "import sys; from dancebench.benchmark.cli import app\n"
        "heavy = {'torch', 'mediapipe', 'cv2', 'sklearn', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_wheel_holds_one_package(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"dancebench"}
    for needed in (
        "py.typed", "datasets/video/clips.py", "benchmark/cli.py", "benchmark/casework/page.html.j2",
        "leaderboards/site/assets/base.html.j2", "leaderboards/site/assets/style.css",
        "leaderboards/site/assets/tables.js", "leaderboards/published/reference.json",
        "detect/protocol/builtin/table-5.json", "benchmark/study/page/page.html", "benchmark/study/page/page.js",
        "detect/trunk/efficientnet_lite0_stages.safetensors", "detect/trunk/LICENSE", "detect/trunk/NOTICE",
        "detect/shipped/ensemble-1/card.json", "detect/shipped/ensemble-1/weights.safetensors",
        "detect/shipped/ensemble-1/sources.json", "detect/shipped/ensemble-1/CARD.md",
        "detect/shipped/ensemble-1/calibration_scores.json", "detect/shipped/ensemble-1/SHA256SUMS",
    ):  # fmt: skip
        assert f"dancebench/{needed}" in names
