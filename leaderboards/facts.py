"""What the tables show of a run beside its metrics: further columns, warnings and remarks, in words.

In: the typed facts of a record. Out: their texts, the same on pages and on a terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from dancebench.leaderboards.records import (
    AncestorFacts,
    DetectionFacts,
    Fakes,
    RunKind,
    RunRecord,
    SubmittedScores,
    SynthesisFacts,
)

CONDITIONS: Final = "What detectors were trained on and look at"
TRAINING: Final = "Training"
CONTROLS: Final = "Negative controls"
FAKES: Final = "Quality of the fakes, and training"


@dataclass(frozen=True)
class Fact:
    """Something about a run that is no metric.

    Attributes:
        title: Its heading.
        read: From a record to its text; None where it is not known.
        theme: Which of a section's tables it stands in.
        on_screen: Whether a terminal shows it where it has room.
    """

    title: str
    read: Callable[[RunRecord], str | None]
    theme: str
    on_screen: bool = False


def read_trunk(record: RunRecord) -> str | None:
    """The perceptual trunk that a method was trained with, or `off`; None where there can be none."""
    facts = record.entry.facts
    return facts.perceptual_trunk if isinstance(facts, SynthesisFacts) else None


def read_training_seeds(record: RunRecord) -> int | None:
    """Training seeds behind every subject's value; None where nothing was trained."""
    facts = record.entry.facts
    return facts.training_seeds if isinstance(facts, SynthesisFacts) else None


def _read_seeds(record: RunRecord) -> str | None:
    seeds = read_training_seeds(record)
    return None if seeds is None else str(seeds)


def _read_steps(record: RunRecord) -> str | None:
    return None if record.entry.steps is None else str(record.entry.steps)


def _read_seconds(record: RunRecord) -> str | None:
    seconds = record.entry.seconds_training
    return None if seconds is None else f"{seconds:.1f}"


def _read_parameters(record: RunRecord) -> str | None:
    count = sum(record.entry.parameters.values())
    if not record.entry.parameters:
        return None
    return f"{count / 1e6:.2f} M" if count >= 1e5 else str(count)


def _read_null_control(record: RunRecord) -> str | None:
    facts = record.entry.facts
    control = facts.null_control if isinstance(facts, DetectionFacts) else None
    if control is None:
        return None
    return f"not measured: {control.reason}" if control.passed is None else "ok" if control.passed else "failed"


def _read_detection(field: str) -> Callable[[RunRecord], str | None]:
    """A text among the facts of a detection run."""

    def read(record: RunRecord) -> str | None:
        facts = record.entry.facts
        return getattr(facts, field) if isinstance(facts, DetectionFacts) else None

    return read


def _find_fakes(record: RunRecord) -> Fakes | None:
    facts = record.entry.facts
    return facts.fakes if isinstance(facts, DetectionFacts) else None


def _read_quality(method: str | None) -> Callable[[RunRecord], str | None]:
    """Body SSIM of a method's fakes; None: of the one that the detector was trained on."""

    def read(record: RunRecord) -> str | None:
        fakes = _find_fakes(record)
        value = None if fakes is None else fakes.body_ssim.get(method or fakes.method)
        return None if value is None else f"{value:.3f}"

    return read


_BASELINES: Final = {"nearest": "… of nearest frames", "mean-frame": "… of the mean frame"}
_QUALITY: Final = (
    Fact("fakes' body SSIM", _read_quality(None), FAKES),
    *(Fact(title, _read_quality(method), FAKES) for method, title in _BASELINES.items()),
)


def _list_training_facts(theme: str) -> tuple[Fact, ...]:
    return (
        Fact("seeds", _read_seeds, theme),
        Fact("steps", _read_steps, theme),
        Fact("training, s", _read_seconds, theme),
        Fact("parameters", _read_parameters, theme),
    )


