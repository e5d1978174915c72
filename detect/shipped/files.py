"""The files of the shipped detector: where they lie, and whether they are as they were made.

`SHA256SUMS`, in the form of the command of that name, holds the hash of every other file; a file that was changed or
damaged is refused by it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from dancebench.core.errors import BenchError
from dancebench.core.files import explain_read_error, read_bytes, sha256_file, write_text
from dancebench.detect.detectors.base import find_detector_class
from dancebench.detect.evaluation.likelihood_ratios.kept_scores import FILE as CALIBRATION_SCORES
from dancebench.detect.protocol.card import CARD, DetectorCard
from dancebench.detect.shipped.sources import FILE as SOURCES

FOLDER: Final = Path(__file__).parent / "ensemble-1"
NAME: Final = "shipped"
"""What the command line calls it."""
SUMS: Final = "SHA256SUMS"
MODEL_CARD: Final = "CARD.md"
_HINT: Final = "Install dancebench again, or name a detector of your own with --detector."


def seal(folder: Path) -> None:
    """Write the hashes of the files that `check_shipped` asks for."""
    names = _list_files(folder)
    write_text(folder / SUMS, "".join(f"{sha256_file(folder / name)}  {name}\n" for name in names))


def check_shipped(folder: Path = FOLDER) -> Path:
    """Compare every file of the shipped detector with its hash, and return the folder.

    Raises:
        BenchError: A file is missing, or was changed or damaged.
    """
    try:
        sums = read_bytes(folder / SUMS).decode()
        stated = {name: digest for digest, _, name in (line.partition("  ") for line in sums.splitlines())}
        if not {CALIBRATION_SCORES, CARD, MODEL_CARD, SOURCES} < set(stated):
            raise BenchError(f"{folder / SUMS} does not name the files of the shipped detector.", hint=_HINT)
        for name, digest in stated.items():
            if not (folder / name).is_file():
                raise BenchError(f"{folder / name} of the shipped detector is missing.", hint=_HINT)
            if sha256_file(folder / name) != digest:
                raise BenchError(f"{folder / name} of the shipped detector was changed or damaged.", hint=_HINT)
    except FileNotFoundError:
        raise BenchError(f"This package has no shipped detector: {folder / SUMS} is missing.", hint=_HINT) from None
    except UnicodeDecodeError:
        raise BenchError(f"{folder / SUMS} of the shipped detector is damaged.", hint=_HINT) from None
    except OSError as error:
        raise explain_read_error(folder, error) from error
    return folder


def describe_shipped(card: DetectorCard) -> str:
    """What it is, in two lines."""
    auc, cllr = card.metrics["video_auc"], card.metrics["video_cllr"]
    methods = len(card.calibration.video.methods or ())
    interval = "" if auc.ci95 is None else f" [{auc.ci95.low:.2f}, {auc.ci95.high:.2f}]"
    return (
        f"Scored by the detector that ships ({' and '.join(card.config['members'])}), which has learned from real "
        f"recordings of {len(card.data['train'].subjects)} people and from no fake.\n"
        f"On people, sources and methods left out (fakes of {methods} methods): AUC {_say(auc.value)}{interval}, "
        f"Cllr {_say(cllr.value)} (1 says nothing). A detector of your own: bench detect --train."
    )


def _say(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def _list_files(folder: Path) -> list[str]:
    weights = find_detector_class(DetectorCard.load(folder / CARD).detector).WEIGHTS
    return sorted([CALIBRATION_SCORES, CARD, MODEL_CARD, SOURCES, weights])
