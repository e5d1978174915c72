"""`bench study`: the perceptual study, from fakes on disk to a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args

import typer
from rich.table import Table

from dancebench.benchmark.commands.options import (
    DEFAULT_WORKSPACE,
    DatasetOption,
    JsonOption,
    SeedOption,
    WorkspaceOption,
    open_workspace,
    parse_settings,
    read_argv,
)  # fmt: skip
from dancebench.benchmark.commands.progress_bars import ProgressBars
from dancebench.benchmark.console import err, out, print_json
from dancebench.core.errors import BenchError, UnknownNameError

if TYPE_CHECKING:
    from dancebench.benchmark.study.records import StudyRecord, Task
    from dancebench.benchmark.study.rehearse import Rehearsal
    from dancebench.benchmark.study.report import StudyReport

app = typer.Typer(
    help="The perceptual study: make it, rehearse it, ask people, report what they saw.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
NameArgument = Annotated[str, typer.Argument(help="Name of the study.")]
ColumnsOption = Annotated[
    str, typer.Option("--columns", help="bench, or pwcmp: Observer,Session,Scene,Condition_1,Condition_2,Selection.")
]
_COLUMNS: Final = ("bench", "pwcmp")
_STEP: Final = 0.5
"""Between the strengths of methods in a rehearsal, in logits, where none are given."""


@app.command(
    epilog='Examples: bench study make pilot --method fbf --method fbf-ts --contact "A. Researcher, a@example.org" · '
    'bench study make believed --task real-or-fake --method fbf-ts --size native --contact "…"'
)
def make(
    name: NameArgument,
    method: Annotated[list[str], typer.Option(help="A method to be compared; repeat it for several.")],
    contact: Annotated[str, typer.Option(help="Who asks, and how to reach them: raters are told.")],
    task: Annotated[
        str,
        typer.Option(
            help="edn: which looks more realistic; ddg: five questions about a pair; real-or-fake: single videos."
        ),
    ] = "edn",
    subject: Annotated[
        list[str] | None, typer.Option(help="A target; repeat it for several. Default: all targets.")
    ] = None,
    dataset: DatasetOption = "demo",
    preset: Annotated[str, typer.Option(help="The preset of the fakes.")] = "protocol",
    training_seed: Annotated[int, typer.Option(min=0, help="The seed that the fakes were trained with.")] = 0,
    seconds: Annotated[float, typer.Option(min=0.1, help="Longest snippet, from the middle of the clip.")] = 10,
    whole: Annotated[bool, typer.Option("--whole", help="Show whole clips, however long.")] = False,
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH that clips are letterboxed to, or native.")] = "144x256",
    trials: Annotated[int, typer.Option(min=1, help="Pairs (or videos) for each rater.")] = 18,
    checks: Annotated[int, typer.Option(min=0, help="Attention checks for each rater.")] = 2,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="rules.KEY=VALUE", help="Another exclusion rule; repeatable."),
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Make a study from the fakes on disk: snippets, pairs, attention checks, exclusion rules."""
    from dancebench.benchmark.runs.synthesis import open_dataset
    from dancebench.benchmark.study.make import StudyPlan, make_study
    from dancebench.benchmark.study.records import ExclusionRules
    from dancebench.core.schema import set_fields
    from dancebench.synth.base import METHODS

    chosen = _parse_task(task)
    methods = tuple(dict.fromkeys(method))
    for each in methods:
        METHODS[each]
    if chosen != "real-or-fake" and len(methods) < 2:
        raise typer.BadParameter("a pair takes two methods", param_hint="--method")
    rules = set_fields("rules", ExclusionRules(), parse_settings(changes, ["rules"]).get("rules", {}), {})
    opened = open_workspace(workspace)
    data = open_dataset(opened, dataset)
    for each in subject or ():
        if each not in data.ids():
            raise UnknownNameError("subject", each, data.ids())
    plan = StudyPlan(
        opened, data, name, chosen, methods, tuple(dict.fromkeys(subject)) if subject else None,
        f"{preset}-s{training_seed}", seed, None if whole else seconds, _parse_frame_size(size), trials, checks,
        contact, rules,
    )  # fmt: skip
    with ProgressBars(err) as display:
        study = make_study(plan, report=display.report)
    if json:
        print_json(study.model_dump(mode="json"))
        return
    _print_study(study)
    out.print_lines(f"next: bench study rehearse {name}, then bench study serve {name}")


