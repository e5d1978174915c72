"""`bench doctor`: what this machine has, and what is missing for which command."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from dancebench.benchmark.commands.options import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption
from dancebench.benchmark.console import out, print_json
from dancebench.core.environment import (
    describe_opencv_conflict,
    find_missing_system_libraries,
    find_opencv_distributions,
    suggest_opencv,
)  # fmt: skip
from dancebench.core.errors import first_line

Status = Literal["ok", "missing", "broken"]
_LIBRARIES: Final = {
    "torch": "torch", "torchvision": "torchvision", "torchmetrics": "torchmetrics", "lpips": "lpips", "timm": "timm",
    "scikit-learn": "sklearn", "skops": "skops", "av": "av", "numpy": "numpy",
    "pandas": "pandas", "pyarrow": "pyarrow", "matplotlib": "matplotlib",
}  # fmt: skip
"""Distributions without which commands do not run, and the module of each."""
_OPTIONAL: Final = {
    "decord": ("decord", "nothing: PyAV reads in its place, scattered frames more slowly"),
    "c2pa-python": ("c2pa", "score: content credentials are not checked"),
    "onnx": ("onnx", "detect and score with onnx:FILE, detect --export onnx"),
    "onnxruntime": ("onnxruntime", "detect and score with onnx:FILE"),
    "onnxscript": ("onnxscript", "detect --export onnx"),
    "tensorboard": ("tensorboard", "synth --tensorboard"),
}
"""Distributions that some commands do without: the module, and what is lost."""
_DECODERS: Final = ("h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg", "gif")
_LEAST_DISK: Final = 2 * 2**30
"""Bytes that `bench demo` and a few datasets need."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        topic: Heading that it belongs under.
        name: What it is.
        status: `ok`; `missing`: not there; `broken`: there and unusable.
        found: What was found, in a few words.
        needed_for: What does not work without it; empty where it is there.
        hint: What to do about it; empty where nothing need be done.
    """

    topic: str
    name: str
    status: Status
    found: str
    needed_for: str = ""
    hint: str = ""


def doctor(workspace: WorkspaceOption = DEFAULT_WORKSPACE, json: JsonOption = False) -> None:
    """Say what this machine has, and what is missing for which command; downloads and writes nothing.

    [dim]Examples: bench doctor · bench doctor --json[/]
    """
    checks = list_checks(workspace)
    if json:
        print_json([asdict(check) for check in checks])
    else:
        out.print(_make_table(checks))
    if any(check.status == "broken" for check in checks):
        raise typer.Exit(1)


def list_checks(workspace: Path) -> list[Check]:
    """Everything that is looked at, in the order in which it is shown."""
    return [
        *_check_machine(workspace),
        _check_system_libraries(),
        *(_check_library(name, module, "every command", required=True) for name, module in _LIBRARIES.items()),
        _check_opencv(),
        *(_check_library(name, module, lost, required=False) for name, (module, lost) in _OPTIONAL.items()),
        *_check_extractors(),
        *_check_codecs(),
        *_check_weights(),
    ]


# ---------------------------------------------------------------- machine


def _check_machine(workspace: Path) -> list[Check]:
    import psutil

    import dancebench

    memory = psutil.virtual_memory()
    python = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return [
        Check("machine", "dancebench", "ok", dancebench.__version__),
        Check("machine", "Python", "ok", python),
        Check("machine", "cores", "ok", str(os.cpu_count() or 1)),
        Check("machine", "memory", "ok", f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free"),
        _check_disk(workspace),
        _check_gpu(),
    ]


def _check_disk(workspace: Path) -> Check:
    """Room and permission where the workspace is, or would be made."""
    place = workspace.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    found = f"{free / 2**30:.1f} GiB free at {place}"
    if not os.access(place, os.W_OK):
        return Check("machine", "disk", "broken", f"{place} may not be written", "every command", "Choose --workspace.")
    if free < _LEAST_DISK:
        hint = "Free some space, or choose another --workspace."
        return Check("machine", "disk", "broken", found, "demo, synth, detect", hint)
    return Check("machine", "disk", "ok", found)


def _check_gpu() -> Check:
    import torch  # slow to import; everything else here is quick

    if torch.cuda.is_available():
        total = torch.cuda.get_device_properties(0).total_memory / 2**30
        return Check(
            "machine", "GPU", "ok", f"{torch.cuda.get_device_name()}, {total:.0f} GiB, CUDA {torch.version.cuda}"
        )
    lost = "presets paper and paper-global take days without; the others are made for CPUs"
    return Check("machine", "GPU", "missing", "no CUDA device that torch can use", lost)


def _check_system_libraries() -> Check:
    """The shared libraries that the wheels do not bring."""
    missing = find_missing_system_libraries()
    if not missing:
        return Check("machine", "system libraries", "ok", "none missing")
    hint = f"apt-get install {' '.join(sorted(missing.values()))} (Debian, Ubuntu)"
    return Check("machine", "system libraries", "broken", f"no {', '.join(missing)}", "every command with poses", hint)


# ---------------------------------------------------------------- libraries and codecs


def _check_library(name: str, module: str, lost: str, *, required: bool) -> Check:
    """Whether a library is installed and its import works."""
    topic = "libraries" if required else "optional libraries"
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        status: Status = "broken" if required else "missing"
        return Check(topic, name, status, "not installed", lost, f"pip install {name}")
    try:
        if module == "cv2":
            from dancebench.core.opencv import cv2  # noqa: F401  its error says what is missing
        elif importlib.util.find_spec(module) is None:
            raise ImportError("its module is not there")
    except Exception as error:
        reason = first_line(error)
        return Check(
            topic, name, "broken", f"{version}, does not load: {reason}", lost, getattr(error, "hint", None) or ""
        )
    return Check(topic, name, "ok", version)


def _check_extractors() -> list[Check]:
    """Which pose extractors can run; the default is marked."""
    from dancebench.datasets.pose.extractors.base import EXTRACTORS, find_default_extractor

    default = find_default_extractor()
    lost = "" if default else "data add, demo without --poses truth, score --person-crop, pose-jitter, typicality"
    checks = []
    for name, extractor in EXTRACTORS.entries().items():
        reason = extractor.explain_absence()
        if extractor.priority is None:
            continue
        if reason is not None:
            needed = lost or f"nothing: poses come from {default}"
            checks.append(Check("pose extractors", name, "missing", reason, needed))
        else:
            said = extractor.describe() + (" (the default)" if name == default else "")
            checks.append(Check("pose extractors", name, "ok", said))
    return checks


def _check_opencv() -> Check:
    """The one distribution of OpenCV, or why there is a choice to make."""
    for cause, hint in describe_opencv_conflict():
        return Check("libraries", "OpenCV", "broken", cause, "every command", hint)
    name = next(iter(find_opencv_distributions()), suggest_opencv())
    return _check_library(name, "cv2", "every command", required=True)


def _check_codecs() -> list[Check]:
    """The encoder that writes every clip, and the decoders of what comes from outside."""
    import av

    encoder = "libx264" in av.codecs_available
    missing = [name for name in _DECODERS if name not in av.codecs_available]
    version = ".".join(map(str, av.library_versions["libavcodec"]))
    return [
        Check("codecs", "encoder", "ok", f"libx264, libavcodec {version}")
        if encoder
        else Check("codecs", "encoder", "broken", "no libx264", "every command that writes a clip", "pip install av"),
        Check("codecs", "decoders", "ok", ", ".join(_DECODERS))
        if not missing
        else Check(
            "codecs", "decoders", "missing", f"no {', '.join(missing)}", "score, data add: such files are refused"
        ),
    ]


# ---------------------------------------------------------------- weights


def _check_weights() -> list[Check]:
    """Pretrained trunks at hand; nothing is downloaded to look."""
    from dancebench.core.nn.trunks import TRUNKS, TrunkUnavailableError, find_trunk_file

    uses = {
        "squeeze": "LPIPS columns are null; synth --trunk squeeze trains without",
        "alex": "LPIPS of AlexNet is null",
        "vgg19": "preset small and the paper's train without a perceptual loss, unless it can be downloaded",
    }
    checks = []
    for name in TRUNKS:
        try:
            _, sha256 = find_trunk_file(name, download=False)
            checks.append(Check("pretrained weights", name, "ok", f"SHA-256 {sha256[:12]}…"))
        except TrunkUnavailableError as error:
            place = os.environ.get("BENCH_WEIGHTS") or "BENCH_WEIGHTS (not set)"
            wrong = "is not the" in error.message
            status: Status = "broken" if wrong else "missing"
            found = error.message if wrong else f"not in {place} nor in the torch hub cache"
            checks.append(Check("pretrained weights", name, status, found, uses.get(name, ""), error.hint or ""))
    return checks


# ---------------------------------------------------------------- what is shown


def _make_table(checks: list[Check]) -> Table:
    """One screen: what is there in a line a topic's row, what is not with what it costs and what to do.

    What several missing things of a topic have in common is said once: why above the first, what to do below the last.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("", "what", "found"):
        table.add_column(title, no_wrap=title != "found")
    topic = ""
    shown = _merge_ok(checks)
    for before, check, after in zip([None, *shown], shown, [*shown[1:], None], strict=False):
        if check.topic != topic:
            topic = check.topic
            table.add_row("", Text(topic, style="bold"), "")
        mark = {"ok": Text("ok", style="green"), "missing": Text("–", style="yellow"), "broken": Text("✗", style="red")}
        words = [
            "" if before is not None and _is_missing_alike(before, check, "found") else check.found,
            f"without: {check.needed_for}" if check.needed_for else "",
            "" if after is not None and _is_missing_alike(check, after, "hint") else check.hint,
        ]
        table.add_row(mark[check.status], Text(check.name), Text("\n".join(filter(None, words))))
    return table


def _is_missing_alike(one: Check, other: Check, field: Literal["found", "hint"]) -> bool:
    """Whether both are missing, of one topic, and the same is said of them there."""
    alike = one.topic == other.topic and getattr(one, field) == getattr(other, field)
    return alike and one.status == other.status == "missing"


def _merge_ok(checks: list[Check]) -> list[Check]:
    """The required libraries that are there in one row; everything else as it is."""
    fine = [check for check in checks if check.topic == "libraries" and check.status == "ok"]
    rest = [check for check in checks if check not in fine]
    others = any(check.topic == "libraries" for check in rest)
    merged = Check("libraries", "all others" if others else "all", "ok",
                   ", ".join(f"{check.name} {check.found}" for check in fine))  # fmt: skip
    place = next((k for k, check in enumerate(rest) if check.topic not in ("machine", "libraries")), len(rest))
    return [*rest[:place], *([merged] if fine else []), *rest[place:]]