FACTS: dict[RunKind, tuple[Fact, ...]] = {
    "synthesis": _list_training_facts(TRAINING),
    "detection": (
        Fact("trained on", _read_detection("trained_on"), CONDITIONS, on_screen=True),
        Fact("view", _read_detection("view"), CONDITIONS, on_screen=True),
        Fact("null control", _read_null_control, CONTROLS, on_screen=True),
        *_QUALITY,
        *_list_training_facts(FAKES),
    ),
    "perceptual": (),
}
"""Further columns, shown where a section knows one; in their table they stand before the metrics."""


def describe_fakes(record: RunRecord) -> list[str]:
    """How good the fakes were that a detector was measured on, in a sentence; none where it is not known."""
    known = {fact.title: fact.read(record) for fact in _QUALITY}
    values = ", ".join(f"{title} {value}" for title, value in known.items() if value is not None)
    return [values] if values else []


def describe_preset(record: RunRecord) -> str:
    """The preset of a record's row, with what was changed in it and whether its synthesizers started warm."""
    facts = record.entry.facts
    warm = isinstance(facts, SynthesisFacts) and facts.ancestors
    return ", ".join(filter(None, (record.entry.preset, facts.settings, "warm start" if warm else None)))


def list_warnings(record: RunRecord) -> list[str]:
    """What marks a record's row, a sentence each."""
    found = list(record.entry.facts.warnings)
    if _read_null_control(record) == "failed":
        found.append("the null control failed: reals encoded once more moved")
    missing = record.data.n_original - record.data.n_effective
    if missing and record.run.kind == "perceptual":
        found.append(f"{missing} of {record.data.n_original} answers were accepted and are not used")
    elif missing:
        found.append(f"{missing} of {record.data.n_original} items could not be measured")
    return found


def list_remarks(record: RunRecord) -> list[str]:
    """The facts that have no column, by name, then the record's own remarks."""
    facts = record.entry.facts
    named: dict[str, str | None] = {"settings": facts.settings}
    if isinstance(facts, SynthesisFacts):
        named |= {
            "perceptual_trunk_reason": facts.perceptual_trunk_reason,
            "precision": facts.precision,
            "seed_spread": facts.seed_spread,
            "warm_start": _describe_ancestors(facts.ancestors),
        }
    elif isinstance(facts, DetectionFacts):
        named |= {"aggregator": facts.aggregator, "weights_from": facts.weights_from}
        named |= {"windows": None if facts.windows is None else f"{facts.windows} per video"}
        named |= _name_fakes(facts.fakes) if facts.fakes else {}
        named |= _name_submitted(facts.submitted) if facts.submitted else {}
    return [*(f"{name}: {text}" for name, text in sorted(named.items()) if text is not None), *facts.remarks]


def _name_fakes(fakes: Fakes) -> dict[str, str | None]:
    """Which fakes, and the quality of those that the detector was not trained on."""
    others = fakes.body_ssim.keys() - {fakes.method, *_BASELINES}
    named: dict[str, str | None] = {f"fakes_body_ssim_{method}": f"{fakes.body_ssim[method]:.4g}" for method in others}
    named["fakes_warm_start"] = _describe_ancestors(fakes.ancestors)
    return named | {"fakes": f"{fakes.method}, preset {fakes.preset}"}


def _describe_ancestors(ancestors: Sequence[AncestorFacts]) -> str | None:
    """What synthesizers started from, in a line; None for nothing."""
    told = [
        f"from an ancestor of {len(each.people)} {'person' if len(each.people) == 1 else 'people'} "
        f"({each.side} side, {each.weights_sha256[:12]})"
        for each in ancestors
    ]
    return "; ".join(told) or None


def _name_submitted(scores: SubmittedScores) -> dict[str, str | None]:
    return {
        "missing_holdout": str(scores.missing_holdout),
        "missing_validation": str(scores.missing_validation),
        "scores_sha256": scores.sha256,
        "submitted": "True",
        "thresholds": scores.thresholds_reason and f"none, since {scores.thresholds_reason}",
    }
