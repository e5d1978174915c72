"""Records of version 1: facts from the dictionary of notes that they held.

In: `entry.notes`, names to text, numbers or null. Out: the fields of `records.Facts`. A note that has no field,
or whose value does not fit it, is kept as a remark; one that marked the row is a warning.
"""

from __future__ import annotations

import re
from typing import Any, Final

Notes = dict[str, Any]

_SYNTHESIS: Final[dict[str, type]] = {
    "perceptual_trunk": str,
    "perceptual_trunk_reason": str,
    "precision": str,
    "training_seeds": int,
    "seed_spread": str,
}
_DETECTION: Final[dict[str, type]] = {"aggregator": str, "weights_from": str}
_FAKES_NAMED: Final = re.compile(r"(?P<method>\S+), preset (?P<preset>\S+)")
_QUALITY: Final = "fakes_body_ssim"
_MARKING: Final = ("warning", "flag")
_SENTENCES: Final = ("warning_", "flag_", "remark_")  # beginnings that say nothing by themselves
_UNMEASURED: Final = "not measured: "
_NO_THRESHOLDS: Final = "none, since "
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def read_notes(notes: Notes, kind: str) -> dict[str, Any]:
    """The fields of a record's facts.

    Args:
        notes: Of a record of version 1.
        kind: Of its run.
    """
    left = dict(notes)
    facts: dict[str, Any] = {"kind": kind, "frame_size": _take(left, "frame_size", str)}
    if kind == "synthesis":
        facts |= {key: _take(left, key, type_) for key, type_ in _SYNTHESIS.items()}
    elif kind == "detection":
        facts |= {key: _take(left, key, type_) for key, type_ in _DETECTION.items()}
        facts |= {
            "fakes": _take_fakes(left),
            "null_control": _take_null_control(left),
            "submitted": _take_submitted(left),
        }
    marking = {key: value for key, value in left.items() if key.startswith(_MARKING) and value not in (None, False, "")}
    return facts | {
        "warnings": [key if value is True else _say(key, value) for key, value in sorted(marking.items())],
        "remarks": [_say(key, value) for key, value in sorted(left.items()) if key not in marking],
    }


def _take(left: Notes, key: str, type_: type) -> Any:
    """The value of a note, which is then done with; None where it is null or does not fit."""
    fits = key in left and (left[key] is None or type(left[key]) is type_)
    return left.pop(key) if fits else None


def _take_fakes(left: Notes) -> dict[str, Any] | None:
    """The fakes and their quality by method; None where the notes do not say which fakes."""
    named = _FAKES_NAMED.fullmatch(str(left.get("fakes")))
    if named is None:
        return None
    del left["fakes"]
    methods = {_QUALITY: named["method"], f"{_QUALITY}_mean_frame": "mean-frame"}
    quality = {}
    for key in [key for key, value in left.items() if key.startswith(_QUALITY) and type(value) in (float, int)]:
        quality[methods.get(key, key.removeprefix(f"{_QUALITY}_"))] = left.pop(key)
    return {**named.groupdict(), "body_ssim": quality}


def _take_null_control(left: Notes) -> dict[str, Any] | None:
    control: dict[str, Any]
    match left.get("null_control"):
        case True | "ok":
            control = {"passed": True}
        case False | "failed":
            control = {"passed": False}
        case str(text) if text.startswith(_UNMEASURED):
            control = {"passed": None, "reason": text.removeprefix(_UNMEASURED)}
        case _:
            return None
    del left["null_control"]
    return control


def _take_submitted(left: Notes) -> dict[str, Any] | None:
    counts = "missing_holdout", "missing_validation"
    digest, thresholds = left.get("scores_sha256"), left.get("thresholds")
    if left.get("submitted") is not True or not (isinstance(digest, str) and _SHA256.fullmatch(digest)):
        return None
    if any(type(left.get(key)) is not int or left[key] < 0 for key in counts):
        return None
    del left["submitted"], left["scores_sha256"]
    reason = None
    if isinstance(thresholds, str) and thresholds.startswith(_NO_THRESHOLDS):
        reason = left.pop("thresholds").removeprefix(_NO_THRESHOLDS)
    return {"sha256": digest, **{key: left.pop(key) for key in counts}, "thresholds_reason": reason}


def _say(key: str, value: object) -> str:
    """A note as a sentence."""
    return value if key.startswith(_SENTENCES) and isinstance(value, str) else f"{key}: {value}"