@app.command(epilog="Examples: bench study serve pilot · bench study serve pilot --host 0.0.0.0 --port 8080")
def serve(
    name: NameArgument,
    host: Annotated[str, typer.Option(help="Address to listen on; others than this machine's own need a TLS proxy.")]
    = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8100,
    token: Annotated[bool, typer.Option("--token/--no-token", help="Whether the link needs the study's token.")] = True,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:  # fmt: skip
    """Serve the study's page until Ctrl-C. Every answer is on the disk before it is acknowledged."""
    from dancebench.benchmark.study.records import Access, StudyFolder
    from dancebench.benchmark.study.serve import bind, open_server
    from dancebench.benchmark.study.store import Store

    folder = StudyFolder(open_workspace(workspace), name)
    study = folder.load()
    folder.check_clips(study)
    store = Store(folder.store_path, study)
    server = open_server(folder, store, study, needs_token=token)
    bound = bind(host, port)
    access = Access.load(folder.access_path)
    shown = f"[{host}]" if ":" in host else host
    link = f"http://{shown}:{bound.getsockname()[1]}/" + (f"?t={access.token}" if token else "")
    joined = "&" if token else "?"
    out.print_lines(
        f"page  {link}",
        f"for a panel  {link}{joined}PROLIFIC_PID={{{{%PROLIFIC_PID%}}}}&STUDY_ID={{{{%STUDY_ID%}}}}"
        "&SESSION_ID={{%SESSION_ID%}}",
        f"completion codes  {access.completed} finished, {access.screened_out} screened out",
    )
    try:
        server.run(sockets=[bound])
    finally:
        store.close()
    err.print_lines(f"Stopped. Report with: bench study report {name}")


@app.command(epilog="Examples: bench study report pilot · bench study report pilot --json")
def report(name: NameArgument, workspace: WorkspaceOption = DEFAULT_WORKSPACE, json: JsonOption = False) -> None:
    """Analyse the answers, write report.md and report.json, and record every method for the leaderboard."""
    from dancebench.benchmark.runs.run_clock import RunClock
    from dancebench.benchmark.study.records import StudyFolder
    from dancebench.benchmark.study.report import report_study
    from dancebench.leaderboards.board import rebuild

    opened = open_workspace(workspace)
    found = report_study(opened, name, RunClock(read_argv()))
    rebuild(opened.results, opened.leaderboards)
    if json:
        print_json(found.model_dump(mode="json"))
        return
    _print_report(found)
    out.print_lines(str(StudyFolder(opened, name).path / "report.md"))


@app.command(
    epilog="Examples: bench study rehearse pilot · "
    "bench study rehearse pilot --raters 60 --strength fbf=0 --strength fbf-ts=0.4 --set raters.careless=0.2"
)
def rehearse(
    name: NameArgument,
    raters: Annotated[int, typer.Option(min=2, max=10_000, help="Number of simulated raters.")] = 30,
    strength: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METHOD=LOGITS",
            help="A method's true strength (real-or-fake: how synthesized it looks); default: steps of 0.5.",
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="raters.KEY=VALUE",
            help="subject_sd, rater_sd, lapses, careless or failing_videos; repeatable.",
        ),
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Let simulated raters of known preference answer through the page's server: does the design find what is there?"""
    from dancebench.benchmark.study.records import StudyFolder
    from dancebench.benchmark.study.rehearse import Raters
    from dancebench.benchmark.study.rehearse import rehearse as run_rehearsal
    from dancebench.core.schema import set_fields

    folder = StudyFolder(open_workspace(workspace), name)
    study = folder.load()
    settings = parse_settings(changes, ["raters"]).get("raters", {})
    people = set_fields("raters", Raters(count=raters), settings, {"count": "--raters"})
    truth = _parse_strengths(strength, study)
    with ProgressBars(err) as display:
        rehearsal = run_rehearsal(folder, people, truth, seed, display.report)
    if json:
        print_json(rehearsal.model_dump(mode="json"))
        return
    _print_rehearsal(rehearsal)
    if rehearsal.stored != rehearsal.acknowledged:
        raise BenchError(
            f"{rehearsal.acknowledged} answers were acknowledged and {rehearsal.stored} are stored.",
            hint="Do not run the study on this machine; check its disk.",
        )


@app.command(
    "import", epilog="Examples: bench study import votes.csv elsewhere · bench study import old.csv old --columns pwcmp"
)
def import_votes(
    file: Annotated[Path, typer.Argument(help="A CSV file of votes, or of answers about single videos.")],
    name: NameArgument,
    columns: ColumnsOption = "bench",
    question: Annotated[str, typer.Option(help="What was asked, for pwcmp's columns.")] = "realistic",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Import the votes of a study that was run elsewhere, for bench study report."""
    from dancebench.benchmark.study.records import StudyFolder
    from dancebench.leaderboards.perceptual import votes

    parsed = _parse_columns(columns)
    folder = StudyFolder(open_workspace(workspace), name)
    if folder.path.exists():
        raise BenchError(f"The study '{name}' exists.", hint="Choose another name.")
    if parsed == "bench" and votes.is_judgement_file(file):
        judgements = votes.read_judgements(file)
        votes.write_judgements(folder.votes_path, judgements)
        count = len(judgements)
    else:
        read = votes.read_votes(file, parsed, question)
        votes.write_votes(folder.votes_path, read)
        count = len(read)
    out.print_lines(f"{count} answers in {folder.votes_path}", f"next: bench study report {name}")


@app.command(epilog="Examples: bench study export pilot votes.csv · bench study export pilot pw.csv --columns pwcmp")
def export(
    name: NameArgument,
    file: Annotated[Path, typer.Argument(help="The CSV file to write.")],
    columns: ColumnsOption = "bench",
    question: Annotated[str | None, typer.Option(help="One question of several.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Export the answers that are used, under the raters' random ids."""
    from dancebench.benchmark.study.records import StudyFolder
    from dancebench.benchmark.study.report import read_answers
    from dancebench.leaderboards.perceptual.votes import write_judgements, write_votes

    parsed = _parse_columns(columns)
    _, answers = read_answers(StudyFolder(open_workspace(workspace), name))
    if answers.judgements:
        if parsed == "pwcmp":
            raise BenchError("pwcmp's columns hold pairs, not single videos.", hint="Use --columns bench.")
        write_judgements(file, answers.judgements)
    else:
        known = list(dict.fromkeys(vote.question for vote in answers.votes))
        if question is not None and question not in known:
            raise UnknownNameError("question", question, known)
        write_votes(file, [vote for vote in answers.votes if question in (None, vote.question)], parsed)
    out.print_lines(f"{len(answers.judgements or answers.votes)} answers read, written to {file}")


@app.command(epilog="Example: bench study erase pilot r0123456789ab")
def erase(
    name: NameArgument,
    rater: Annotated[str, typer.Argument(help="The rater's id in the study, as the page shows it at the end.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Erase a rater who asks for it, with all answers. Run the report again afterwards."""
    from dancebench.benchmark.study.records import StudyFolder
    from dancebench.benchmark.study.store import Store

    folder = StudyFolder(open_workspace(workspace), name)
    store = Store(folder.store_path, folder.load())
    try:
        if not store.erase(rater):
            raise UnknownNameError("rater", rater, [each.id for each in store.list_raters()])
    finally:
        store.close()
    out.print_lines(f"erased {rater}", f"next: bench study report {name}")


def _parse_task(text: str) -> Task:
    from dancebench.benchmark.study.records import Task

    tasks: tuple[Task, ...] = get_args(Task)
    for task in tasks:
        if task == text:
            return task
    raise UnknownNameError("task", text, tasks)


def _parse_columns(text: str) -> Literal["bench", "pwcmp"]:
    if text == "bench":
        return "bench"
    if text == "pwcmp":
        return "pwcmp"
    raise UnknownNameError("set of columns", text, _COLUMNS)


def _parse_frame_size(text: str) -> tuple[int, int] | None:
    if text == "native":
        return None
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal()) or any(
        int(side) % 2 or not 16 <= int(side) <= 4096 for side in (height, width)
    ):
        raise typer.BadParameter(
            f"'{text}' is neither HEIGHTxWIDTH (even, 16 to 4096) nor 'native'", param_hint="--size"
        )
    return int(height), int(width)


def _parse_strengths(texts: list[str] | None, study: StudyRecord) -> dict[str, float]:
    truth = {method: at * _STEP for at, method in enumerate(study.methods)}
    for text in texts or ():
        method, _, value = text.partition("=")
        if method not in truth:
            raise UnknownNameError("method of the study", method, study.methods)
        try:
            truth[method] = float(value)
        except ValueError:
            raise typer.BadParameter(f"'{text}' is not METHOD=LOGITS", param_hint="--strength") from None
        if not abs(truth[method]) <= 20:
            raise typer.BadParameter(f"'{text}': between -20 and 20 logits", param_hint="--strength")
    return truth


def _print_study(study: StudyRecord) -> None:
    kinds = [check.kind for check in study.checks]
    unit = "pairs" if study.is_pairwise else "videos"
    out.print_lines(
        f"study {study.name}: {len(study.items)} {unit} of {len(study.subjects)} subjects, {study.frame_size}",
        f"each rater: {study.trials_per_rater} {unit} and {study.checks_per_rater} attention checks "
        f"(of {kinds.count('instructed')} instructed, {kinds.count('obvious')} obvious)",
        f"exclusion rules: SHA-256 {study.rules_sha256}",
    )


def _print_report(found: StudyReport) -> None:
    from dancebench.benchmark.study.report import list_screen_rows

    part = found.participation
    if part is not None:
        out.print_lines(f"{part.enrolled} raters enrolled, {part.finished} finished, {part.used} used")
    table = Table("", "%", "95%", "p (Holm)", "n", box=None, pad_edge=False)
    for row in list_screen_rows(found):
        table.add_row(*row)
    out.print(table)
    if part is not None and part.short_of_votes:
        out.print_lines(f"short of votes: {len(part.short_of_votes)} (see report.md)")


def _print_rehearsal(rehearsal: Rehearsal) -> None:
    _print_report(rehearsal.report)
    table = Table("", "true %", "found %", "covered", "difference found", box=None, pad_edge=False)
    for pair in rehearsal.pairs:
        row: list[Any] = [
            f"{pair.question}: {pair.method} over {pair.other}", f"{pair.true_share:.1%}", f"{pair.found_share:.1%}",
            {True: "yes", False: "no", None: "–"}[pair.covered], "yes" if pair.found else "no",
        ]  # fmt: skip
        table.add_row(*row)
    if rehearsal.pairs:
        out.print(table)
    out.print_lines(f"{rehearsal.acknowledged} answers acknowledged, {rehearsal.stored} stored")
