"""The collector in the fleet panel: what lies in the inbox, what was accepted, refused and why, and collecting now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from html import escape
from typing import Any

import ipywidgets

from ccp_assess.errors import CcpAssessError
from ccp_assess.fleet.collect import Collector, CollectResult
from ccp_assess.fleet.collect_state import CollectState, collect_state, terms_of
from ccp_assess.fleet.masked import AnswersMask
from ccp_assess.report.content.many_sites import Column, Table
from ccp_assess.report.words import UNKNOWN, clean, minute, number
from ccp_assess.widgets.controls import ResultTable
from ccp_assess.widgets.fleet_masking import Fields
from ccp_assess.widgets.fleet_tables import clear, fill, static_table
from ccp_assess.widgets.jobs import Job
from ccp_assess.widgets.panel import LABEL, LINE, WIDE, button, problem_html, row, said_html
from ccp_assess.widgets.progress import Progress, size

_MOST_NAMED = 12
_STOPPED = "Stopped. What was collected is kept: collect again to go on with the rest."
_REFUSED = (
    Column(name="name", label="File", say=lambda value: clean(value, 160), kind="text"),
    Column(name="text", label="Why", say=lambda value: clean(value, 300), kind="text"),
    Column(name="kept", label="Kept", kind="word"),
    Column(name="time", label="When", say=lambda value: UNKNOWN if value is None else minute(str(value)), kind="text"),
)


class FleetCollector:
    """The inbox of one dataset.

    Parameters
    ----------
    dest
        Gives the folder or bucket of the dataset as it is chosen now.
    collected
        Called when something was collected.
    inbox
        Folder or bucket; empty to be chosen.
    keys
        Files of the engagement's keys.

    Attributes
    ----------
    box
        All of its widgets.
    inbox, keys, client
        Where results are dropped, the files of the keys (one a line), and whose results they are.
    take
        Whether files leave the inbox once the dataset holds them.
    collect, look, job
        Buttons that collect now and that look without collecting; the work, with a button that stops it.
    told, table, state
        The state in sentences; what was refused; and both as values (``None`` before).
    result
        Of the last round; ``None`` before.
    """

    def __init__(
        self, dest: Callable[[], str], collected: Callable[[], None], inbox: str = "", keys: Sequence[str] = ()
    ) -> None:
        self._dest, self._collected = dest, collected
        self.state: CollectState | None = None
        self.result: CollectResult | None = None
        self.inbox = ipywidgets.Text(
            value=inbox,
            description="Inbox",
            placeholder="folder or s3://bucket/folder",
            continuous_update=False,
            style=LABEL,
            layout=WIDE,
        )
        self.keys = ipywidgets.Textarea(
            value="\n".join(keys),
            description="Keys (files)",
            placeholder="one a line",
            continuous_update=False,
            rows=2,
            style=LABEL,
            layout=WIDE,
        )
        self.client = ipywidgets.Text(
            description="Client", placeholder="that of the dataset", continuous_update=False, style=LABEL, layout=WIDE
        )
        self.take = ipywidgets.Checkbox(description="Empty the inbox", style=LABEL, layout=WIDE)
        self._fields = Fields({self.inbox: "INBOX_DIR", self.keys: "(masked)", self.client: "(masked)"})
        self.collect, self.look = button("Collect now"), button("Look at the inbox")
        self.told, self.table = ipywidgets.HTML(), ResultTable()
        self.job: Job[tuple[CollectResult | None, CollectState]] = Job(self._show, stopped=_STOPPED)
        self.box = ipywidgets.VBox(
            [
                ipywidgets.HTML(f"<h3 style='{LINE};font-size:1rem'>Collected from agents' computers</h3>"),
                row(ipywidgets.VBox([self.inbox, self.client]), ipywidgets.VBox([self.keys, self.take])),
                row(self.collect, self.look, self.job.box),
                self.told,
                self.table,
            ]
        )
        self.collect.on_click(lambda _button: self._start(is_collecting=True))
        self.look.on_click(lambda _button: self._start(is_collecting=False))

    def show_state(self) -> None:
        """Look at the inbox and at what was collected, here and now."""
        try:
            self._show((None, self._state()()))
        except CcpAssessError as error:
            self.told.value = problem_html(self._fields.words(str(error)))

    def static_html(self) -> str:
        """Return what is shown as plain HTML, for where widgets do not work.

        Returns
        -------
        html
            Empty where there is nothing to tell.
        """
        table = self._refused()
        return f"{self.told.value}{static_table(table) if table is not None else ''}"

    def mask(self, mask: AnswersMask | None) -> None:
        """Show names or masks of them.

        Parameters
        ----------
        mask
            What stands for what; ``None`` to show names.
        """
        self._fields.cover(mask)
        if not self.job.is_running:
            self.job.shown.value = ""
        if self.state is not None:
            self._tell()
        else:
            self.told.value = ""

    def _choices(self) -> tuple[str, list[str], str | None]:
        """Return inbox, keys and client as they are chosen, whatever is shown of them."""
        keys = (line.strip() for line in self._fields.value(self.keys).splitlines())
        return self._fields.value(self.inbox), [line for line in keys if line], self._fields.value(self.client) or None

    def _state(self) -> Callable[[], CollectState]:
        dest, (inbox, _, _) = self._dest(), self._choices()
        if not dest:
            raise CcpAssessError("name the folder or bucket for the dataset")
        return lambda: collect_state(dest, inbox or None)

    def _start(self, *, is_collecting: bool) -> None:
        self.told.value = ""
        try:
            look, work = self._state(), self._work() if is_collecting else None
        except CcpAssessError as error:
            self.told.value = problem_html(self._fields.words(str(error)))
            return

        def run(progress: Progress) -> tuple[CollectResult | None, CollectState]:
            try:
                return (None if work is None else work(progress)), look()
            except (CcpAssessError, OSError) as error:
                raise CcpAssessError(self._fields.words(str(error))) from error

        self.job.start(run, "looking at the inbox")

    def _work(self) -> Callable[[Progress], CollectResult]:
        """Return the work with the choices as they are now, since controls may move while it runs."""
        dest, (inbox, keys, client), take = self._dest(), self._choices(), self.take.value
        if not inbox:
            raise CcpAssessError("name the folder or bucket in which results are dropped")
        terms = terms_of(dest, keys, client=client)

        def work(progress: Progress) -> CollectResult:
            with Collector(inbox, dest, terms, take=take) as collector:
                result = collector.round(progress)
                collector.sum_up()
            return result

        return work

    def _show(self, found: tuple[CollectResult | None, CollectState]) -> None:
        result, self.state = found
        self.result = result if result is not None else self.result
        if result is not None and result.accepted:
            self._collected()
        self._tell()

    def _tell(self) -> None:
        self.told.value = self._result_html() + self._state_html()
        table = self._refused()
        if table is None:
            clear(self.table)
        else:
            fill(self.table, table)

    def _result_html(self) -> str:
        result = self.result
        if result is None:
            return ""
        refused = sum(result.refused.values())
        words = (
            f"This round: {_count(result.accepted, 'file')} accepted with {_count(result.documents, 'new result')}, "
            f"{number(result.duplicates)} known already, {number(refused)} refused, "
            f"{number(len(result.waiting))} perhaps still on the way"
        )
        told = [f"{words}, {number(result.taken)} taken out of the inbox." if result.taken else f"{words}."]
        if result.unknown_sites:
            told.append(f"Not in sites.csv, kept under their names: {self._strangers(list(result.unknown_sites))}.")
        lost = [entry for entry in result.refusals if not entry["kept"]]
        if lost:
            told.append(f"Of {_count(len(lost), 'refused file')} only the reason is kept; the inbox still holds it.")
        return "".join(said_html(sentence) for sentence in told)

    def _strangers(self, names: list[str]) -> str:
        if self._fields.mask is not None:
            return _count(len(names), "site")
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        return ", ".join(clean(name, 60) for name in names[:_MOST_NAMED]) + more

    def _state_html(self) -> str:
        state = self.state
        if state is None:
            return ""
        parts = []
        if state.waiting is not None:
            bytes_waiting = size(state.waiting_bytes or 0)
            parts.append(f"In the inbox: {_count(state.waiting, 'file')} ({bytes_waiting}).")
        last = "" if state.accepted_at is None else f", the last one {minute(str(state.accepted_at))}"
        parts.append(f"Accepted: {_count(state.accepted, 'result')}{last}.")
        reasons = ", ".join(f"{count} {reason}" for reason, count in state.reasons.items())
        count = len(state.quarantined) + state.more_quarantined
        parts.append(f"In quarantine: {_count(count, 'file')}{f' ({reasons})' if reasons else ''}.")
        items = "".join(f"<li>{escape(clean(part, 400))}</li>" for part in parts)
        return f"<ul class='ccp-inbox' style='{LINE}'>{items}</ul>"

    def _refused(self) -> Table | None:
        """Return what is in quarantine as a table, the latest first; ``None`` where there is nothing."""
        state = self.state
        if state is None or not state.quarantined:
            return None
        more = f"; {state.more_quarantined} more are not listed" if state.more_quarantined else ""
        return Table(
            name="quarantine",
            title="Refused and set aside",
            note=f"the latest first{more}",
            columns=_REFUSED,
            rows=[self._refusal(entry) for entry in state.quarantined],
        )

    def _refusal(self, entry: dict[str, Any]) -> dict[str, Any]:
        name, words = str(entry["name"]), str(entry["text"])
        if self._fields.mask is not None:
            name, words = self._fields.mask.path(name), self._fields.mask.reason(name, words)
        when: datetime | None = entry["time"]
        return {"name": name, "text": words, "kept": "yes" if entry["is_kept"] else "reason only", "time": when}


def _count(count: int, word: str) -> str:
    return f"{number(count)} {word}{'' if count == 1 else 's'}"
