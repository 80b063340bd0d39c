"""What a dataset of many sites answers, in the fleet panel: pictures, tables that can be sorted, own questions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from html import escape
from typing import Any
from zoneinfo import available_timezones

import ipywidgets

from ccp_assess.errors import CcpAssessError
from ccp_assess.fleet.answers import Answers, dataset_title, hours_of_site, read_answers
from ccp_assess.fleet.masked import AnswersMask, mask_answers
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
from ccp_assess.report.figures import draw_heat_map, draw_hours, draw_worst_sites
from ccp_assess.report.many_sites import render_many_sites
from ccp_assess.report.style import inline_svg
from ccp_assess.report.words import clean, number
from ccp_assess.widgets.controls import ResultTable
from ccp_assess.widgets.fleet_masking import MASK_WORDS
from ccp_assess.widgets.fleet_tables import MOST_ROWS, clear, fill, saved_html, static_table
from ccp_assess.widgets.jobs import Job
from ccp_assess.widgets.panel import LABEL, LINE, WIDE, button, download_html, problem_html, row, said_html
from ccp_assess.widgets.progress import Progress, silent

MOST_OWN_ROWS = 50_000
"""Rows of an own question that are taken."""

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
_NO_OWN = "Own questions rest while names are masked: what a question makes of a name cannot be recognised."
_ALL = ("all sites, by the clock of UTC", "")
_ZONE = "UTC"
_ZONES = tuple(sorted(available_timezones()))


class FleetAnswers:
    """The answers of one dataset.

    Parameters
    ----------
    since
        An instant to compare before and after.
    masked
        Whether names are masked.
    words
        Returns an error's sentence as it may be shown.
    shown
        Called whenever what is shown has changed as a whole.

    Attributes
    ----------
    box
        All of its widgets.
    masked
        Whether all names are masked; it stands above the run.
    answers, mask
        What was read last, masked if that is chosen, and what stands for what; ``None`` before, or without masks.
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

    def __init__(
        self,
        since: datetime | None = None,
        *,
        masked: bool = False,
        words: Callable[[str], str] = str,
        shown: Callable[[], None] = lambda: None,
    ) -> None:
        self._words, self._shown = words, shown
        self._url = ""
        self._read: Answers | None = None
        self.answers: Answers | None = None
        self.mask: AnswersMask | None = None
        self._question = ""
        self.masked = ipywidgets.Checkbox(value=masked, description=MASK_WORDS, style=LABEL, layout=WIDE)
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
            options=_ZONES,
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
        self._of_own = ipywidgets.VBox(
            [self.sql, row(self.ask, self.asking.box), self.own_said, self.own_table, self.own_save]
        )
        self._no_own = ipywidgets.HTML(said_html(_NO_OWN))
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
                self._of_own,
                self._no_own,
            ]
        )
        self.box.layout.display = "none"
        self._of_hours.layout.display = "none"
        self.masked.observe(lambda _change: self.show(), names="value")
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
            try:
                return read_answers(url, since=since, progress=progress)
            except CcpAssessError as error:
                raise CcpAssessError(self._words(str(error))) from error

        self.box.layout.display = ""
        if not wait:
            self.reading.start(work, "reading the answers")
            return
        try:
            self._take(work(silent))
        except CcpAssessError as error:
            self.told.value = problem_html(self._words(str(error)))

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
        self._read = answers
        self.show()

    def show(self) -> None:
        """Show what was read, with names or masked, as it is chosen."""
        is_masked = self.masked.value
        self._of_own.layout.display, self._no_own.layout.display = ("none", "") if is_masked else ("", "none")
        self._cover(is_masked=is_masked)
        self.answers, self.mask, self._hours = self._read, None, None
        if self._read is not None and is_masked:
            self.answers, self.mask = mask_answers(self._read)
        if self._read is not None and self.answers is not None:
            self._fill(self._read, self.answers)
        self._shown()

    def _fill(self, read: Answers, answers: Answers) -> None:
        """Fill in everything; sites are known by their real names, whatever is shown of them."""
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
        sites, shown = ([(row["client"], row["site_id"]) for row in one.rows["coverage"]] for one in (read, answers))
        kept = self.site.value
        labels = (clean(" ".join(words), 60) for words in shown)
        self.site.options = [_ALL, *zip(labels, sites, strict=True)]
        self.site.value = kept if kept in {"", *sites} else ""
        self._show()
        if self.site.value:
            self._on_hours(None)

    def _cover(self, *, is_masked: bool) -> None:
        """Keep out of sight what a person typed, what was answered, and a clock that is named after a place."""
        if is_masked and self.sql.value:
            self._question, self.sql.value = self.sql.value, ""
        elif not is_masked and self._question:
            self.sql.value, self._question = self._question, ""
        clear(self.own_table)
        self.own_said.value = self.own_save.value = self.page.value = ""
        for job in (self.reading, self.asking, self.timing, self.rendering):
            if not job.is_running:
                job.shown.value = ""
        self.zone.options = [] if is_masked else _ZONES
        self.zone.layout.display = "none" if is_masked else ""
        if is_masked:
            self.zone.value = _ZONE

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
            clear(self.table)
            return
        self.picture.value = self._picture(name)
        fill(self.table, table)
        self.save.value = saved_html(table.name, list(table.rows))

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
        name = site_id if self.mask is None else self.mask.sites.get((client, site_id), site_id)

        def work(_progress: Progress) -> tuple[Table, str]:
            try:
                found = hours_of_site(url, client, site_id, zone)
            except CcpAssessError as error:
                raise CcpAssessError(self._words(str(error))) from error
            return hours_table(found, clock=zone, where=name), name

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
        self.own_save.value = saved_html("own_question", rows) if rows else ""

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
            masked=answers.masked,
        )

    def _on_page(self, _button: object) -> None:
        self.rendering.start(lambda _progress: self.render() or "", "making the page")

    def _take_page(self, html: str) -> None:
        if not html:
            return
        self.page.value = download_html("many-sites.html", html.encode(), "Save many-sites.html", "text/html")


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
