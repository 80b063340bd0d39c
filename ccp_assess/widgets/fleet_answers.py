"""What a dataset of many sites answers, in the fleet panel: pictures, tables that can be sorted, own questions."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from html import escape
from typing import Any
from zoneinfo import available_timezones

import ipywidgets

from ccp_assess.errors import CcpAssessError
from ccp_assess.fleet.answers import Answers, dataset_title, hours_of_site, read_answers
from ccp_assess.fleet.store import Answer, Store, rows_of
from ccp_assess.report.content.many_sites import (
    Column,
    Table,
    finding_grid,
    hours_table,
    region_grid,
    tables,
)
from ccp_assess.report.content.many_sites_said import sentences, unknowns
from ccp_assess.report.evidence import csv_text
from ccp_assess.report.figures import draw_heat_map, draw_hours, draw_worst_sites
from ccp_assess.report.many_sites import render_many_sites
from ccp_assess.report.style import QUIET, RULE, inline_svg
from ccp_assess.report.words import cell_for_spreadsheet, clean, number, plain
from ccp_assess.widgets.controls import ResultTable
from ccp_assess.widgets.jobs import Job
from ccp_assess.widgets.panel import LABEL, LINE, WIDE, button, download_html, problem_html, row, said_html
from ccp_assess.widgets.progress import Progress, silent

MOST_OWN_ROWS = 50_000
"""Rows of an own question that are taken."""

MOST_ROWS = 500
"""Rows of a table that are shown; the file to save has them all."""

_CHOICES = (
    ("Sites, worst first", "worst_sites"),
    ("By hour of the day", "by_hour"),
    ("By day", "by_day"),
    ("By provider", "by_provider"),
    ("By Region of the call", "by_region"),
    ("Calls, worst first", "worst_calls"),
    ("Before and after", "before_after"),
    ("Regions by site", "region_comparison"),
    ("Findings by number of sites", "findings"),
    ("What each site was asked", "coverage"),
    ("Files set aside", "set_aside"),
)
_ALL = ("all sites, by the clock of UTC", "")
_ZONE = "UTC"
_CELL = f"padding:2px 10px 2px 0;border-bottom:1px solid {RULE};text-align:left;vertical-align:top"
_MOST_STATIC = 40


class FleetAnswers:
    """The answers of one dataset.

    Attributes
    ----------
    box
        All of its widgets.
    answers
        What was read last; ``None`` before.
    since
        Date and time that before and after are divided by, UTC.
    which
        List: which answer is shown.
    site, zone
        Whose hours of the day, by which clock.
    told, picture, table, save
        Sentences; the answer as a picture, a table and a file to save.
    sql, ask, own_table, own_said
        An own question: text, button, its answer, and what was wrong with it.
    make_page, page
        Button that makes the page to hand over, and its link.
    """

    def __init__(self, since: datetime | None = None) -> None:
        self._url = ""
        self.answers: Answers | None = None
        self._tables: dict[str, Table] = {}
        self._hours: tuple[Table, str] | None = None
        self.since = ipywidgets.NaiveDatetimePicker(
            value=None if since is None else since.astimezone(UTC).replace(tzinfo=None) if since.tzinfo else since,
            description="Before, after (UTC)",
            style=LABEL,
            layout=WIDE,
        )
        self.which = ipywidgets.Dropdown(options=_CHOICES, description="Show", style=LABEL, layout=WIDE)
        self.site = ipywidgets.Dropdown(options=[_ALL], description="Hours of", style=LABEL, layout=WIDE)
        self.zone = ipywidgets.Combobox(
            value=_ZONE,
            options=sorted(available_timezones()),
            description="Its clock",
            placeholder="Europe/London",
            continuous_update=False,
            style=LABEL,
            layout=WIDE,
        )
        self.told, self.picture, self.save, self.unknown = (ipywidgets.HTML() for _ in range(4))
        self.table = ResultTable()
        self.sql = ipywidgets.Textarea(
            value="select site_id, code, count(*) as times from findings group by all order by times desc",
            description="Own question",
            rows=3,
            style=LABEL,
            layout=ipywidgets.Layout(width="720px", max_width="100%"),
        )
        self.ask = button("Ask in SQL")
        self.own_table, self.own_said, self.own_save = ResultTable(), ipywidgets.HTML(), ipywidgets.HTML()
        self.again = button("Read the answers again")
        self.make_page, self.page = button("Make a page to hand over"), ipywidgets.HTML()
        self.reading: Job[Answers] = Job(self._take)
        self.asking: Job[Answer] = Job(self._take_own)
        self.timing: Job[tuple[Table, str]] = Job(self._take_hours)
        self.rendering: Job[str] = Job(self._take_page)
        self._of_hours = row(self.site, self.zone, self.timing.box)
        self.box = ipywidgets.VBox(
            [
                row(self.since, self.again, self.reading.box),
                self.told,
                self.which,
                self._of_hours,
                self.picture,
                self.table,
                self.save,
                self.unknown,
                row(self.make_page, self.rendering.box, self.page),
                self.sql,
                row(self.ask, self.asking.box),
                self.own_said,
                self.own_table,
                self.own_save,
            ]
        )
        self.box.layout.display = "none"
        self._of_hours.layout.display = "none"
        self.which.observe(self._on_which, names="value")
        self.since.observe(self._on_since, names="value")
        self.site.observe(self._on_hours, names="value")
        self.zone.observe(self._on_hours, names="value")
        self.again.on_click(self._on_again)
        self.ask.on_click(self._on_ask)
        self.make_page.on_click(self._on_page)

    def read(self, url: str, *, wait: bool = False) -> None:
        """Read all answers of a dataset.

        Parameters
        ----------
        url
            Its folder or bucket.
        wait
            Whether to do it here and now, not beside the kernel's thread.
        """
        self._url = url
        since = self.since.value

        def work(progress: Progress) -> Answers:
            return read_answers(url, since=since, progress=progress)

        self.box.layout.display = ""
        if not wait:
            self.reading.start(work, "reading the answers")
            return
        try:
            self._take(work(silent))
        except CcpAssessError as error:
            self.told.value = problem_html(str(error))

    def static_html(self) -> str:
        """Return what is shown as plain HTML, for where widgets do not work.

        Returns
        -------
        html
            Sentences, the worst sites, hours, Regions, findings and what is unknown.
        """
        if self.answers is None:
            return str(self.told.value)
        parts = [self.told.value]
        for name in ("worst_sites", "by_hour", "region_comparison", "findings"):
            table = self._tables[name]
            parts += [self._picture(name), static_table(table) if table.rows else ""]
        return "".join([*parts, self.unknown.value])

    def _on_again(self, _button: object) -> None:
        self.read(self._url)

    def _on_since(self, _change: object) -> None:
        if self._url:
            self.read(self._url)

    def _take(self, answers: Answers) -> None:
        """Show what was read."""
        self.answers, self._hours = answers, None
        self._tables = tables(answers.rows, answers.set_aside)
        items = "".join(f"<li>{escape(text)}</li>" for text in sentences(answers.rows, answers.set_aside))
        self.told.value = f"<div role='status'><ul class='ccp-sentences' style='{LINE}'>{items}</ul></div>"
        gaps = unknowns(answers.rows, ended=bool(answers.manifest))
        listed = "".join(f"<li>{escape(text)}</li>" for text in gaps)
        self.unknown.value = (
            f"<div class='ccp-unknowns' style='{LINE}'><strong>What is unknown</strong><ul>{listed}</ul></div>"
            if gaps
            else ""
        )
        sites = [(row["client"], row["site_id"]) for row in answers.rows["coverage"]]
        kept = self.site.value
        self.site.options = [_ALL, *((clean(" ".join(pair), 60), pair) for pair in sites)]
        self.site.value = kept if kept in {"", *sites} else ""
        self.page.value = ""
        self._show()
        if self.site.value:
            self._on_hours(None)

    def _on_which(self, _change: object) -> None:
        self._show()

    def _show(self) -> None:
        """Show the answer that is chosen."""
        name = self.which.value
        self._of_hours.layout.display = "" if name == "by_hour" else "none"
        table = self._shown_table(name)
        if table is None or not table.rows:
            words = "Choose an instant above." if name == "before_after" and table is None else "Nothing is known."
            self.picture.value, self.save.value = said_html(words), ""
            self.table.columns = []
            return
        self.picture.value = self._picture(name)
        fill(self.table, table)
        self.save.value = _saved(table.name, list(table.rows))

    def _shown_table(self, name: str) -> Table | None:
        if name == "by_hour" and self._hours is not None:
            return self._hours[0]
        return self._tables.get(name)

    def _picture(self, name: str) -> str:
        figure, words = self._drawn(name)
        if figure is None:
            return ""
        svg = inline_svg(figure, key=f"fleet-{name}", title=words, description="The same numbers stand in the table.")
        return f"<div class='ccp-picture' style='max-width:860px'>{svg}</div>"

    def _drawn(self, name: str) -> tuple[Any, str]:
        if self.answers is None:
            return None, ""
        rows = self.answers.rows
        if name == "worst_sites" and rows[name]:
            return draw_worst_sites(rows[name])[0], "Loss, jitter and round trip by site"
        if name == "by_hour" and (table := self._shown_table(name)) is not None and table.rows:
            clock, title = ("UTC", "All sites") if self._hours is None else (self.zone.value, self._hours[1])
            return draw_hours(table.rows, clock=clock, title=title)[0], "Loss, jitter and round trip by hour"
        if name == "region_comparison":
            grid, best = region_grid(rows[name])
            if any(value is not None for cells in grid.values() for value in cells.values()):
                words = "Round trip, median [ms]; framed: the nearest; a dash: unknown"
                return draw_heat_map(grid, title=words, framed=best)[0], "Round trips by site and Region"
        if name == "findings" and (counts := finding_grid(rows["findings_by_site"])):
            return draw_heat_map(counts, title="Findings by site (count)")[0], "Findings by site"
        return None, ""

    def _on_hours(self, _change: object) -> None:
        if not self._url or self.timing.is_running:
            return
        if not self.site.value:
            self._hours = None
            self._show()
            return
        (client, site_id), zone, url = self.site.value, self.zone.value.strip() or _ZONE, self._url

        def work(_progress: Progress) -> tuple[Table, str]:
            found = hours_of_site(url, client, site_id, zone)
            return hours_table(found, clock=zone, where=site_id), site_id

        self.timing.start(work, "asking for its hours")

    def _take_hours(self, found: tuple[Table, str]) -> None:
        self._hours = found
        self._show()

    def _on_ask(self, _button: object) -> None:
        sql, url = self.sql.value, self._url
        self.own_said.value = ""

        def work(progress: Progress) -> Answer:
            rows: list[tuple[Any, ...]] = []
            with Store(url) as store, store.stream(sql) as answer:
                for batch in answer.batches:
                    rows += rows_of(batch)
                    progress("asking", 0, 0)
                    if len(rows) > MOST_OWN_ROWS:
                        break
                return Answer(columns=answer.columns, rows=tuple(rows))

        self.asking.start(work, "asking")

    def _take_own(self, answer: Answer) -> None:
        rows = answer.to_rows()[:MOST_OWN_ROWS]
        fill(self.own_table, own_table(answer))
        words = f"{number(len(rows))} rows{f'; the first {MOST_ROWS} are shown' if len(rows) > MOST_ROWS else ''}."
        if len(answer.rows) > MOST_OWN_ROWS:
            words = f"There are more than {words} The command `ccp-assess query --csv` gives them all."
        self.own_said.value = said_html(words)
        self.own_save.value = _saved("own_question", rows) if rows else ""

    def render(self) -> str | None:
        """Return the page to hand over.

        Returns
        -------
        html
            ``None`` where no answers were read.
        """
        answers = self.answers
        if answers is None:
            return None
        return render_many_sites(
            answers.rows,
            manifest=answers.manifest,
            made_at=datetime.now(UTC),
            title=dataset_title(answers),
            since=answers.since,
        )

    def _on_page(self, _button: object) -> None:
        self.rendering.start(lambda _progress: self.render() or "", "making the page")

    def _take_page(self, html: str) -> None:
        if not html:
            return
        self.page.value = download_html("many-sites.html", html.encode(), "Save many-sites.html", "text/html")


def fill(control: ResultTable, table: Table) -> None:
    """Show a table in a control; it is sorted as it came.

    Parameters
    ----------
    control
        Where.
    table
        What.
    """
    rows = [
        [
            [words, _sortable(row.get(column.name))]
            for words, column in zip(table.cells(row), table.columns, strict=True)
        ]
        for row in table.rows[:MOST_ROWS]
    ]
    more = f"; the first {MOST_ROWS} of {len(table.rows)}" if len(table.rows) > MOST_ROWS else ""
    with control.hold_sync():
        control.sorted = [-1, False]
        control.title = f"{table.title} ({table.note}{more})" if table.note else table.title
        control.columns = [{"label": column.label, "numeric": column.numeric} for column in table.columns]
        control.rows = rows


def own_table(answer: Answer) -> Table:
    """Make a table of the answer to an own question.

    Parameters
    ----------
    answer
        Of the store.

    Returns
    -------
    table
        Numbers without superfluous digits, everything else as harmless text.
    """
    rows = answer.to_rows()
    columns = tuple(
        Column(
            name=name,
            label=clean(name, 60),
            say=_own_words,
            kind="number" if any(_is_number(row[name]) for row in rows[:50]) else "text",
        )
        for name in answer.columns
    )
    return Table(name="own", title="Answer to the own question", note="", columns=columns, rows=rows)


def _own_words(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else clean(value, 400)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _sortable(value: Any) -> Any:
    """Return what the browser sorts by; ``None`` for what is unknown."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bool | int | float | str):
        return value
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def _saved(name: str, rows: list[dict[str, Any]]) -> str:
    flat = [
        {
            cell_for_spreadsheet(key): value.isoformat() + "Z" if isinstance(value, datetime) else value
            for key, value in row.items()
        }
        for row in rows
    ]
    words = f"Save {name}.csv ({plain(len(rows))} row{'' if len(rows) == 1 else 's'})"
    return download_html(f"{name}.csv", csv_text(flat).encode(), words, "text/csv")


def static_table(table: Table) -> str:
    """Return a table as plain HTML.

    Parameters
    ----------
    table
        What.

    Returns
    -------
    html
        With its first rows.
    """
    heads = "".join(f"<th scope='col' style='{_CELL}'>{escape(column.label)}</th>" for column in table.columns)
    body = "".join(
        "<tr>" + "".join(f"<td style='{_CELL}'>{escape(cell)}</td>" for cell in table.cells(row)) + "</tr>"
        for row in table.rows[:_MOST_STATIC]
    )
    more = f"; the first {_MOST_STATIC} of {len(table.rows)}" if len(table.rows) > _MOST_STATIC else ""
    return (
        "<div style='overflow-x:auto'><table style='border-collapse:collapse;font-size:13px'>"
        f"<caption style='text-align:left;color:{QUIET}'>{escape(table.title)} ({escape(table.note)}{more})</caption>"
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )
