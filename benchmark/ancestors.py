"""Which ancestors a run starts from: one for each method and side of the split, trained on training people.

dataset ──▶ training people, divided among the sides ──▶ ancestors/METHOD/DATASET/SIDE/VARIANT

No person trains two sides' ancestors: what the fakes of one side share is then no fingerprint that crosses the split.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

from dancebench.benchmark.presets import find_preset
from dancebench.core.errors import BenchError
from dancebench.core.progress import ReportProgress
from dancebench.core.schema import Strict
from dancebench.core.workspace import Workspace
from dancebench.datasets.subjects.dataset import Dataset
from dancebench.synth.base import METHODS, LearnedMethod, Schedule, SynthConfig
from dancebench.synth.training.ancestor import AncestorJob, open_ancestor, train_ancestor
from dancebench.synth.training.inheritance import Ancestor, Side
from dancebench.synth.training.loop import TrainingOptions

AUTO: Final = "auto"
"""The ancestors of the workspace, trained where they are missing; anything else names the folder of one."""
LENGTH: Final = 4
"""Steps of an ancestor's training, in those that the preset gives one person's."""
_SIDES: Final[tuple[Side, ...]] = get_args(Side)

Part = TypeVar("Part", bound=Strict)


@dataclass(frozen=True)
class AncestorPlan:
    """The ancestor of a method for one side of the split."""

    workspace: Workspace
    dataset: Dataset
    side: Side
    method: str
    preset: str
    config: SynthConfig
    device: str
    options: TrainingOptions

    @property
    def folder(self) -> Path:
        variant = f"{self.preset}-s{self.config.seed}"
        return self.workspace.ancestor(self.method, self.dataset.name, self.side, variant)

    def sharing_memory(self, processes: int) -> AncestorPlan:
        """The same beside others: so many processes hold clips in this machine's memory at once."""
        return replace(self, options=replace(self.options, sharing=processes))


def list_people(dataset: Dataset, side: Side) -> list[str]:
    """The training people whom this side's ancestors are trained on: every second one, so that no side shares one.

    Raises:
        BenchError: There are fewer training people than sides.
    """
    everyone = dataset.ids("train")
    if len(everyone) < len(_SIDES):
        raise BenchError(
            f"Dataset '{dataset.name}' has {len(everyone)} training people; a warm start needs one for each of the "
            f"{len(_SIDES)} sides of the split.",
            hint="Add people with --role train, or name an ancestor that was trained elsewhere: --warm-start FOLDER.",
        )
    return everyone[_SIDES.index(side) :: len(_SIDES)]


def lengthen(config: Part, preset: Part) -> Part:
    """The configuration of an ancestor: a person's, for `LENGTH` times the steps that the preset gives a person.

    So a run that changes how long people are trained starts from the same ancestor.
    """

    def lengthen_one(schedule: Schedule, usual: Schedule) -> dict[str, Any]:
        steps = None if usual.steps is None else LENGTH * usual.steps
        return {**dict(usual), "steps": steps, "batch": schedule.batch}

    return _change_schedules(config, preset, lengthen_one)


def configure_ancestor(preset: str, method: str, config: SynthConfig) -> SynthConfig:
    """The configuration of the ancestor from which a synthesizer of this one starts."""
    return lengthen(config, find_preset(preset).config(method))


def shorten(config: Part, preset: Part, share: float) -> Part:
    """The configuration with this share of the preset's training; lengths that a run has set are kept."""

    def shorten_one(schedule: Schedule, usual: Schedule) -> dict[str, Any]:
        if (schedule.steps, schedule.epochs) != (usual.steps, usual.epochs):
            return {}
        steps = None if usual.steps is None else max(1, round(share * usual.steps))
        epochs = None if usual.epochs is None else share * usual.epochs
        return {"steps": steps, "epochs": epochs}

    return _change_schedules(config, preset, shorten_one)


def _change_schedules(config: Part, preset: Part, change: Callable[[Schedule, Schedule], dict[str, Any]]) -> Part:
    """The configuration with fields of all its schedules changed; `change` is given each and the preset's beside it."""
    if isinstance(config, Schedule) and isinstance(preset, Schedule):
        return config.model_copy(update=change(config, preset))
    parts = {name: (value, getattr(preset, name)) for name, value in config if isinstance(value, Strict)}
    changed = {
        name: value if usual is None else _change_schedules(value, usual, change)
        for name, (value, usual) in parts.items()
    }
    return config.model_copy(update=changed)


def configure_warm(preset: str, method: str, config: SynthConfig) -> SynthConfig:
    """The configuration of a synthesizer that starts from an ancestor: shorter, where the method needs no more."""
    method_class = METHODS[method]
    assert issubclass(method_class, LearnedMethod)  # nothing else starts warm
    share = method_class.warm_shares.get(preset)
    return config if share is None else shorten(config, find_preset(preset).config(method), share)


def make_ancestor_job(plan: AncestorPlan) -> AncestorJob:
    """The training job of an ancestor, with that of its base method's.

    Raises:
        BenchError: There are too few training people.
    """
    method_class = METHODS[plan.method]
    base = None
    if issubclass(method_class, LearnedMethod) and method_class.base is not None:
        config = method_class.get_base_config(plan.config)
        base = make_ancestor_job(replace(plan, method=method_class.base, config=config))
    subjects = [plan.dataset.subject(each) for each in list_people(plan.dataset, plan.side)]
    for subject in subjects:
        subject.require_unchanged()
    return AncestorJob(
        method=plan.method,
        preset=plan.preset,
        config=plan.config,
        dataset_id=plan.dataset.record.dataset_id,
        side=plan.side,
        subjects=tuple(subjects),
        folder=plan.folder,
        device=plan.device,
        base=base,
        options=plan.options,
    )


def make_ancestor(plan: AncestorPlan, report: ReportProgress) -> Ancestor:
    """Train it, or open what was trained."""
    return train_ancestor(make_ancestor_job(plan), report=report)


def find_ancestor(warm_start: str, plan: AncestorPlan) -> Ancestor:
    """The ancestor that was trained before: that of the plan for `auto`, else the one in the folder.

    Raises:
        BenchError: There is none, or it is of another method.
    """
    return open_ancestor(plan.folder if warm_start == AUTO else Path(warm_start), plan.method)
