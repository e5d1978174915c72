"""`ensemble`, several detectors and one logit: late fusion that is learned on people no member trained on.

    members   each is trained on most of the training people
    fusion    their logits on the other training people, standardised, and a logistic regression with
              non-negative weights: a member can be ignored, never inverted

So a member's over-confidence on its own training people does not affect the fusion. A member with shorter windows
scores those inside the ensemble's, by their mean logit. One safetensors file holds all weights: the fusion's
parameters, and each member's own file as bytes (`member/0` …, uint8).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.optimize import minimize
from scipy.special import expit

from dancebench.core.errors import BenchError, first_line
from dancebench.core.files import atomic_path
from dancebench.core.progress import ReportProgress
from dancebench.detect.detectors.base import (
    DETECTORS,
    Detector,
    DetectorConfig,
    Logits,
    configure_detector,
    find_detector_class,
)
from dancebench.detect.detectors.pair_patch import HARDENED
from dancebench.detect.inputs.pairs import PairPool, Pairs

_SHARED: Final = ("height", "width", "degraded", "copies", "seed")
_BATCH: Final = 16
_RIDGE: Final = 1.0  # L2 penalty on the weights, against n windows: bounds them if members make no error

Members = npt.NDArray[np.float64]
"""(N, M): logits of N windows by M members."""


class EnsembleConfig(DetectorConfig):
    """Trains as long as its members do: about a minute on one core at 128x64.

    `pose-jitter` is no member by default, since MediaPipe takes minutes; name it if that is acceptable.
    """

    members: tuple[str, ...] = Field(default=("pair-patch", "spectrum"), min_length=1)
    """Full names of detectors, each once."""
    configs: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Settings of members that differ from their defaults, by name; those of `_SHARED` are set for the ensemble."""
    fusion_people: float = Field(default=0.25, gt=0, lt=1)
    """Share of the training people that are held out from the members, for the fusion; at least one."""
    fusion_windows: int = Field(default=128, ge=4, multiple_of=2)
    """Number of augmented windows of these people that the fusion is trained on."""


