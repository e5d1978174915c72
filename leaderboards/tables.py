"""What a leaderboard says: from run records to ranked sections, before any rendering.

In: records of one kind. Out: sections, one for each dataset hash, set of subjects and frame size, since
only rows measured on the same people of the same data at one resolution compare. Within a section rows are
ranked by the kind's primary metric (its first column); the best value of every column is marked. A method
trained with a perceptual trunk is shown, but not ranked, under LPIPS of the same trunk.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dancebench.core.metric import Metric
from dancebench.core.stats import RELIABLE_SUBJECTS
from dancebench.leaderboards.records import RunKind, RunRecord

NOTHING = "–"
UNRELIABLE = "†"
UNRANKED = "‡"
LEGEND = {
    UNRELIABLE: "fewer than 10 subjects: the interval is unreliable, see the values per subject",
    UNRANKED: "trained with the trunk that judges here: shown, not ranked",
}
NOT_MEASURED = "not measured by this run"
_MARKING = ("warning", "flag")  # beginnings of the notes that mark a row
_SAID = ("warning_", "flag_")  # of those among them that need no name before them


@dataclass(frozen=True)
class Column:
    """A metric that the tables show; the CSV has all the others too."""

    metric: str
    title: str
    higher_is_better: bool | None
    form: str = ".3f"
    on_screen: bool = False
    """Whether it is among the few that a terminal has room for."""
    remark: str = ""
    """What a reader must know of it, shown under the table."""

    @property
    def header(self) -> str:
        """The title with the direction of better."""
        arrow = {True: " ↑", False: " ↓", None: ""}
        return self.title + arrow[self.higher_is_better]

    def judges_its_own_trunk(self, record: RunRecord) -> bool:
        """Whether this is LPIPS of the trunk that the record's method was trained with (rule 7)."""
        _, is_lpips, backbone = self.metric.partition("lpips_")
        trunk = record.entry.notes.get("perceptual_trunk")
        return bool(is_lpips) and isinstance(trunk, str) and trunk.startswith(backbone)


_REGIONS = ("body", "face", "frame")


def _region(region: str) -> tuple[Column, ...]:
    body = region == "body"
    return (
        Column(f"{region}_ssim", f"{region} SSIM", True, on_screen=region != "frame"),
        Column(f"{region}_lpips_squeeze", f"{region} LPIPS-squeeze", False, on_screen=body),
        Column(f"{region}_psnr", f"{region} PSNR", True, ".2f", on_screen=region == "body"),
        Column(f"{region}_mse", f"{region} MSE", False, ".1f"),
    )


_SAME_DETECTOR = (
    "Pose columns: poses are found by the MediaPipe whose poses also drive the synthesis, so both miss the same; "
    "the columns of the real clip say what it errs by itself, at the size of the fakes."
)
_TRUE_JOINTS = "True joints are known of drawn dancers: pose distances to them do not rest on the driving poses."
_TO_THE_REAL = "Ratios are to the real clip's: 1 is right, and below 1 is blur, so lower is not better."
_POSES = (
    Column("pose_distance", "pose distance, % of height", False, ".2f", remark=_SAME_DETECTOR),
    Column("pose_distance_real", "pose distance of the real clip", None, ".2f"),
    Column("pose_missed", "missed joints", False, ".2f", remark=_SAME_DETECTOR),
    Column("pose_missed_real", "missed joints of the real clip", None, ".2f"),
    Column("pose_distance_true", "pose distance to the true joints, % of height", False, ".2f", remark=_TRUE_JOINTS),
    Column("pose_distance_true_real", "pose distance of the real clip to the true joints", None, ".2f"),
)
_MOTION = (
    Column("background_flicker_ratio", "background flicker ratio", None, remark=_TO_THE_REAL),
    Column("background_flicker_excess", "excess background flicker, levels", False),
    Column("warp_error_ratio", "warp error ratio", None, remark=_TO_THE_REAL),
)


def _level(level: str) -> tuple[Column, ...]:
    return (
        Column(f"{level}_auc", f"{level} AUC", True, on_screen=level == "video"),
        Column(f"{level}_accuracy", f"{level} accuracy", True, on_screen=level == "video"),
        Column(f"{level}_eer", f"{level} EER", False),
        Column(f"{level}_ap", f"{level} AP", True),
        Column(f"{level}_tpr_fpr1", f"{level} TPR at 1% FPR", True),
        Column(f"{level}_tpr_fpr5", f"{level} TPR at 5% FPR", True),
    )


