"""`ensemble`, several detectors and one logit: late fusion that is learned on people no member trained on.

    members   each learns from most of the training people
    fusion    their logits on the other training people, standardised, and a logistic regression with weights
              that are not negative: a member can be ignored, never turned round

So no member's over-confidence on its own people speaks. A member that sees shorter windows scores those inside,
by their mean logit. All is kept in one safetensors file: the numbers of the fusion, and each member's own file as
its bytes (`member/0` …, uint8).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.optimize import minimize
from scipy.special import expit

from dancebench.core.errors import BenchError
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
from dancebench.detect.inputs.pairs import PairPool, Pairs

_SHARED: Final = ("height", "width", "degraded", "copies", "seed")
_BATCH: Final = 16
_RIDGE: Final = 1.0  # of the weights, against n windows: a weak pull where members tell without error

Members = npt.NDArray[np.float64]
"""(N, M): logits of N windows by M members."""


class EnsembleConfig(DetectorConfig):
    """As long as its members take: about a minute on one core at 128x64.

    `pose-jitter` is no member by default, since MediaPipe takes minutes; name it where they are at hand.
    """

    members: tuple[str, ...] = Field(default=("pair-patch", "spectrum"), min_length=1)
    """Full names of detectors, each once."""
    configs: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Settings of members that differ from their defaults, by name; those of `_SHARED` are the ensemble's."""
    fusion_people: float = Field(default=0.25, gt=0, lt=1)
    """Share of the training people that are kept for the fusion; at least one."""
    fusion_windows: int = Field(default=128, ge=4, multiple_of=2)
    """How many augmented windows of them the fusion learns from."""


@DETECTORS.register("ensemble")
class Ensemble(Detector):
    """Several detectors, fused on people that none of them trained on."""

    Config: ClassVar[type[DetectorConfig]] = EnsembleConfig
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
        """The longest of its members'."""
        return max(member.window for member in self.members)

    @property
    def origin(self) -> str | None:
        """Of the members that have one to tell."""
        told = [
            f"{name}: {member.origin}"
            for name, member in zip(self.config.members, self.members, strict=True)
            if member.origin
        ]
        return "; ".join(told) or None

    def fit(self, pool: PairPool, state: Path, report: ReportProgress) -> None:
        learning, fusing = self._split_people(pool.people)
        inner = pool.restrict_to(learning)
        for index, member in enumerate(self.members):
            member.fit(inner.with_window(member.window), state / f"member-{index}", report)
        drawn, labels, rest = [], [], pool.restrict_to(fusing)
        count = self.config.fusion_windows
        for start in range(0, count, _BATCH):
            report("fusing the members", start, count)
            generator = np.random.default_rng((self.config.seed, start))
            windows, kinds = rest.draw_batch(min(_BATCH, count - start), generator)
            drawn.append(self._member_logits(windows))
            labels.append(kinds)
        self.fusion = fit_fusion(np.concatenate(drawn), np.concatenate(labels))
        report("fusing the members", count, count)

    def logits(self, pairs: Pairs) -> Logits:
        return self.fusion.logits(self._member_logits(pairs))

    @property
    def parameters(self) -> int:
        return sum(member.parameters for member in self.members) + len(self.members) + 1

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
        detector = cls.__new__(cls)  # members come from their files, not at random
        Detector.__init__(detector, config, device)
        _check_members(detector.config)
        path = folder / cls.WEIGHTS
        try:
            tensors = load_file(path)
            contents = [tensors[f"member/{index}"] for index in range(len(detector.config.members))]
            detector.fusion = Fusion.from_tensors(tensors, len(contents))
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise BenchError(
                f"{path} does not hold the weights of this ensemble ({str(error).splitlines()[0]}).",
                hint="Train it again.",
            ) from error
        detector.members = [
            _read_member(detector.config, name, content, device)
            for name, content in zip(detector.config.members, contents, strict=True)
        ]
        return detector

    def _split_people(self, people: list[str]) -> tuple[set[str], set[str]]:
        """Who the members learn from, and who the fusion learns from.

        Raises:
            BenchError: There are fewer than two.
        """
        if len(people) < 2:
            raise BenchError("An ensemble needs two training people.", hint="Its fusion is learned on people apart.")
        count = min(max(round(self.config.fusion_people * len(people)), 1), len(people) - 1)
        apart = np.random.default_rng(self.config.seed).permutation(people)[:count]
        return set(people) - set(apart.tolist()), set(apart.tolist())

    def _member_logits(self, windows: Pairs) -> Members:
        """Each member's mean logit over its own windows inside uint8 (N, window, H, W, 3)."""
        columns = []
        for member in self.members:
            places = windows.shape[1] - member.window + 1
            inside = np.stack([windows[:, place : place + member.window] for place in range(places)], axis=1)
            logits = member.logits(inside.reshape(-1, *inside.shape[2:]))
            columns.append(logits.reshape(len(windows), places).mean(axis=1, dtype=np.float64))
        return np.stack(columns, axis=1)


