"""`bench study`: the perceptual study, from fakes on disk to a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
from dancebench.benchmark.commands.study.arguments import (
    parse_columns,
    parse_frame_size,
    parse_strengths,
    parse_task,
)  # fmt: skip
from dancebench.benchmark.commands.study.tables import print_rehearsal, print_report, print_study
from dancebench.benchmark.console import err, out, print_json
from dancebench.core.errors import BenchError, UnknownNameError

app = typer.Typer(
    help="The perceptual study: make it, rehearse it, ask people, report what they saw.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
NameArgument = Annotated[str, typer.Argument(help="Name of the study.")]
ColumnsOption = Annotated[
    str, typer.Option("--columns", help="bench, or pwcmp: Observer,Session,Scene,Condition_1,Condition_2,Selection.")
]


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
            help="edn: which of two looks more realistic; ddg: five questions about up to four at once; "
            "real-or-fake: single videos."
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
    trials: Annotated[
        int, typer.Option(min=1, help="Trials of each rater: pairs, sets of up to four, or single videos.")
    ] = 18,
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

    chosen = parse_task(task)
    methods = tuple(dict.fromkeys(method))
    for each in methods:
        METHODS[each]
    if chosen != "real-or-fake" and len(methods) < 2:
        raise typer.BadParameter("a comparison takes two methods", param_hint="--method")
    rules = set_fields("rules", ExclusionRules(), parse_settings(changes, ["rules"]).get("rules", {}), {})
    opened = open_workspace(workspace)
    data = open_dataset(opened, dataset)
    for each in subject or ():
        if each not in data.ids():
            raise UnknownNameError("subject", each, data.ids())
    plan = StudyPlan(
        opened, data, name, chosen, methods, tuple(dict.fromkeys(subject)) if subject else None,
        f"{preset}-s{training_seed}", seed, None if whole else seconds, parse_frame_size(size), trials, checks,
        contact, rules,
    )  # fmt: skip
    with ProgressBars(err) as display:
        study = make_study(plan, report=display.report)
    if json:
        print_json(study.model_dump(mode="json"))
        return
    print_study(study)
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
    except KeyboardInterrupt:
        pass  # how it is meant to end
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
    print_report(found)
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
    truth = parse_strengths(strength, study)
    with ProgressBars(err) as display:
        rehearsal = run_rehearsal(folder, people, truth, seed, display.report)
    if json:
        print_json(rehearsal.model_dump(mode="json"))
        return
    print_rehearsal(rehearsal)
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

    parsed = parse_columns(columns)
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

    parsed = parse_columns(columns)
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