COLUMNS: dict[RunKind, tuple[Column, ...]] = {
    "synthesis": (
        *(column for region in _REGIONS for column in _region(region)),
        *(Column(f"{region}_diff_mse", f"{region} difference MSE", False, ".1f") for region in _REGIONS),
        *_POSES,
        *_MOTION,
    ),
    "detection": (
        *_level("video"),
        *_level("pair"),
        Column("video_cllr", "video Cllr", False, on_screen=True),
        Column("video_cllr_min", "video Cllr min", False),
        Column("video_brier", "video Brier", False),
        Column("pair_brier", "pair Brier", False),
        Column("pair_ece", "pair ECE", False),
        Column("abstained", "abstained", False),
        Column("null_shift", "null shift", False),
        Column("permutation_auc", "AUC under swapped labels", None),
        Column("permutation_p", "p under swapped labels", None),
        Column("shortcut_auc", "shortcut AUC", None),
        Column("shortcut_p", "shortcut p", None),
        Column("bytes_per_frame_auc", "bytes-per-frame AUC", None),
    ),
}
"""The kinds that have a leaderboard, and their columns; the first is the primary metric."""

Fact = Callable[[RunRecord], str | None]
"""Something about a run that is no metric; None where unknown."""


def _note(key: str) -> Fact:
    def read(record: RunRecord) -> str | None:
        value = record.entry.notes.get(key)
        return f"{value:.3f}" if isinstance(value, float) else None if value is None else str(value)

    return read


def _null_control(record: RunRecord) -> str | None:
    value = record.entry.notes.get("null_control")
    return {True: "ok", False: "failed"}[value] if isinstance(value, bool) else _note("null_control")(record)


def _steps(record: RunRecord) -> str | None:
    return None if record.entry.steps is None else str(record.entry.steps)


def _seconds(record: RunRecord) -> str | None:
    seconds = record.entry.seconds_training
    return None if seconds is None else f"{seconds:.1f}"


def _parameters(record: RunRecord) -> str | None:
    count = sum(record.entry.parameters.values())
    if not record.entry.parameters:
        return None
    return f"{count / 1e6:.2f} M" if count >= 1e5 else str(count)


_FAKES = {
    "fakes_body_ssim": "fakes' body SSIM",
    "fakes_body_ssim_nearest": "… of nearest frames",
    "fakes_body_ssim_mean_frame": "… of the mean frame",
}
_TRAINING: dict[str, Fact] = {
    "seeds": _note("training_seeds"),
    "steps": _steps,
    "training, s": _seconds,
    "parameters": _parameters,
}
FACTS: dict[RunKind, dict[str, Fact]] = {
    "synthesis": _TRAINING,
    "detection": {title: _note(key) for key, title in _FAKES.items()} | {"null control": _null_control} | _TRAINING,
}
"""Further columns by title, shown where a section knows one."""
FACTS_ON_SCREEN = ("null control",)
_OWN_COLUMN = {*_FAKES, "null_control", "perceptual_trunk", "frame_size", "training_seeds"}
RANKING_SEEDS = 3
"""Training seeds below which the order of trained methods may be luck."""


@dataclass(frozen=True)
class Row:
    """A record and its rank; None where its primary metric is null."""

    record: RunRecord
    rank: int | None

    @property
    def label(self) -> str:
        return f"{self.record.entry.name} ({self.record.entry.preset})"


@dataclass(frozen=True)
class Section:
    """Rows that compare: the same data, the same people, frames of one size."""

    kind: RunKind
    dataset: str
    dataset_id: str
    subjects: tuple[str, ...]
    frame_size: str
    """HEIGHTxWIDTH, or empty where the records do not say."""
    columns: tuple[Column, ...]
    """Those that some row measured, the primary one always."""
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        people = f"{len(self.subjects)} subject{'s' * (len(self.subjects) != 1)}"
        size = f" · {self.frame_size}" if self.frame_size else ""
        return f"{self.dataset} · {self.dataset_id[:12]} · {people}{size}"

    @property
    def facts(self) -> dict[str, Fact]:
        """The further columns that some row can fill."""
        known = FACTS[self.kind].items()
        return {title: fact for title, fact in known if any(fact(row.record) for row in self.rows)}

    def best(self, column: Column) -> frozenset[str]:
        """Run ids of the best value of a column, unranked rows aside; none where there is no contest."""
        values = {
            row.record.run.id: _goodness(row.record, column)
            for row in self.rows
            if not column.judges_its_own_trunk(row.record)
        }
        ranked = {run: value for run, value in values.items() if value is not None}
        if len(ranked) < 2:
            return frozenset()
        return frozenset(run for run, value in ranked.items() if value == max(ranked.values()))

    def unreliable(self) -> list[tuple[Row, Column]]:
        """The values whose interval few subjects make unreliable or impossible: to be shown per subject."""
        few = 2 <= len(self.subjects) < RELIABLE_SUBJECTS
        return [
            (row, column)
            for row in self.rows
            for column in self.columns
            if (metric := row.record.metrics.get(column.metric)) and metric.value is not None
            if (not metric.ci95.reliable if metric.ci95 else few)
        ]

    def remarks(self) -> list[str]:
        """What there is to know of single rows, of the data or of the columns, warnings first."""
        notes = [f"{row.label}: {text}" for row in self.rows for text in _notes(row.record)]
        columns = dict.fromkeys(column.remark for column in self.columns if column.remark)
        return [*self.warnings(), *notes, *columns]

    def difficulty(self) -> list[str]:
        """How good the fakes were that a detector's row was measured on, in a sentence each."""
        sentences = []
        for row in self.rows:
            known = {title: _note(key)(row.record) for key, title in _FAKES.items()}
            values = ", ".join(f"{title} {value}" for title, value in known.items() if value is not None)
            if values:
                sentences.append(f"{row.label}: {values}")
        return sentences

    def warnings(self) -> list[str]:
        """What a reader must know of single rows or of the data."""
        warnings = [f"⚠ {row.label}: {text}" for row in self.rows for text in _warnings(row.record)]
        if len({row.record.data.content_sha256 for row in self.rows}) > 1:
            warnings.append("⚠ Rows were measured on prepared files that differ (content_sha256).")
        seeds = [count for row in self.rows if isinstance(count := row.record.entry.notes.get("training_seeds"), int)]
        if len(seeds) > 1 and min(seeds) < RANKING_SEEDS:
            warnings.append(
                f"⚠ The order of the trained methods rests on {min(seeds)} training seed(s); {RANKING_SEEDS} or more "
                "make a ranking (bench synth --seeds 3)."
            )
        return warnings


class Footnotes:
    """Numbers reasons in the order in which they are first needed."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def mark(self, reason: str) -> str:
        """The sign that refers to `reason`."""
        if reason not in self.reasons:
            self.reasons.append(reason)
        return f"({self.reasons.index(reason) + 1})"


def sections(records: Iterable[RunRecord], kind: RunKind) -> list[Section]:
    """Group the records of `kind` by dataset and subjects, and rank each group.

    The order of the records does not matter.
    """
    groups: dict[tuple[str, str, tuple[str, ...], str], list[RunRecord]] = defaultdict(list)
    for record in records:
        if record.run.kind == kind:
            people = tuple(sorted(record.per_subject))
            size = str(record.entry.notes.get("frame_size") or "")
            groups[record.data.dataset, record.data.dataset_id, people, size].append(record)
    order = sorted(groups, key=lambda key: (key[0], key[1], -len(key[2]), key[2], key[3]))
    return [_section(kind, *key, groups[key]) for key in order]


def value_text(metric: Metric | None, column: Column, footnotes: Footnotes) -> str:
    """A value as the tables print it, or a dash that refers to the reason."""
    if metric is None or metric.value is None:
        reason = metric.reason if metric and metric.reason else NOT_MEASURED
        return f"{NOTHING} {footnotes.mark(reason)}"
    return format(metric.value, column.form)


def interval_text(metric: Metric, column: Column) -> str:
    """A value's interval with its mark where it is unreliable; empty where there is none."""
    if metric.value is None or metric.ci95 is None:
        return ""
    mark = "" if metric.ci95.reliable else f" {UNRELIABLE}"
    return f"[{metric.ci95.low:{column.form}}, {metric.ci95.high:{column.form}}]{mark}"


def _section(
    kind: RunKind, dataset: str, dataset_id: str, subjects: tuple[str, ...], frame_size: str, records: list[RunRecord]
) -> Section:
    primary, *others = COLUMNS[kind]
    measured = [column for column in others if any(column.metric in record.metrics for record in records)]
    scores = [(record, _goodness(record, primary)) for record in records]
    rows = [
        Row(record, None if own is None else 1 + sum(other is not None and other > own for _, other in scores))
        for record, own in scores
    ]
    last = len(rows) + 1
    rows.sort(key=lambda row: (row.rank or last, row.record.entry.name, row.record.run.id))
    return Section(kind, dataset, dataset_id, subjects, frame_size, (primary, *measured), tuple(rows))


def _goodness(record: RunRecord, column: Column) -> float | None:
    """The value with its sign turned so that more is better; None where it cannot be ranked."""
    metric = record.metrics.get(column.metric)
    if metric is None or metric.value is None or column.higher_is_better is None:
        return None
    return metric.value if column.higher_is_better else -metric.value


def _warnings(record: RunRecord) -> list[str]:
    found = [
        key if value is True else str(value) if key.startswith(_SAID) else f"{key}: {value}"
        for key, value in sorted(record.entry.notes.items())
        if key.startswith(_MARKING) and value not in (None, False, "")
    ]
    if _null_control(record) == "failed":
        found.append("the null control failed: reals encoded once more moved")
    missing = record.data.n_original - record.data.n_effective
    if missing:
        found.append(f"{missing} of {record.data.n_original} items could not be measured")
    return found


def _notes(record: RunRecord) -> list[str]:
    return [
        f"{key}: {value:.4g}" if isinstance(value, float) else f"{key}: {value}"
        for key, value in sorted(record.entry.notes.items())
        if key not in _OWN_COLUMN and not key.startswith(_MARKING) and value is not None
    ]
