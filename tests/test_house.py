"""The house: imports run only downwards, and the wheel clobbers nobody's package."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = {"core": 0, "datasets": 1, "synth": 2, "detect": 2, "leaderboards": 2, "benchmark": 3}


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


@pytest.mark.parametrize("name", FLOORS)
def test_imports_run_only_downwards(name: str) -> None:
    files = sorted(folder(name).rglob("*.py"))
    assert files
    for path in files:
        for module in imports(path):
            parts = module.split(".")
            if parts[0] != "dancebench" or len(parts) < 2 or parts[1] not in FLOORS:
                continue
            other = parts[1]
            assert other == name or FLOORS[other] < FLOORS[name], f"{path} imports {module}"


def test_mediapipe_is_imported_in_one_place() -> None:
    users = [
        path
        for name in FLOORS
        for path in folder(name).rglob("*.py")
        if any(module.split(".")[0] == "mediapipe" for module in imports(path))
    ]
    assert users == [ROOT / "datasets" / "pose" / "holistic.py"]


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
        "leaderboards/published/reference.json",
    ):  # fmt: skip
        assert f"dancebench/{needed}" in names
