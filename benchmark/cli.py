"""The `bench` command.

Exit status: 0 success, 1 a failure with an error message, 2 a usage error, 130 after Ctrl-C.
"""

from __future__ import annotations

import signal
from typing import Annotated, Any

import typer
from rich.markup import escape
from typer.core import TyperGroup

import dancebench
from dancebench.benchmark.commands import data, demo, detect, doctor, leaderboard, listing, score, synth, transfer
from dancebench.benchmark.commands.options import err
from dancebench.benchmark.jobs import quiet_libraries
from dancebench.core.errors import BenchError
from dancebench.core.files import explain_write_errors


class _Bench(TyperGroup):
    """Prints a failure as one line with the error and one with a hint."""

    def invoke(self, ctx: Any) -> Any:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does, with all workers
        try:
            with explain_write_errors():
                return super().invoke(ctx)
        except BenchError as error:
            err.print(f"[bold red]error:[/] {escape(error.message)}", soft_wrap=True, highlight=False)
            if error.hint:
                err.print(f"[bold cyan]hint:[/] {escape(error.hint)}", soft_wrap=True, highlight=False)
            raise typer.Exit(1) from error
        except KeyboardInterrupt:
            err.print("Interrupted. Run the same command again to resume.", soft_wrap=True)
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
app.command("transfer")(transfer.transfer)
app.command("detect")(detect.detect)
app.command("score")(score.score)
app.command("leaderboard")(leaderboard.leaderboard)
app.add_typer(listing.app, name="list")
app.command("doctor")(doctor.doctor)

if __name__ == "__main__":
    app()
