"""Do two workspaces hold the same results? For changes that must not change what is computed.

    python tests/same_results.py BEFORE AFTER

Both made by the same commands on one machine with one thread (`OMP_NUM_THREADS=1`, `--jobs 1`), one by the code
before a change and one by the code after it. Compared, exactly: weight hashes, losses of every logged step and of
every phase, hashes of fakes and reals, detectors' weights, scores of every video and pair, and all metrics with
their confidence intervals. Exit status 0 and a count where all are the same, else 1 and what differs.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

KEPT = {
    "synths/**/train.json": ("config", "phases", "weights_sha256", "trunk_sha256"),
    "synths/**/losses.jsonl": None,
    "fakes/**/*.json": ("sha256", "motion_sha256", "weights_sha256", "n_frames"),
    "reals/**/*.json": ("sha256",),
    "detectors/*/*/card.json": ("config", "weights_sha256", "thresholds", "calibration", "metrics"),
    "results/*.json": ("metrics", "per_subject", "failures"),
    "results/*.parquet": None,
}
"""Which files are compared, and which fields of a JSON; None: all of the file."""
LEFT_OUT = {"seconds", "unit", "reason"}
"""Fields that depend on the clock, and words."""


def read_results(workspace: Path) -> dict[str, Any]:
    """Everything that is compared: a name -> its value."""
    found: dict[str, Any] = {}
    for pattern, fields in KEPT.items():
        for path in sorted(workspace.glob(pattern)):
            if path.name.endswith(".poses.json"):  # of poses that were found again: the metrics tell them apart
                continue
            name = path.relative_to(workspace).as_posix()
            if path.suffix == ".parquet":
                table = pd.read_parquet(path)
                found |= {f"{name} {column}": table[column].tolist() for column in table if "reason" not in column}
            elif fields is None:
                found[name] = path.read_text(encoding="utf-8")
            else:
                document = json.loads(path.read_text(encoding="utf-8"))
                found |= {f"{name} {field}": _drop(document.get(field)) for field in fields}
    return found


def _drop(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _drop(inner) for key, inner in value.items() if key not in LEFT_OUT}
    return [_drop(inner) for inner in value] if isinstance(value, list) else value


def list_differences(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """What differs, a line each."""
    for name in sorted(before.keys() | after.keys()):
        if name not in before or name not in after:
            yield f"{name}: only {'after' if name not in before else 'before'}"
        elif not _is_same(before[name], after[name]):
            yield f"{name}: {str(before[name])[:100]} is now {str(after[name])[:100]}"


def _is_same(first: Any, second: Any) -> bool:
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(_is_same, first, second))
    if isinstance(first, float) and isinstance(second, float) and math.isnan(first):
        return math.isnan(second)
    return bool(first == second)


def main(before: str, after: str) -> int:
    """Compare, print, and give the exit status."""
    first, second = read_results(Path(before)), read_results(Path(after))
    differences = list(list_differences(first, second))
    print(*differences, f"{len(first)} results compared, {len(differences)} differ", sep="\n")
    return 1 if differences or not first else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