def _check_members(config: EnsembleConfig) -> None:
    """Refuse members that cannot be.

    Raises:
        UnknownNameError: There is no such detector.
        BenchError: A member is an ensemble or named twice, or settings are the ensemble's own or nobody's.
    """
    for name in config.members:
        if issubclass(find_detector_class(name), Ensemble):
            raise BenchError("An ensemble cannot be a member of an ensemble.", hint="Name its members instead.")
    if len(set(config.members)) < len(config.members):
        raise BenchError("A member of the ensemble is named twice.", hint="Name each detector once.")
    for name, settings in config.configs.items():
        if name not in config.members:
            raise BenchError(
                f"The ensemble has settings for '{name}', which is not a member.",
                hint=f"Its members: {', '.join(config.members)}.",
            )
        if taken := [field for field in _SHARED if field in settings]:
            raise BenchError(
                f"{taken[0]} cannot be set for the member '{name}' alone.", hint="Set it for the whole ensemble."
            )


def _configure_member(config: EnsembleConfig, name: str) -> DetectorConfig:
    shared = {field: getattr(config, field) for field in _SHARED}
    return configure_detector(name, None, **shared, **config.configs.get(name, {}))


def _read_member(config: EnsembleConfig, name: str, content: npt.NDArray[np.uint8], device: str) -> Detector:
    kind = find_detector_class(name)
    with tempfile.TemporaryDirectory(prefix="dancebench-") as scratch:
        (Path(scratch) / kind.WEIGHTS).write_bytes(content.tobytes())
        return kind.load(Path(scratch), _configure_member(config, name), device)


# ---------------------------------------------------------------- fusion


class Fusion:
    """Σ weight · (logit - mean) / scale + bias over the members.

    Args:
        means, scales: Of each member's logits (M,).
        weights: Not negative (M,).
        bias: One number (1,).
    """

    def __init__(self, means: Members, scales: Members, weights: Members, bias: Members) -> None:
        self.means, self.scales, self.weights, self.bias = means, scales, weights, bias

    @classmethod
    def average(cls, members: int) -> Fusion:
        """The mean of the members' logits, before anything was learned."""
        ones = np.ones(members)
        return cls(np.zeros(members), ones, ones / members, np.zeros(1))

    @classmethod
    def from_tensors(cls, tensors: dict[str, npt.NDArray[Any]], members: int) -> Fusion:
        """From what `to_tensors` gave.

        Raises:
            KeyError: A tensor is missing.
            ValueError: It is of another number of members.
        """
        means, scales, weights, bias = (tensors[f"fusion/{name}"] for name in ("means", "scales", "weights", "bias"))
        if any(each.shape != (members,) for each in (means, scales, weights)) or bias.shape != (1,):
            raise ValueError(f"the fusion is not of {members} members")
        return cls(means, scales, weights, bias)

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Its numbers by name."""
        return {f"fusion/{name}": getattr(self, name) for name in ("means", "scales", "weights", "bias")}

    def logits(self, members: Members) -> Logits:
        """Fused log-odds (N,) of the members' logits (N, M)."""
        standard = (members - self.means) / self.scales
        return np.asarray(standard @ self.weights + self.bias, np.float32)


def fit_fusion(members: Members, labels: npt.ArrayLike) -> Fusion:
    """Logistic regression on standardised logits, with a ridge and weights that are not negative.

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
