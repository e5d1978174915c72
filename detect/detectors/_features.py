"""Detectors that measure features and classify them with scikit-learn.

The classifier is stored with skops, whose files hold no code: only the types of its own closed list (those of
scikit-learn and NumPy) are loaded, and none is added to it. What an archive holds is checked before it is unpacked.
"""

from __future__ import annotations

import re
import zipfile
from abc import abstractmethod
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from dancebench.core.errors import BenchError, first_line
from dancebench.core.files import write_bytes
from dancebench.detect.detectors.base import Detector, DetectorConfig, Logits
from dancebench.detect.inputs.pairs import Pairs

MODEL: Final = "model.skops"

_MAX_BYTES: Final = 64 * 2**20
"""Size of a model, packed and unpacked; a regression on a hundred features takes kilobytes."""
_SCHEMA: Final = "schema.json"
_NPY: Final = b"\x93NUMPY"

Features = npt.NDArray[np.float64]
"""(N, features), finite."""

_OBJECT_ID = re.compile(r'("__id__": |"file": ")(\d+)')
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that a zip can hold


class FeatureDetector(Detector):
    """A detector that measures features of windows and classifies them with a fitted pipeline.

    Class attributes:
        NAMES: Names of the features, in order.
    """

    WEIGHTS = MODEL
    NAMES: ClassVar[tuple[str, ...]]

    def __init__(self, config: DetectorConfig, device: str = "cpu") -> None:
        super().__init__(config, device)
        self.model: Pipeline | None = None

    @abstractmethod
    def measure(self, pairs: Pairs) -> Features:
        """Measure features float64 (N, len(NAMES)), finite, of windows uint8 (N, window, H, W, 3)."""

    def logits(self, pairs: Pairs) -> Logits:
        return predict_log_odds(self.model, self.measure(pairs))

    @property
    def parameters(self) -> int:
        return count_parameters(self.model)

    def save(self, folder: Path) -> None:
        save_model(folder / self.WEIGHTS, self.model)

    @classmethod
    def load(cls, folder: Path, config: DetectorConfig, device: str = "cpu") -> Self:
        detector = cls(config, device)
        detector.model = load_model(folder / cls.WEIGHTS, len(cls.NAMES))
        return detector


def make_linear_model(strength: float) -> Pipeline:
    """Make an unfitted logistic regression on standardised features.

    Args:
        strength: Inverse L2 strength (scikit-learn's C); smaller regularises more.
    """
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))


def predict_log_odds(model: Pipeline | None, features: Features) -> npt.NDArray[np.float32]:
    """Compute the model's log-odds of being fake, float32 (N,); N may be 0.

    Raises:
        ValueError: There is no model yet.
    """
    if not len(features):
        return np.zeros(0, np.float32)
    if model is None:
        raise ValueError("a detector must be trained before it scores")
    with np.errstate(over="ignore", invalid="ignore"):  # whoever takes the logits refuses those that are not finite
        return np.asarray(model.decision_function(features), np.float32)


def count_parameters(model: Pipeline | None) -> int:
    """Count the coefficients and the intercept; 0 before the fit."""
    return 0 if model is None else int(model[-1].coef_.size + model[-1].intercept_.size)


def save_model(path: Path, model: Pipeline | None) -> None:
    """Write a fitted model; the same model always gives the same bytes.

    Raises:
        ValueError: There is none.
    """
    import skops.io  # slow to import: only where a model is written or read, not in every process that scores

    if model is None:
        raise ValueError("a detector must be trained before it is saved")
    write_bytes(path, _canonicalise(skops.io.dumps(model)))


def load_model(path: Path, n_features: int) -> Pipeline:
    """Read what `save_model` wrote.

    Raises:
        BenchError: It is no such model, is larger than any, holds types that are not on the list, or takes another
            number of features.
    """
    import skops.io

    try:
        model: Any = skops.io.loads(_read_archive(path), trusted=[])
        if not isinstance(model, Pipeline) or model.n_features_in_ != n_features:
            raise ValueError(f"not a model of {n_features} features")
        predict_log_odds(model, np.zeros((1, n_features)))  # a part that is missing is noticed here, not in a score
        count_parameters(model)
    except Exception as error:  # whatever the parsers of skops, NumPy and Python meet in a crafted file
        reason = first_line(error)
        raise BenchError(
            f"{path} does not hold the model of this detector ({reason}).", hint="Train it again."
        ) from error
    return model


def _read_archive(path: Path) -> bytes:
    """The bytes of a skops file whose members, unpacked, are arrays and a schema of together at most `_MAX_BYTES`.

    An array may not be an archive in its turn, as those of sparse matrices are: their sizes would be unchecked.

    Raises:
        ValueError: It holds anything else.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"more than {_MAX_BYTES:,} bytes")
    data = path.read_bytes()
    with zipfile.ZipFile(BytesIO(data)) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > _MAX_BYTES:
            raise ValueError(f"more than {_MAX_BYTES:,} bytes when unpacked")
        for member in members:
            with archive.open(member) as stored:
                if member.filename != _SCHEMA and stored.read(len(_NPY)) != _NPY:
                    raise ValueError(f"'{member.filename}' is no array")
    return data


def _canonicalise(data: bytes) -> bytes:
    """Rewrite a skops file with its objects numbered in order, in place of memory addresses, and without dates."""
    numbers: dict[str, str] = {}

    def renumber(found: re.Match[str]) -> str:
        return found[1] + numbers.setdefault(found[2], str(len(numbers)))

    with zipfile.ZipFile(BytesIO(data)) as archive:
        schema = _OBJECT_ID.sub(renumber, archive.read(_SCHEMA).decode())
        members = {f"{numbers[Path(name).stem]}{Path(name).suffix}": archive.read(name)
                   for name in archive.namelist() if name != _SCHEMA}  # fmt: skip
    written = BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name in sorted(members):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), members[name])
        archive.writestr(zipfile.ZipInfo(_SCHEMA, _EPOCH), schema)
    return written.getvalue()
