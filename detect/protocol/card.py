"""`card.json`: what a trained detector is, what it was trained on, and its metrics on held-out people.

The card is written last: a folder without one holds an unfinished training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, ValidationError

from dancebench.core.artifacts import ArtifactRecord
from dancebench.core.errors import BenchError, first_line
from dancebench.core.files import sha256_file
from dancebench.core.metric import Metric, rename_metrics
from dancebench.core.schema import Strict
from dancebench.core.workspace import Workspace
from dancebench.datasets.corpora.manifest import PictureKind
from dancebench.datasets.video.picture_size import MAX_CLIP_SIDE
from dancebench.detect.detectors.base import Detector, DetectorConfig, find_detector_class
from dancebench.detect.evaluation.aggregation import LearnedRule, Rule, find_rule
from dancebench.detect.evaluation.calibration import Calibrations
from dancebench.detect.evaluation.likelihood_ratios.bounds import bound_by_people
from dancebench.detect.evaluation.likelihood_ratios.measures import LikelihoodRatioFigures
from dancebench.detect.evaluation.likelihood_ratios.uncertainty import UNTOLD
from dancebench.detect.evaluation.metrics import ErrorRates, Thresholds
from dancebench.detect.evaluation.training_domain import TrainingDomain
from dancebench.detect.inputs.video_set import VideoSet
from dancebench.detect.inputs.view import View, ViewName

CARD = "card.json"
NO_TRAINING_DOMAIN = "its card is of an earlier release, which described the training videos by other features"
"""Why nobody can say how far a video lies from them."""

_RENAMED = {"domain": "clip_format", "familiarity": "training_domain"}  # since version 3


class SplitData(Strict):
    """The videos of one split."""

    sha256: str
    """Hash of their identifiers, labels and file hashes."""
    n_videos: int
    subjects: tuple[str, ...]


class ClipFormat(Strict):
    """Format of the clips that the detector was trained on; it is not validated on videos unlike them."""

    clip_height: int = Field(ge=1, le=MAX_CLIP_SIDE)
    clip_width: int = Field(ge=1, le=MAX_CLIP_SIDE)
    """Size of the clips; outside videos are encoded at it."""
    view: ViewName = "frame"
    """What of the frames of a recording the clips show."""
    fps_min: float = Field(gt=0)
    fps_max: float = Field(gt=0)
    methods: tuple[str, ...]
    """Synthesis methods of the training fakes."""
    encoder: str

    @property
    def looks_at(self) -> View:
        """What of an outside video is made into a clip like these."""
        return View(self.view, self.clip_height, self.clip_width)


class DetectorCard(ArtifactRecord):
    """Description and metrics of a trained detector. Version 7 names the detector's revision."""

    SCHEMA_VERSION: ClassVar[int] = 7
    schema_version: int = 7

    detector: str
    """Its full name, that of its variant included."""
    revision: int = 1
    """Of the detector's code, see `Detector`."""
    config: dict[str, Any]
    parameters: int | None
    """None where it is not known, as of a Python factory."""
    weights_sha256: str
    origin: str | None
    """Pretrained weights that it started from, or why there were none; None: at random, as configured. Of a detector
    that was trained elsewhere, what it is."""
    training_id: str
    """Hash of detector, revision, config and training videos: equal ids are the same training."""
    data: dict[str, SplitData]
    """By split."""
    pictures: tuple[PictureKind, ...]
    """Kinds of pictures of the training reals; empty where that is not known. Without `camera` among them the detector
    abstains on every outside video."""
    clip_format: ClipFormat
    training_domain: TrainingDomain | None
    """Features of the training clips: the out-of-distribution distance from them decides whether to abstain. None of a
    card before version 6, whose features were others: the detector abstains, since nobody can tell the distance."""
    aggregator: str
    learned: LearnedRule | None
    """The rule `learned`, fitted on the validation set; None if it could not be fitted."""
    thresholds: Thresholds
    """On raw scores, chosen on the validation set."""
    calibration: Calibrations
    metrics: dict[str, Metric]
    """On the held-out people, with 95% confidence intervals where they can be computed."""
    error_rates: ErrorRates
    """Of the video threshold on the held-out people."""
    ratios: LikelihoodRatioFigures | None
    """How well the likelihood ratios held on the held-out people; None where all their videos are of one kind, and in
    cards before version 6."""
    flags: tuple[str, ...]
    """Warnings of the negative controls and of the calibration."""

    @classmethod
    def upgrade(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Rename the fields of version 2; refuse version 1, which holds no calibration to read.

        Before version 4 a card did not say what kind of pictures it was trained on: `load` looks for it. Before version
        5 the number of parameters was always known. Before version 6 likelihood ratios ended at ln(people + 1) on both
        sides, a metric had a shortened name, and the training domain was of other features.

        Raises:
            BenchError: The card is of version 1.
        """
        if data["schema_version"] < 2:
            raise BenchError(
                "The detector was trained by an earlier release, which did not calibrate its scores.",
                hint="Train it again: bench detect --holdout.",
            )
        renamed = {"pictures": ()} | {_RENAMED.get(name, name): value for name, value in data.items()}
        return _tell_bounds(renamed) | {"training_domain": None} if data["schema_version"] < 6 else renamed

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and validate a card; where it does not state the kinds of pictures, its run's manifest does.

        Raises:
            NewerSchemaError: A later release wrote it.
            BenchError: It is missing or damaged, or of version 1.
        """
        card = super().load(path)
        return card if card.pictures else card.model_copy(update={"pictures": _find_pictures(path.absolute().parent)})

    @property
    def key(self) -> Any:
        return self.training_id

    def files(self, path: Path) -> Mapping[Path, str]:
        """The weights."""
        return {path.parent / find_detector_class(self.detector).WEIGHTS: self.weights_sha256}

    @property
    def rule(self) -> Rule:
        """From the logits of a video's pairs to its score."""
        return find_rule(self.aggregator, self.learned)


def _tell_bounds(data: dict[str, Any]) -> dict[str, Any]:
    """The fields of a card before version 6 as one of that version has them; likelihood ratios stay as they were.

    Both sides end where they did, by the people of the calibration; which methods were unseen was not recorded.
    """
    calibration = {name: _add_bounds(data["calibration"][name]) for name in ("video", "pair")}
    return data | {
        "calibration": calibration | {"uncertainty": None, "uncertainty_reason": UNTOLD},
        "metrics": rename_metrics(data["metrics"]),
        "ratios": None,
    }


def _add_bounds(calibration: dict[str, Any]) -> dict[str, Any]:
    people = calibration["subjects"]
    if type(people) is not int or people < 1:
        return calibration  # validation says what is wrong with it
    bounds = bound_by_people(people, people)
    return calibration | {"methods": None, "unseen_methods": None, "bounds": bounds.model_dump(mode="json")}


def _find_pictures(folder: Path) -> tuple[PictureKind, ...]:
    """Kinds of pictures of the training reals of a detector in its workspace; empty where that cannot be found."""
    if len(folder.parents) < 3:
        return ()
    workspace = Workspace(folder.parents[2])
    if folder != workspace.detector(folder.parent.name, folder.name):
        return ()
    try:
        return VideoSet.open(workspace.manifest(folder.name)).split("train").real_pictures
    except (BenchError, OSError):
        return ()


@dataclass(frozen=True)
class LoadedDetector:
    """A detector ready to score, and its card."""

    folder: Path
    card: DetectorCard
    detector: Detector


def load_detector(folder: Path, *, device: str = "cpu") -> LoadedDetector:
    """Open a trained detector.

    >>> from dancebench import load_detector
    >>> loaded = load_detector(folder)
    >>> loaded.card.detector, loaded.detector.window
    ('pair-patch', 2)

    Raises:
        UnknownNameError: No such detector is registered here.
        BenchError: There is no card, the weights are missing or were changed, or the card and this release
            disagree on the config or the revision.
    """
    if not (folder / CARD).exists():
        raise BenchError(
            f"{folder} holds no trained detector.",
            hint="bench detect --holdout trains one; a killed one resumes.",
        )
    card = DetectorCard.load(folder / CARD)
    try:
        config = find_detector_class(card.detector).Config.model_validate(card.config)
    except ValidationError as error:
        raise BenchError(
            f"{folder / CARD} has a config that '{card.detector}' does not know: {error.errors()[0]['msg']}.",
            hint="It was made by another release: train the detector again.",
        ) from error
    return LoadedDetector(folder, card, load_weights(folder, card, config, device=device))


def load_weights(folder: Path, card: DetectorCard, config: DetectorConfig, *, device: str) -> Detector:
    """Load the detector of a card, if its weights have the recorded hash.

    Raises:
        UnknownNameError: No such detector is registered here.
        BenchError: The weights are missing, were changed, are of another revision, or do not fit `config`.
    """
    detector_class = find_detector_class(card.detector)
    if card.revision != detector_class.REVISION:
        raise BenchError(
            f"{folder} was trained by revision {card.revision} of '{card.detector}', "
            f"this is {detector_class.REVISION}.",
            hint="Train it again: bench detect --holdout.",
        )
    weights = folder / detector_class.WEIGHTS
    if not weights.is_file() or sha256_file(weights) != card.weights_sha256:
        state = "were changed or damaged" if weights.is_file() else "are missing"
        raise BenchError(f"The weights {weights} {state}.", hint=f"Restore them, or remove {folder} and train again.")
    try:
        return detector_class.load(folder, config, device)
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        reason = first_line(error)
        raise BenchError(
            f"'{card.detector}' cannot be made from {folder / CARD} ({reason}).", hint="Train the detector again."
        ) from error
