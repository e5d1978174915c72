"""Repeat the published results from a clean commit, and say what differs: `make reproduce`.

    python scripts/reproduce.py [--published leaderboards/published] [--workspace build/reproduce] [--estimate]

Which runs, stands in `reproduce.json` of the published folder. It says how many hours they took before it begins;
stopped at any moment, the same command goes on. It ends with status 1 if a number differs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from dancebench.benchmark.console import out, print_error
from dancebench.benchmark.published.comparison import compare_runs
from dancebench.benchmark.published.reproduction import (
    Reproduction,
    estimate_hours,
    require_clean_commit,
    select_planned,
)
from dancebench.core.errors import BenchError
from dancebench.core.workspace import Workspace
from dancebench.leaderboards.records import RunRecord, load_runs


def announce(plan: Reproduction, published: list[RunRecord]) -> None:
    """Say what will be run, and how long that took."""
    estimate = estimate_hours(plan, published)
    for words in plan.list_commands():
        out.print_lines(f"bench {' '.join(words)}")
    out.print_lines(f"{estimate.hours:.1f} hours by the seconds of the published records, on their machine")
    if estimate.unknown:
        names = ", ".join(f"{each.name} ({each.preset})" for each in estimate.unknown)
        out.print_lines(f"not counted, since no record of them is published: {names}")


def run_commands(plan: Reproduction, workspace: Path) -> None:
    """Run every command of the plan in a workspace.

    Raises:
        BenchError: One of them fails.
    """
    for words in plan.list_commands():
        command = [sys.executable, "-m", "dancebench.benchmark.cli", *words, "--workspace", str(workspace)]
        if subprocess.run(command, check=False).returncode != 0:
            raise BenchError(f"bench {' '.join(words)} failed.", hint="See above; the same command goes on from there.")


def tell_differences(plan: Reproduction, published: list[RunRecord], workspace: Path) -> bool:
    """Print what differs, run by run; returns whether anything does."""
    repeated = select_planned(plan, load_runs(Workspace(workspace).results)[0])
    compared = compare_runs(select_planned(plan, published), repeated)
    for each in compared:
        where = "" if each.same_machine else ", on another machine or with other versions"
        state = f"{len(each.differences)} differences{where}" if each.differences else "every number is the same"
        out.print_lines(f"{each.run}: {state}")
        for line in each.differences:
            out.print_lines(f"    {line}")
    return any(each.differences for each in compared)


def main() -> None:
    """Read the command line and repeat what the list says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--published", type=Path, default=Path("leaderboards/published"), help="list and records")
    parser.add_argument("--workspace", type=Path, default=Path("build/reproduce"), help="where the results are made")
    parser.add_argument("--estimate", action="store_true", help="only say what would be run, and for how long")
    given = parser.parse_args()
    try:
        plan = Reproduction.load(given.published / "reproduce.json")
        published = load_runs(given.published / "records")[0]
        announce(plan, published)
        if given.estimate:
            return
        out.print_lines(f"commit {require_clean_commit()}")
        run_commands(plan, given.workspace)
        differs = tell_differences(plan, published, given.workspace)
    except BenchError as error:
        print_error(error)
        raise SystemExit(1) from error
    raise SystemExit(1 if differs else 0)


if __name__ == "__main__":
    main()
