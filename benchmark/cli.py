"""The `bench` command.

Exit status: 0 success, 1 a failure with an error message, 2 a usage error, 130 after Ctrl-C.
"""

from __future__ import annotations

import signal
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import dancebench
from dancebench.benchmark.commands import (
    data,
    demo,
    detect,
    doctor,
    leaderboard,
    listing,
    measure,
    score,
    synth,
    transfer,
)
from dancebench.benchmark.commands.study import app as study
from dancebench.benchmark.console import err, flush_output, prepare_streams, print_error
from dancebench.benchmark.jobs import keep_workers, quiet_libraries
from dancebench.core.errors import BenchError
from dancebench.core.files import explain_file_errors


class _Bench(TyperGroup):
    """Prints a failure as one line with the error and one with a hint."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run a command; what it printed has reached standard output, or the exit status is 1."""
        prepare_streams()
        try:
            return super().main(*args, **options)
        finally:
            try:
                flush_output()
            except BenchError as error:
                print_error(error)
                raise SystemExit(1) from error

    def invoke(self, ctx: Any) -> Any:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does, with all workers
        try:
            with explain_file_errors(), keep_workers():
                return super().invoke(ctx)
        except BenchError as error:
            print_error(error)
            raise typer.Exit(1) from error
        except KeyboardInterrupt:
            err.print_lines("Interrupted. Run the same command again to resume.")
            raise typer.Exit(130) from None


app = typer.Typer(
    name="bench",
    cls=_Bench,
    help="A forensics-first benchmark of synthesized videos of people.",
    epilog="Start with: bench demo",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dancebench {dancebench.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    quiet_libraries()


app.command("demo")(demo.demo)
app.add_typer(data.app, name="data")
app.command("synth")(synth.synth)
app.command("measure")(measure.measure)
app.command("transfer")(transfer.transfer)
app.command("detect")(detect.detect)
app.command("score")(score.score)
app.command("leaderboard")(leaderboard.leaderboard)
app.add_typer(study.app, name="study")
app.add_typer(listing.app, name="list")
app.command("doctor")(doctor.doctor)

if __name__ == "__main__":
    app()
