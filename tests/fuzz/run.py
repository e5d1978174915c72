"""Mutated files through every command that opens one: `make fuzz`, or

    PYTHONPATH=tests python -m fuzz.run [--seed 0] [--files 1000] [--minutes 20] [--only INDEX]

First the valid files are made, a minute. Then each mutated file goes to one command, both by the seed and its index, in
standing worker processes. A command may succeed or refuse in one line of cause and one of hint. Failures: a traceback,
a time above 60 s, a dead worker, memory above 1.5 GB, a row with neither score nor reason. Files that failed are kept
with what is needed to call the command again, and the call is printed; `verdicts.csv` has a row for each file. The exit
status is 1 if there is a failure, or if fewer than 30 % of the mutated videos still give a frame: the campaign would
then test the opening of files alone.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from fuzz.commands import Case, plan_case
from fuzz.corpus import make_corpus
from fuzz.judge import run_case
from fuzz.pool import Limits, Outcome, run_all

SMALLEST_SHARE = 0.3
Ended = list[tuple[Case, Outcome]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign; returns the exit status."""
    options = parse(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    began = time.monotonic()
    base = options.folder.absolute() / "base"
    if options.only is None or not base.exists():
        shutil.rmtree(options.folder, ignore_errors=True)
        base.mkdir(parents=True)
        missing = make_corpus(base)
        print(f"valid files made in {time.monotonic() - began:.0f} s", flush=True)
        if missing:
            print(f"left out, since no encoder is there: {', '.join(missing)}")
    numbers = range(options.files) if options.only is None else [options.only]
    cases = [plan_case(base, options.folder.absolute() / "cases", options.seed, index) for index in numbers]
    ended: Ended = []
    for index, outcome in run_all(
        run_case, cases, workers=options.jobs, limits=Limits(), log=options.folder / "workers.log",
        until=began + 60 * options.minutes,
    ):  # fmt: skip
        case = cases[index]
        ended.append((case, outcome))
        if outcome.verdict.kind == "failed":
            print(f"FAILED {case.seed}-{case.index}: {case.command.name}: {outcome.verdict.reason.strip()[-300:]}")
            (case.folder / "reason.txt").write_text(outcome.verdict.reason, errors="replace")
        elif options.only is None:
            shutil.rmtree(case.folder)
        elif outcome.verdict.reason:
            print(outcome.verdict.reason)
        if len(ended) % 50 == 0:
            print(f"{len(ended)} of {len(cases)}, {time.monotonic() - began:.0f} s", flush=True)
    write_verdicts(options.folder / "verdicts.csv", ended)
    print(*summarise(ended), sep="\n")
    print(f"{len(ended)} of {len(cases)} files, seed {options.seed}, in {time.monotonic() - began:.0f} s")
    return decide(ended)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.run", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=20, help="no file is begun later")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", type=int, metavar="INDEX", help="make this one file again and keep it")
    parser.add_argument("--folder", type=Path, default=Path("build/fuzz"), help="emptied first; failures are kept here")
    return parser.parse_args(arguments)


def write_verdicts(path: Path, ended: Ended) -> None:
    """Write a row for each file, in the order of the indices."""
    with path.open("w", newline="", encoding="utf-8", errors="replace") as file:
        writer = csv.writer(file)
        writer.writerow(("index", "command", "file", "verdict", "gives_frame", "seconds", "peak_bytes", "reason"))
        for case, outcome in sorted(ended, key=lambda pair: pair[0].index):
            verdict = outcome.verdict
            took = f"{outcome.seconds:.2f}", outcome.peak_bytes
            known = (verdict.kind, verdict.gives_frame, *took, verdict.reason)
            writer.writerow((case.index, case.command.name, case.file, *known))


def compute_frame_share(ended: Ended) -> float | None:
    """Share of the mutated videos that still give a frame; None without videos."""
    looked = [outcome.verdict.gives_frame for _, outcome in ended if outcome.verdict.gives_frame is not None]
    return sum(looked) / len(looked) if looked else None


def summarise(ended: Ended) -> list[str]:
    """A table of the commands, the failures, and how each is made again."""
    rows: dict[str, list[Outcome]] = defaultdict(list)
    for case, outcome in ended:
        rows[case.command.name].append(outcome)
    lines = [f"{'command':<22}{'files':>6}{'ok':>6}{'refused':>9}{'failed':>8}{'slowest':>10}{'memory':>10}"]
    for name, outcomes in [*sorted(rows.items()), ("all", [outcome for _, outcome in ended])]:
        kinds = [outcome.verdict.kind for outcome in outcomes]
        counts = f"{len(kinds):>6}{kinds.count('ok'):>6}{kinds.count('refused'):>9}{kinds.count('failed'):>8}"
        slowest = max((outcome.seconds for outcome in outcomes), default=0)
        largest = max((outcome.peak_bytes for outcome in outcomes), default=0)
        lines.append(f"{name:<22}{counts}{slowest:>8.1f} s{largest / 1e6:>7.0f} MB")
    share = compute_frame_share(ended)
    lines.append("no videos" if share is None else f"{share:.0%} of the mutated videos still give a frame")
    failed = [case for case, outcome in ended if outcome.verdict.kind == "failed"]
    return lines + [f"kept: {case.reproduction}" for case in failed]


def decide(ended: Ended) -> int:
    """The exit status."""
    share = compute_frame_share(ended)
    few = share is not None and share < SMALLEST_SHARE and len(ended) > 1
    return int(few or any(outcome.verdict.kind == "failed" for _, outcome in ended))


if __name__ == "__main__":
    sys.exit(main())