@DETECTORS.register("ensemble")
class Ensemble(Detector):
    """Several detectors, fused on people that none of them trained on."""

    Config: ClassVar[type[DetectorConfig]] = EnsembleConfig
    PRESETS: ClassVar[Mapping[str, DetectorConfig]] = {
        "protocol": EnsembleConfig(
            degraded=HARDENED.degraded, copies=HARDENED.copies, configs={"pair-patch": {"steps": HARDENED.steps}}
        ),
    }
    config: EnsembleConfig

    def __init__(self, config: DetectorConfig, device: str = "cpu") -> None:
        super().__init__(config, device)
        _check_members(self.config)
        self.members = [
            find_detector_class(name)(_configure_member(self.config, name), device) for name in self.config.members
        ]
        self.fusion = Fusion.average(len(self.members))

    @property
    def window(self) -> int:
        """The longest window of its members."""
        return max(member.window for member in self.members)

    @property
    def origin(self) -> str | None:
        """The origins of the members that have one."""
        origins = [
            f"{name}: {member.origin}"
            for name, member in zip(self.config.members, self.members, strict=True)
            if member.origin
        ]
        return "; ".join(origins) or None

    def fit(self, pool: PairPool, state: Path, report: ReportProgress) -> None:
        member_people, fusion_people = self._split_people(pool.people)
        member_pool = pool.restrict_to(member_people)
        for index, member in enumerate(self.members):
            member.fit(member_pool.with_window(member.window), state / f"member-{index}", report)
        logits, labels, fusion_pool = [], [], pool.restrict_to(fusion_people)
        count = self.config.fusion_windows
        for start in range(0, count, _BATCH):
            report("fusing the members", start, count)
            generator = np.random.default_rng((self.config.seed, start))
            windows, batch_labels = fusion_pool.draw_batch(min(_BATCH, count - start), generator)
            logits.append(self._member_logits(windows))
            labels.append(batch_labels)
        self.fusion = fit_fusion(np.concatenate(logits), np.concatenate(labels))
        report("fusing the members", count, count)

    def logits(self, pairs: Pairs) -> Logits:
        return self.fusion.logits(self._member_logits(pairs))

    def explain(self, pairs: Pairs) -> list[str]:
        """What the member says that adds most to each logit: its own words, or its name where it has none."""
        said = [member.explain(_cut_middle(pairs, member.window)) for member in self.members]
        return [
            self.config.members[most] if (words := said[most]) is None else words[number]
            for number, most in enumerate(self._find_most(pairs).tolist())
        ]

    def saliency(self, pairs: Pairs) -> npt.NDArray[np.float32] | None:
        """The map of the member that adds most to each logit; None where a member has none."""
        found = [member.saliency(_cut_middle(pairs, member.window)) for member in self.members]
        maps = [each for each in found if each is not None]
        if len(maps) < len(self.members):
            return None
        chosen = [maps[most][number] for number, most in enumerate(self._find_most(pairs).tolist())]
        return np.stack(chosen) if chosen else maps[0]

    def _find_most(self, pairs: Pairs) -> npt.NDArray[np.intp]:
        """Which member adds most to each logit (N,)."""
        return np.asarray(self.fusion.add_up(self._member_logits(pairs)).argmax(axis=1))

    @property
    def parameters(self) -> int:
        return sum(member.parameters or 0 for member in self.members) + len(self.members) + 1

    def save(self, folder: Path) -> None:
        tensors = self.fusion.to_tensors()
        with tempfile.TemporaryDirectory(prefix="dancebench-") as scratch:
            for index, member in enumerate(self.members):
                member.save(Path(scratch))
                tensors[f"member/{index}"] = np.fromfile(Path(scratch) / member.WEIGHTS, np.uint8)
        with atomic_path(folder / self.WEIGHTS) as path:
            save_file(tensors, path)

    @classmethod
    def load(cls, folder: Path, config: DetectorConfig, device: str = "cpu") -> Self:
        detector = cls.__new__(cls)  # members are loaded from their files, not initialised at random
        Detector.__init__(detector, config, device)
        _check_members(detector.config)
        path = folder / cls.WEIGHTS
        try:
            tensors = load_file(path)
            contents = [tensors[f"member/{index}"] for index in range(len(detector.config.members))]
            detector.fusion = Fusion.from_tensors(tensors, len(contents))
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise BenchError(
                f"{path} does not hold the weights of this ensemble ({first_line(error)}).",
                hint="Train it again.",
            ) from error
        detector.members = [
            _read_member(detector.config, name, content, device)
            for name, content in zip(detector.config.members, contents, strict=True)
        ]
        return detector

    def _split_people(self, people: list[str]) -> tuple[set[str], set[str]]:
        """Split people into those that the members and those that the fusion is trained on.

        Raises:
            BenchError: There are fewer than two.
        """
        if len(people) < 2:
            raise BenchError(
                "An ensemble needs two training people.",
                hint="Its fusion is learned on people that no member trains on.",
            )
        count = min(max(round(self.config.fusion_people * len(people)), 1), len(people) - 1)
        held_out = np.random.default_rng(self.config.seed).permutation(people)[:count]
        return set(people) - set(held_out.tolist()), set(held_out.tolist())

    def _member_logits(self, windows: Pairs) -> Members:
        """Compute each member's mean logit (N, M) over its own windows inside uint8 (N, window, H, W, 3)."""
        columns = []
        for member in self.members:
            starts = windows.shape[1] - member.window + 1
            inside = np.stack([windows[:, start : start + member.window] for start in range(starts)], axis=1)
            logits = member.logits(inside.reshape(-1, *inside.shape[2:]))
            columns.append(logits.reshape(len(windows), starts).mean(axis=1, dtype=np.float64))
        return np.stack(columns, axis=1)


def _cut_middle(windows: Pairs, length: int) -> Pairs:
    """The shorter windows in the middle of windows (N, window, H, W, 3)."""
    start = (windows.shape[1] - length) // 2
    return windows[:, start : start + length]


