"""The fleet panel: captures of many sites read into one dataset, beside the kernel's thread, and what it answers.

Every control is an ordinary widget::

    panel = show_fleet_panel("../data/clients/acme", "../out/acme")
    panel.start.click()

What is done stays done: stop at any time, and start again to go on with the rest.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ipywidgets

from ccp_assess.client.masking import FOLDER
from ccp_assess.errors import CcpAssessError
from ccp_assess.files import write_whole
from ccp_assess.fleet.answers import QUESTIONS, Answers
from ccp_assess.fleet.cluster import Engine
from ccp_assess.fleet.masked import STORE, AnswersMask
from ccp_assess.fleet.needs import check_installed
from ccp_assess.fleet.run import FleetResult, run_fleet
from ccp_assess.report.style import CRITICAL
from ccp_assess.report.words import clean, number
from ccp_assess.shapes import parse_json
from ccp_assess.widgets.fleet_answers import FleetAnswers
from ccp_assess.widgets.fleet_collector import FleetCollector
from ccp_assess.widgets.fleet_masking import Fields
from ccp_assess.widgets.jobs import Job
from ccp_assess.widgets.panel import LABEL, LINE, WIDE, Panel, button, panel_box, problem_html, row, said_html
from ccp_assess.widgets.progress import Progress, bytes_html, silent, size

_MOST_FILES = 50
_HERE, _ELSEWHERE = "here", "scheduler"
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_SMALL_SECONDS = 1_000_000
_DASHBOARD = "dashboard:"
_STOPPED = "Stopped. What is done is kept: start again to go on with the rest."


class FleetPanel(Panel):
    """Many sites: the run, and the answers of its dataset.

    Parameters
    ----------
    source, dest
        Folders or buckets; empty to be chosen.
    engine
        Where the work is done.
    since
        An instant to compare before and after; without a zone it is taken as UTC.
    masked
        Whether whatever names the client or its places is masked.
    inbox, inbox_keys
        Where agents' signed results are dropped, and the files of the keys that they are signed with.

    Attributes
    ----------
    source, dest
        Where from and where to: folders or addresses of buckets.
    where, workers
        On this machine, and with how many processes.
    scheduler, ca, certificate, key
        Or at a scheduler, and the files of TLS.
    start, job
        Button that starts or goes on; the work, with a button that stops it.
    dashboard
        Where Dask shows what its workers do.
    told
        What the run did: units, files set aside with the reason.
    answers
        Below: what the dataset answers, with the switch that masks names.
    collector
        Below that: the inbox of agents' results.
    result
        Of the last run; ``None`` before.
    """

    def __init__(
        self,
        source: str = "",
        dest: str = "",
        engine: Engine | None = None,
        since: datetime | None = None,
        *,
        masked: bool = False,
        inbox: str = "",
        inbox_keys: Sequence[str] = (),
    ) -> None:
        engine = Engine() if engine is None else engine
        self._insecure = engine.insecure
        self.result: FleetResult | None = None
        self.source = _text("Captures from", "folder or s3://bucket/folder", source)
        self.dest = _text("Dataset in", "folder or s3://bucket/folder", dest)
        self.where = ipywidgets.Dropdown(
            options=[("On this machine", _HERE), ("On the workers of a Dask scheduler", _ELSEWHERE)],
            value=_HERE if engine.scheduler is None else _ELSEWHERE,
            description="Work",
            style=LABEL,
            layout=WIDE,
        )
        self.workers = ipywidgets.BoundedIntText(
            value=engine.workers or os.cpu_count() or 1, min=1, max=256, description="Workers", style=LABEL, layout=WIDE
        )
        self.scheduler = _text("Scheduler", "tls://host:8786", engine.scheduler or "")
        self.ca = _text("Authority (PEM)", "file of the authority's certificate", engine.ca or "")
        self.certificate = _text("Certificate (PEM)", "file of the own certificate", engine.certificate or "")
        self.key = _text("Its key (PEM)", "file", engine.key or "")
        self.start = button("Start, or go on", is_primary=True)
        self.dashboard, self.told = ipywidgets.HTML(), ipywidgets.HTML()
        self.job: Job[FleetResult] = Job(self._end, self._take, html=bytes_html, stopped=_STOPPED)
        self._fields = Fields(
            {
                self.source: str(FOLDER),
                self.dest: STORE,
                **dict.fromkeys((self.scheduler, self.ca, self.certificate, self.key), "(masked)"),
            }
        )
        self.answers = FleetAnswers(since, masked=masked, words=self._fields.words, shown=self._on_shown)
        self.collector = FleetCollector(self._dest, self._on_collected, inbox, inbox_keys)
        self._elsewhere = ipywidgets.VBox([self.scheduler, self.ca, self.certificate, self.key])
        self.box = panel_box(
            "fleet",
            "Many sites, one dataset",
            [
                self.answers.masked,
                row(
                    ipywidgets.VBox([self.source, self.dest]),
                    ipywidgets.VBox([self.where, self.workers, self._elsewhere]),
                ),
                row(self.start, self.job.box),
                self.dashboard,
                self.told,
                self.answers.box,
                self.collector.box,
            ],
        )
        self.where.observe(self._on_where, names="value")
        self.dest.observe(self._on_dest, names="value")
        self.start.on_click(self._on_start)
        self._on_where(None)
        self._open()
        if inbox:
            self.collector.show_state()
        self.answers.show()

    @property
    def engine(self) -> Engine:
        """Where the work is done, as the controls say."""
        if self.where.value == _HERE:
            return Engine(workers=self.workers.value)
        return Engine(
            scheduler=self._fields.value(self.scheduler),
            ca=self._fields.value(self.ca) or None,
            certificate=self._fields.value(self.certificate) or None,
            key=self._fields.value(self.key) or None,
            insecure=self._insecure,
        )

    @property
    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """Rows of the answers that were read last, by name; none before."""
        found: Answers | None = self.answers.answers
        return {name: [] for name in QUESTIONS} if found is None else found.rows

    def run(self, progress: Progress | None = None) -> None:
        """Do the same as the button, here and now; what goes wrong is a sentence in the panel.

        Parameters
        ----------
        progress
            Called with what is being done, how much is done, and how much there is [bytes].
        """
        try:
            self._end(self._work()(progress or silent), wait=True)
        except CcpAssessError as error:
            self.told.value = problem_html(self._fields.words(str(error)))

    def write_page(self, path: str | Path) -> Path | None:
        """Write the page to hand over.

        Parameters
        ----------
        path
            The HTML file.

        Returns
        -------
        path
            Of the page; ``None`` where no answers were read, which the panel says.
        """
        html = self.answers.render()
        if html is None:
            return None
        write_whole(Path(path), html)
        return Path(path)

    def static_html(self) -> str:
        """Return what is shown as plain HTML, for where widgets do not work.

        Returns
        -------
        html
            What the run did, and the answers.
        """
        source, dest = (escape(clean(text.value or "not chosen", 200)) for text in (self.source, self.dest))
        head = f"<p style='{LINE}'>Captures from {source}, dataset in {dest}.</p>"
        below = f"{self.answers.static_html()}{self.collector.static_html()}"
        return f"<div>{head}{self.told.value}{below}</div>"

    def _plain_text(self) -> str:
        return f"{len(self.rows['coverage'])} sites in one dataset"

    def _on_where(self, _change: object) -> None:
        is_here = self.where.value == _HERE
        self.workers.layout.display = "" if is_here else "none"
        self._elsewhere.layout.display = "none" if is_here else ""

    def _dest(self) -> str:
        return self._fields.value(self.dest)

    def _on_shown(self) -> None:
        """Show names, or masks of them, in all that stands around the answers."""
        mask = None
        if self.answers.masked.value:
            mask = self.answers.mask or AnswersMask(clients={}, sites={}, providers={}, names={})
        self._fields.cover(mask)
        self.collector.mask(mask)
        if mask is not None and self.where.value == _ELSEWHERE:
            self.dashboard.value = ""
        if not self.job.is_running:
            self.job.shown.value = ""
        if self.result is not None:
            self.told.value = result_html(self.result, mask)
        elif mask is not None:
            self.told.value = ""

    def _on_collected(self) -> None:
        self.answers.read(self._dest())

    def _on_dest(self, _change: object) -> None:
        if not self.job.is_running and not self._fields.is_changing:
            self.told.value = ""
            self._open()

    def _open(self) -> None:
        """Show the dataset that is there already; a small one at once."""
        try:
            check_installed()
        except CcpAssessError as error:
            self.told.value = problem_html(str(error))
            return
        folder = Path(self._dest() or os.devnull)
        if (folder / "dataset.json").is_file():
            self.answers.read(str(folder), wait=_is_small(folder))

    def _on_start(self, _button: object) -> None:
        try:
            work = self._work()
        except CcpAssessError as error:
            self.told.value = problem_html(self._fields.words(str(error)))
            return
        self.told.value = self.dashboard.value = ""
        self.job.start(work, "looking at the captures")

    def _work(self) -> Callable[[Progress], FleetResult]:
        """Return the work with the choices as they are now, since controls may move while it runs."""
        source, dest, engine = self._fields.value(self.source), self._dest(), self.engine
        if not source or not dest:
            raise CcpAssessError("name the folder or bucket with the captures, and one for the dataset")
        if self.where.value == _ELSEWHERE and not engine.scheduler:
            raise CcpAssessError("name the scheduler, such as tls://host:8786")
        check_installed()

        def work(progress: Progress) -> FleetResult:
            try:
                return run_fleet(source, dest, engine, progress=progress, say=self.job.tell)
            except CcpAssessError as error:
                raise CcpAssessError(self._fields.words(str(error))) from error

        return work

    def _take(self, said: str) -> None:
        if self.answers.masked.value and self.where.value == _ELSEWHERE:
            return  # it names the scheduler's machine
        self.dashboard.value = dashboard_html(said) if said.startswith(_DASHBOARD) else said_html(clean(said, 300))

    def _end(self, result: FleetResult, *, wait: bool = False) -> None:
        self.result = result
        self.dashboard.value = ""
        self.told.value = "" if self.answers.masked.value else result_html(result)  # masks follow from the answers
        self.answers.read(self._dest(), wait=wait)


def show_fleet_panel(
    source: str | Path | None = None,
    dest: str | Path | None = None,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    ca: str | Path | None = None,
    certificate: str | Path | None = None,
    key: str | Path | None = None,
    insecure: bool = False,
    since: datetime | str | None = None,
    masked: bool = False,
    inbox: str | Path | None = None,
    inbox_keys: Sequence[str | Path] = (),
) -> FleetPanel:
    """Make the fleet panel.

    Parameters
    ----------
    source, dest
        Folders or buckets; ``None`` to be chosen.
    workers
        Processes on this machine; ``None`` for one per processor.
    scheduler
        Address of a Dask scheduler instead.
    ca, certificate, key
        Files of TLS for it.
    insecure
        Whether a scheduler on another machine may be spoken to in the clear.
    since
        An instant to compare before and after, such as ``2026-11-23 12:00``; without a zone it is UTC.
    masked
        Whether whatever names the client or its places is masked.
    inbox
        Folder or bucket in which agents' signed results are dropped; ``None`` to be chosen.
    inbox_keys
        Files of the keys that they are signed with.

    Returns
    -------
    panel
        Named in the last line of a cell, it shows itself.

    Raises
    ------
    CcpAssessError
        If the instant is none.
    """
    files = (None if path is None else str(path) for path in (ca, certificate, key))
    authority, own, own_key = files
    engine = Engine(scheduler=scheduler, workers=workers, ca=authority, certificate=own, key=own_key, insecure=insecure)
    if isinstance(since, str):
        try:
            since = datetime.fromisoformat(since)
        except ValueError as error:
            raise CcpAssessError(f"{since!r} is no instant; write 2026-11-23 12:00") from error
    return FleetPanel(
        str(source or ""),
        str(dest or ""),
        engine,
        since,
        masked=masked,
        inbox=str(inbox or ""),
        inbox_keys=[str(path) for path in inbox_keys],
    )


def dashboard_html(said: str) -> str:
    """Return where the workers can be watched.

    Parameters
    ----------
    said
        As the run says it: ``dashboard: ADDRESS``, and after a blank how to get there.

    Returns
    -------
    html
        A link where the address is of this machine, else its words; nothing else becomes a link.
    """
    told = said.removeprefix(_DASHBOARD).strip()
    address, _, way = told.partition(" ")
    parts = urlsplit(address)
    if parts.scheme == "http" and parts.hostname in _LOOPBACK:
        words = escape(clean(address, 200))
        shown = f"<a href='{escape(address, quote=True)}' target='_blank' rel='noopener noreferrer'>{words}</a>"
        note = escape(clean(way, 300)) or "(Dask's dashboard, opens on this machine only)"
        return f"<p style='{LINE}'>What the workers do: {shown} {note}</p>"
    note = "" if way else " (Dask's dashboard, on the scheduler's machine)"
    return f"<p style='{LINE}'>What the workers do: {escape(clean(told, 400))}{note}</p>"


def result_html(result: FleetResult, mask: AnswersMask | None = None) -> str:
    """Return what a run did.

    Parameters
    ----------
    result
        Of the run.
    mask
        What stands for names; ``None`` to show them.

    Returns
    -------
    html
        Units done, kept and failed; files set aside and not done, each with its reason.
    """
    told = result.manifest
    aside, failed = list(told["set_aside"]), [{**one, "path": one["paths"][0]} for one in result.failed]
    if mask is not None:
        aside, failed = (
            [{"path": mask.path(one["path"]), "reason": mask.reason(one["path"], one["reason"])} for one in rows]
            for rows in (aside, failed)
        )
    words = (
        f"{number(told['files'])} files with {size(told['bytes'])} in {number(told['units'])} units: {result.done} "
        f"done now, {result.kept} kept from before, {len(failed)} failed; {len(aside)} files set aside."
    )
    return (
        f"<div class='ccp-run'>{said_html(words)}{_files('not done, the next start tries again', failed)}"
        f"{_files('set aside, they cannot be read', aside)}</div>"
    )


def _files(words: str, rows: list[dict[str, Any]]) -> str:
    if not rows:
        return ""
    items = "".join(
        f"<li><bdi>{escape(clean(one['path'], 160))}</bdi>: {escape(clean(one['reason'], 300))}</li>"
        for one in rows[:_MOST_FILES]
    )
    more = (
        f"<li>and {len(rows) - _MOST_FILES} more; manifest.json lists them all</li>" if len(rows) > _MOST_FILES else ""
    )
    return (
        f"<details open style='color:{CRITICAL}'><summary>{len(rows)} {words}</summary><ul style='{LINE}'>{items}{more}"
        "</ul></details>"
    )


def _is_small(folder: Path) -> bool:
    """Say whether a dataset is read within a moment."""
    try:
        told = parse_json((folder / "manifest.json").read_bytes())
        return int(told["rows"].get("seconds", 0)) <= _SMALL_SECONDS
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return False


def _text(label: str, placeholder: str, value: str) -> Any:
    return ipywidgets.Text(
        value=value, description=label, placeholder=placeholder, continuous_update=False, style=LABEL, layout=WIDE
    )
