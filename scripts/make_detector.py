"""Make the detector that ships from a folder of videos and its list: `make detector VIDEOS=FOLDER LIST=TABLE.csv`.

    python scripts/make_detector.py FOLDER TABLE.csv [--work build/detector] [--out detect/shipped/ensemble-1]

The list has the columns path, label, people, method, real_of, crop, licence, source and author. Stages are kept in the
folder of work; the same command goes on where it was killed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from dancebench.benchmark.commands.progress_bars import ProgressBars
from dancebench.benchmark.console import err, out, print_error
from dancebench.benchmark.jobs import use_one_thread
from dancebench.core.errors import BenchError
from dancebench.detect.shipped.files import FOLDER
from dancebench.detect.shipped.making import make_detector


def main() -> None:
    """Read the command line and make it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of the videos")
    parser.add_argument("table", type=Path, help="their list")
    parser.add_argument("--work", type=Path, default=Path("build/detector"), help="where stages are kept")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the detector")
    given = parser.parse_args()
    use_one_thread()
    try:
        with ProgressBars(err) as display:
            card = make_detector(given.folder, given.table, given.work, given.out, display.report)
    except BenchError as error:
        print_error(error)
        raise SystemExit(1) from error
    for name in ("video_auc", "video_cllr", "video_cllr_min"):
        out.print_lines(f"{name} {card.metrics[name].value:.3f}")


if __name__ == "__main__":
    main()