def _check_members(config: EnsembleConfig) -> None:
    """Refuse invalid members or settings.

    Raises:
        UnknownNameError: There is no such detector.
        BenchError: A member is an ensemble, from elsewhere or named twice, or settings are for the whole ensemble or
            for no member.
    """
    for name in config.members:
        if issubclass(find_detector_class(name), Ensemble):
            raise BenchError("An ensemble cannot be a member of an ensemble.", hint="Name its members instead.")
        if not find_detector_class(name).LEARNS:
            raise BenchError(
                f"'{name}' was trained elsewhere and cannot be a member of an ensemble.",
                hint="An ensemble trains its members: name detectors of bench list detectors.",
            )
    if len(set(config.members)) < len(config.members):
        raise BenchError("A member of the ensemble is named twice.", hint="Name each detector once.")
    for name, settings in config.configs.items():
        if name not in config.members:
            raise BenchError(
                f"The ensemble has settings for '{name}', which is not a member.",
                hint=f"Its members: {', '.join(config.members)}.",
            )
        if shared := [field for field in _SHARED if field in settings]:
            raise BenchError(
                f"{shared[0]} cannot be set for the member '{name}' alone.", hint="Set it for the whole ensemble."
            )


def _configure_member(config: EnsembleConfig, name: str) -> DetectorConfig:
    shared = {field: getattr(config, field) for field in _SHARED}
    return configure_detector(name, None, **shared, **config.configs.get(name, {}))


def _read_member(config: EnsembleConfig, name: str, content: npt.NDArray[np.uint8], device: str) -> Detector:
    detector_class = find_detector_class(name)
    with tempfile.TemporaryDirectory(prefix="dancebench-") as scratch:
        (Path(scratch) / detector_class.WEIGHTS).write_bytes(content.tobytes())
        return detector_class.load(Path(scratch), _configure_member(config, name), device)


# ---------------------------------------------------------------- fusion


class Fusion:
    """Late fusion of the members' logits: Σ weight · (logit - mean) / scale + bias.

    Args:
        means, scales: Mean and scale of each member's logits (M,).
        weights: Not negative (M,).
        bias: One number (1,).
    """

    def __init__(self, means: Members, scales: Members, weights: Members, bias: Members) -> None:
        self.means, self.scales, self.weights, self.bias = means, scales, weights, bias

    @classmethod
    def average(cls, members: int) -> Fusion:
        """Make the fusion before training: the mean of the members' logits."""
        ones = np.ones(members)
        return cls(np.zeros(members), ones, ones / members, np.zeros(1))

    @classmethod
    def from_tensors(cls, tensors: dict[str, npt.NDArray[Any]], members: int) -> Fusion:
        """Read the fusion from what `to_tensors` gave.

        Raises:
            KeyError: A tensor is missing.
            ValueError: It is of another number of members.
        """
        means, scales, weights, bias = (tensors[f"fusion/{name}"] for name in ("means", "scales", "weights", "bias"))
        if any(each.shape != (members,) for each in (means, scales, weights)) or bias.shape != (1,):
            raise ValueError(f"the fusion is not of {members} members")
        return cls(means, scales, weights, bias)

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Return the parameters by name."""
        return {f"fusion/{name}": getattr(self, name) for name in ("means", "scales", "weights", "bias")}

    def logits(self, members: Members) -> Logits:
        """Compute fused log-odds (N,) from the members' logits (N, M)."""
        standard = (members - self.means) / self.scales
        return np.asarray(standard @ self.weights + self.bias, np.float32)

    def add_up(self, members: Members) -> Members:
        """What each member adds to the fused log-odds, the bias aside: (N, M)."""
        return (members - self.means) / self.scales * self.weights


def fit_fusion(members: Members, labels: npt.ArrayLike) -> Fusion:
    """Fit a logistic regression on standardised logits, with an L2 penalty and non-negative weights.

    Args:
        members: (N, M).
        labels: (N,), 1 = fake.
    """
    means, scales = members.mean(axis=0), members.std(axis=0)
    scales = np.where(scales > 0, scales, 1.0)
    x, y = (members - means) / scales, np.asarray(labels, np.float64)
    signs = 2 * y - 1

    def loss(theta: Members) -> tuple[float, Members]:
        weights, bias = theta[:-1], theta[-1]
        logits = x @ weights + bias
        slope = expit(logits) - y  # (N,)
        value = np.logaddexp(0, -signs * logits).sum() + _RIDGE / 2 * (weights**2).sum()
        return float(value), np.append(x.T @ slope + _RIDGE * weights, slope.sum())

    count = members.shape[1]
    bounds = [(0.0, None)] * count + [(None, None)]
    theta = minimize(loss, np.zeros(count + 1), jac=True, bounds=bounds, method="L-BFGS-B").x
    return Fusion(means, scales, theta[:-1], theta[-1:])
