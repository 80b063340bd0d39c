"""The command line: parse, call one verb, write; it computes nothing itself.

Each group of commands is a module of this package with a ``typer.Typer`` named ``app`` (or a function for a single
command) and imports what it needs inside its functions, so that ``--help`` is fast.
"""

from __future__ import annotations

import sys

import typer

from ccp_assess import __version__
from ccp_assess.errors import CcpAssessError

app = typer.Typer(
    name="ccp-assess",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Assess a network for the Amazon Connect softphone and choose the AWS Region, with evidence.",
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"ccp-assess {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """Hold the options that stand before a command."""


def main() -> None:
    """Run the command line: exit 0 done, 1 one line of our own error, 2 usage, 130 interrupted."""
    _register()
    try:
        app()
    except CcpAssessError as error:
        from ccp_assess.cli.output import printable

        sys.stderr.write(f"ccp-assess: {printable(str(error))}\n")
        sys.exit(1)
    except BrokenPipeError:  # `| head` closed the pipe: nothing is wrong
        sys.stderr.close()
        sys.exit(0)
    except KeyboardInterrupt:
        sys.stderr.write("ccp-assess: interrupted; what was finished is kept\n")
        sys.exit(130)


def _register() -> None:
    """Attach each group of commands; a group is one module."""
    from ccp_assess.cli.quality import quality

    app.command("quality")(quality)
