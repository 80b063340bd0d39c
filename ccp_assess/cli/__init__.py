"""The command line: parse, call one verb, write; it computes nothing itself.

Each group of commands is a module of this package with a ``typer.Typer`` named ``app`` (or a function for a single
command) and imports what it needs inside its functions, so that ``--help`` is fast.
"""

from __future__ import annotations

import atexit
import errno
import gc
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from ccp_assess import __version__
from ccp_assess.errors import CcpAssessError


@contextmanager
def _endings() -> Iterator[None]:
    """Say how a job ended that someone else ended; typer calls a closed pipe a failure, and says nothing on Ctrl-C."""
    try:
        yield
        sys.stdout.flush()  # a pipe that closed early shows here at the latest, not when Python ends
    except (OSError, SystemExit) as ending:
        if not _is_closed_pipe(ending):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)  # `| head` has read what it wanted: nothing is wrong
    except KeyboardInterrupt:
        sys.stderr.write("ccp-assess: interrupted; what was finished is kept\n")
        sys.exit(130)


def _is_closed_pipe(ending: BaseException) -> bool:
    """Tell whether a reader went away: in Windows' words too, and where rich, which shows help, made an exit of it."""
    cause = ending.__context__ if isinstance(ending, SystemExit) else ending
    if isinstance(cause, BrokenPipeError):
        return True
    return os.name == "nt" and isinstance(cause, OSError) and cause.errno == errno.EINVAL and not cause.filename


class _Commands(TyperGroup):
    """The commands, with our own words for a closed pipe and for Ctrl-C."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        with _endings():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        with _endings():
            return super().invoke(ctx)


app = typer.Typer(
    name="ccp-assess",
    cls=_Commands,
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
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version."),
) -> None:
    """Hold the options that stand before a command."""


def main() -> None:
    """Run the command line: exit 0 done, 1 one line of our own error, 2 usage, 130 interrupted."""
    gc.disable()  # nothing of what is loaded now is garbage
    _register()
    gc.enable()
    atexit.register(gc.freeze)  # the system takes all memory back at once: no last search for garbage in it
    nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere  # None where who started us closed them
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a Windows console's code page must not end a job
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except CcpAssessError as error:
        from ccp_assess.cli.output import printable

        sys.stderr.write(f"ccp-assess: {printable(str(error))}\n")
        sys.exit(1)
    except OSError as error:
        from ccp_assess.cli.output import printable

        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"ccp-assess: {printable(f'{where}{error.strerror or error}')}\n")
        sys.exit(1)
    except Exception as error:
        if os.environ.get("CCP_ASSESS_TRACEBACK"):
            raise
        from ccp_assess.cli.output import printable

        told = printable(f"{type(error).__name__}: {error}")
        sys.stderr.write(f"ccp-assess: a fault of our own ({told}); set CCP_ASSESS_TRACEBACK=1 to see where\n")
        sys.exit(1)


def _register() -> None:
    """Attach each group of commands; a group is one module."""
    from ccp_assess.cli.allowlist import app as allowlist
    from ccp_assess.cli.assess import app as assess
    from ccp_assess.cli.capture import app as capture
    from ccp_assess.cli.client import new
    from ccp_assess.cli.connect import app as connect
    from ccp_assess.cli.fleet import app as fleet
    from ccp_assess.cli.monitor import compare, monitor
    from ccp_assess.cli.probe import app as probe
    from ccp_assess.cli.quality import quality
    from ccp_assess.cli.query import query
    from ccp_assess.cli.regions import app as regions
    from ccp_assess.cli.report import report
    from ccp_assess.cli.trial import trial
    from ccp_assess.cli.witness import app as witness

    app.add_typer(assess, name="assess")
    app.command("new")(new)
    app.add_typer(capture, name="capture")
    app.add_typer(probe, name="probe")
    app.command("monitor")(monitor)
    app.command("compare")(compare)
    app.add_typer(regions, name="regions")
    app.add_typer(allowlist, name="allowlist")
    app.add_typer(witness, name="witness")
    app.add_typer(connect, name="connect")
    app.add_typer(fleet, name="fleet")
    app.command("query")(query)
    app.command("trial")(trial)
    app.command("quality")(quality)
    app.command("report")(report)
