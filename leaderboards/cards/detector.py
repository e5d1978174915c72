"""A model card for each detector: its run records in, Markdown with Hugging Face front matter out.

A card is of one training: the records that name the same weights. It says what the detector was trained on, what was
measured with how many people, the limits, who and what was not covered, and what it must not be used for. Scores that
another system handed in have no card: its weights are not here. The same records give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from dancebench.core.files import remove_others, sha256_json, to_file_name, write_text
from dancebench.core.metric import MetricKey
from dancebench.core.stats.inference import RELIABLE_SUBJECTS
from dancebench.leaderboards.breakdowns import BREAKDOWNS
from dancebench.leaderboards.columns import COLUMNS, Column
from dancebench.leaderboards.facts import list_remarks, list_warnings
from dancebench.leaderboards.markdown import escape
from dancebench.leaderboards.records import DetectionFacts, RunRecord
from dancebench.leaderboards.tables import NOTHING, Footnotes, format_interval, format_value

_MISUSES: Final = (
    "a verdict: a score or a likelihood ratio is evidence for one of two propositions, and says nothing of how "
    "probable either was before",
    "the conclusion that a video is real: absence of traces is no evidence for a real",
    "videos unlike those that it was trained on; where it abstains, its number is not to be used",
    "identifying people, or decisions about a person without one who examines the video",
    "filtering or publishing accusations without anyone who looks",
)
_PUBLISHED: Final = {"video_auc": "roc_auc", "video_accuracy": "accuracy", "video_eer": "equal_error_rate"}
"""Metrics of the front matter, and what Hugging Face calls them."""


def write_detector_cards(records: Iterable[RunRecord], folder: Path) -> list[Path]:
    """Write a card for each detector; returns the files. Cards of detectors without a record are removed.

    Raises:
        BenchError: The folder cannot be written.
    """
    cards = render_detector_cards(records)
    for name, text in cards.items():
        write_text(folder / name, text)
    remove_others(folder, "*.md", cards)
    return [folder / name for name in cards]


def render_detector_cards(records: Iterable[RunRecord]) -> dict[str, str]:
    """File name to Markdown, by name."""
    trainings: dict[str, list[RunRecord]] = {}
    for record in sorted(records, key=lambda each: each.run.id):
        facts = record.entry.facts
        if isinstance(facts, DetectionFacts) and facts.submitted is None:
            entry = record.entry
            digest = sha256_json([entry.name, entry.preset, sorted(entry.weights_sha256.items())])
            trainings.setdefault(f"{to_file_name(entry.name)}-{digest[:12]}.md", []).append(record)
    return {name: _render_card(own) for name, own in sorted(trainings.items())}


def _render_card(records: Sequence[RunRecord]) -> str:
    first = records[0]
    entry = first.entry
    blocks = [
        _render_front_matter(records),
        f"# {escape(entry.name)} ({escape(entry.preset)})",
        "A detector of synthesized videos of people. A higher score means: more likely synthesized.",
        "## Trained on",
        _bullets(_describe_training(first)),
        "## Measured",
        *[block for record in records for block in _render_measured(record)],
        "## Limits",
        _bullets(_list_limits(records)),
        "## Not covered",
        _bullets(_list_uncovered(records)),
        "## Must not be used for",
        _bullets(_MISUSES),
    ]
    return "\n\n".join(blocks) + "\n"


def _render_front_matter(records: Sequence[RunRecord]) -> str:
    """YAML that is JSON line by line, so that no text of a record is taken for markup."""
    entry = records[0].entry
    results = [
        {
            "task": {"type": "video-classification", "name": "detection of synthesized videos of people"},
            "dataset": {"type": record.data.dataset_id[:12], "name": _name_test(record)},
            "metrics": metrics,
        }
        for record in records
        if (metrics := _list_published(record))
    ]
    fields: dict[str, Any] = {
        "library_name": "dancebench",
        "pipeline_tag": "video-classification",
        "tags": ["media-forensics", "deepfake-detection"],
        "model-index": [{"name": f"{entry.name} ({entry.preset})", "results": results}],
    }
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()]
    return "\n".join(["---", *lines, "---"])


def _list_published(record: RunRecord) -> list[dict[str, Any]]:
    return [
        {"type": published, "name": name, "value": float(f"{metric.value:.6g}")}
        for name, published in _PUBLISHED.items()
        if (metric := record.metrics.get(name)) is not None and metric.value is not None
    ]


def _name_test(record: RunRecord) -> str:
    facts = record.entry.facts
    tested = facts.tested_on if isinstance(facts, DetectionFacts) else None
    return f"{tested or record.data.dataset}, held-out people"


def _describe_training(record: RunRecord) -> list[str]:
    entry, run, facts = record.entry, record.run, record.entry.facts
    assert isinstance(facts, DetectionFacts)
    found = [f"dataset: {escape(facts.trained_on or record.data.dataset)}, dataset_id `{record.data.dataset_id}`"]
    if facts.fakes is not None:
        found.append(f"fakes: {escape(facts.fakes.method)}, preset {escape(facts.fakes.preset)}")
    protocol = record.data.protocol
    found += [f"protocol: {protocol.name}, `{protocol.sha256}`"] if protocol else []
    found += [f"looks at: {escape(facts.view)}"] if facts.view else []
    found += [f"pretrained weights: {escape(facts.weights_from)}"] if facts.weights_from else []
    found += [f"settings: {escape(facts.settings)}"] if facts.settings else []
    if entry.parameters:
        found.append(f"parameters: {sum(entry.parameters.values()):,}")
    found += [f"weights, {escape(name)}: SHA-256 `{sha256}`" for name, sha256 in sorted(entry.weights_sha256.items())]
    commit = "no commit recorded" if run.git_sha is None else f"commit `{run.git_sha}`"
    found.append(f"dancebench {run.versions.get('dancebench', 'unknown')}, {commit}{', changed' if run.dirty else ''}")
    found.append(f"seeds: {', '.join(f'{escape(name)} {seed}' for name, seed in sorted(run.seeds.items())) or 'none'}")
    return found


def _render_measured(record: RunRecord) -> list[str]:
    """The values of one test set: the main ones, then the worst and best under each condition."""
    footnotes = Footnotes()
    rows = [
        [column.header, _render_value(record, column, footnotes)]
        for column in COLUMNS["detection"]
        if column.metric in record.metrics
    ]
    for breakdown in BREAKDOWNS["detection"]:
        rows += _render_extremes(record, breakdown.condition, breakdown.columns, footnotes)
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in (["measure", "value"], ["---", "---"], *rows))
    people = len(record.per_subject)
    videos = f"{record.data.n_effective} of {record.data.n_original} videos"
    title = f"### {escape(_name_test(record))}: {videos}, {people} people"
    notes = [f"({number}) {escape(reason)}" for number, reason in enumerate(footnotes.reasons, start=1)]
    return [title, table, *([_bullets(notes)] if notes else [])]


def _render_extremes(
    record: RunRecord, condition: str, columns: Sequence[Column], footnotes: Footnotes
) -> list[list[str]]:
    """The lowest and the highest video AUC under a condition."""
    column = next((each for each in columns if each.metric == COLUMNS["detection"][0].metric), None)
    found = [
        (metric.value, key.condition.value, str(key))
        for name, metric in record.metrics.items()
        if (key := MetricKey.parse(name)).condition is not None
        and column is not None
        and key.condition.kind == condition
        and str(MetricKey(key.name, key.level)) == column.metric
        and metric.value is not None
    ]
    if column is None or not found:
        return []
    low, high = min(found), max(found)
    return [
        [
            f"{column.header}, {what} by {condition}: {escape(value)}",
            _render_value(record, Column(name, column.title, column.higher_is_better), footnotes),
        ]
        for what, (_, value, name) in (("lowest", low), ("highest", high))
    ]


def _render_value(record: RunRecord, column: Column, footnotes: Footnotes) -> str:
    metric = record.metrics.get(column.metric)
    text = escape(format_value(metric, column, footnotes))
    if metric is None or metric.value is None:
        return text
    return " ".join(part for part in (text, format_interval(metric, column), f"n={metric.n}") if part)


def _list_limits(records: Sequence[RunRecord]) -> list[str]:
    found = [f"⚠ {escape(text)}" for record in records for text in list_warnings(record)]
    few = min(len(record.per_subject) for record in records)
    if few < RELIABLE_SUBJECTS:
        found.append(f"{few} people were tested: below {RELIABLE_SUBJECTS} an interval is unreliable (†).")
    found += [escape(text) for record in records for text in list_remarks(record)]
    found.append("Likelihood ratios hold for people and methods like those that they were calibrated on.")
    return list(dict.fromkeys(found))


def _list_uncovered(records: Sequence[RunRecord]) -> list[str]:
    found = [
        "Subgroups: records name no age, gender, skin tone, clothing or disability, so no figure is known for any.",
        "Any synthesis method, camera, compression or editing that stands under no condition above.",
    ]
    conditions = {
        condition.kind
        for record in records
        for name in record.metrics
        if (condition := MetricKey.parse(name).condition) is not None
    }
    if "perturbation" not in conditions:
        found.append("Perturbed copies: robustness was not measured.")
    if "method" not in conditions:
        found.append("Other synthesis methods than the one it was trained on: none was tested.")
    return found


def _bullets(texts: Sequence[str]) -> str:
    return "\n".join(f"- {text}" for text in texts) or NOTHING
