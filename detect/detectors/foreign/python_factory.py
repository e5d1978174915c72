"""`MODULE:FACTORY`, a detector in Python: a factory without arguments that returns a `Scorer`.

    # energy.py
    class Energy:
        config, window = DetectorConfig(height=128, width=64), 1

        def logits(self, pairs): ...   # uint8 (N, window, H, W, 3) -> (N,), higher = more likely fake

The module is the user's own code, and is executed: one that is installed or on PYTHONPATH, else `MODULE.py` in the
folder where the command is called. Its source's SHA-256 is kept with the thresholds that were fixed for it.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Final, Self

import numpy as np
from pydantic import Field

from dancebench.core.errors import BenchError, first_line
from dancebench.core.files import sha256_file
from dancebench.core.schema import Document
from dancebench.detect.detectors.base import DetectorConfig, Logits, Scorer
from dancebench.detect.detectors.foreign._trained_elsewhere import ForeignDetector, check_logits
from dancebench.detect.inputs.pairs import Pairs

_NAME: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_OWN_CODE: Final = "It is your own code: call it in Python to see where."


class FactoryConfig(DetectorConfig):
    """Settings of the scorer that the factory returns."""

    factory: str = Field(pattern=_NAME.pattern)
    """MODULE:FACTORY."""
    source_sha256: str
    """Of the module's file."""
    window: int = Field(ge=1)


class FactoryRecord(Document):
    """`factory.json`: which factory the card beside it is of; its code lies with its owner."""

    factory: str
    source_sha256: str


class FactoryDetector(ForeignDetector):
    """A Python factory of your own, which returns a `Scorer`."""

    VARIANT: ClassVar[str | None] = "factory"
    WEIGHTS = "factory.json"
    Config = FactoryConfig
    config: FactoryConfig

    def __init__(self, config: DetectorConfig, device: str = "cpu") -> None:
        super().__init__(config, device)
        module = _import_module(self.config.factory)
        if _hash_source(module) != self.config.source_sha256:
            raise BenchError(
                f"The module of '{self.config.factory}' was changed since its thresholds were fixed.",
                hint="Fix them again: bench detect --holdout --detector MODULE:FACTORY.",
            )
        self._scorer = _make_scorer(module, self.config.factory)

    @classmethod
    def read_variant(cls, variant: str) -> dict[str, Any]:
        """Settings of the scorer that the factory returns.

        Raises:
            BenchError: There is no such module or factory, it raises, or what it returns is no scorer.
        """
        if not _NAME.fullmatch(variant):
            raise BenchError(f"'{variant}' names no factory.", hint="Write MODULE:FACTORY, like energy:make.")
        module = _import_module(variant)
        scorer = _make_scorer(module, variant)
        config = scorer.config
        return {
            "factory": variant, "source_sha256": _hash_source(module), "window": scorer.window,
            "height": config.height, "width": config.width, "view": config.view, "pairs": config.pairs,
        }  # fmt: skip

    @property
    def window(self) -> int:
        return self.config.window

    @property
    def origin(self) -> str:
        return f"trained elsewhere, on what is not known; Python module, SHA-256 {self.config.source_sha256}"

    def logits(self, pairs: Pairs) -> Logits:
        if not len(pairs):
            return np.zeros(0, np.float32)
        name = self.config.factory
        try:
            values = self._scorer.logits(pairs)
        except BenchError:
            raise
        except Exception as error:  # foreign code: a video that it fails on is a row with this reason
            raise BenchError(
                f"'{name}' raised {type(error).__name__} while it scored: {first_line(error)}", hint=_OWN_CODE
            ) from error
        return check_logits(values, len(pairs), f"'{name}'")

    @property
    def parameters(self) -> None:
        """Not known."""
        return None

    def save(self, folder: Path) -> None:
        record = FactoryRecord(factory=self.config.factory, source_sha256=self.config.source_sha256)
        record.save(folder / self.WEIGHTS)

    @classmethod
    def load(cls, folder: Path, config: DetectorConfig, device: str = "cpu") -> Self:
        FactoryRecord.load(folder / cls.WEIGHTS)
        return cls(config, device)


def _import_module(factory: str) -> ModuleType:
    """Import a factory's module.

    Raises:
        BenchError: There is none, or it cannot be imported.
    """
    name = factory.partition(":")[0]
    try:
        if importlib.util.find_spec(name) is not None:
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _explain(name, error) from error
    except (Exception, SystemExit) as error:
        raise _explain(name, error) from error
    path = Path(f"{name}.py").absolute()
    spec = importlib.util.spec_from_file_location(name, path) if path.is_file() else None
    if spec is None or spec.loader is None:
        raise BenchError(
            f"There is neither a detector '{name}' nor a Python module of that name.",
            hint=f"Choose one of bench list detectors; {factory} needs {name}.py here or on PYTHONPATH.",
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _explain(name, error) from error
    return module


def _explain(name: str, error: BaseException) -> BenchError:
    return BenchError(
        f"The module '{name}' cannot be imported: {type(error).__name__}: {first_line(error)}", hint=_OWN_CODE
    )


def _hash_source(module: ModuleType) -> str:
    """SHA-256 of the module's file.

    Raises:
        BenchError: It has none.
    """
    if module.__file__ is None:
        raise BenchError(f"The module '{module.__name__}' has no file.", hint="Put the factory into a .py file.")
    return sha256_file(Path(module.__file__))


def _make_scorer(module: ModuleType, factory: str) -> Scorer:
    """Call a factory.

    Raises:
        BenchError: There is none, it raises, or what it returns is no scorer.
    """
    make = getattr(module, factory.partition(":")[2], None)
    if not callable(make):
        raise BenchError(
            f"The module '{module.__name__}' has no factory '{factory.partition(':')[2]}'.",
            hint="Name a function or class of it that returns a scorer.",
        )
    try:
        scorer = make()
    except (Exception, SystemExit) as error:
        raise BenchError(
            f"The factory '{factory}' raised {type(error).__name__}: {first_line(error)}", hint=_OWN_CODE
        ) from error
    config, window = getattr(scorer, "config", None), getattr(scorer, "window", None)
    missing = [
        what
        for what, present in (
            ("config, a DetectorConfig", isinstance(config, DetectorConfig)),
            ("window, a number of frames", isinstance(window, int) and window >= 1),
            ("logits(pairs)", callable(getattr(scorer, "logits", None))),
        )
        if not present
    ]
    if missing:
        raise BenchError(
            f"What '{factory}' returns is no scorer: it lacks {'; '.join(missing)}.",
            hint="See 'Your detector' in README.",
        )
    return scorer  # type: ignore[no-any-return] # what it offers was checked
