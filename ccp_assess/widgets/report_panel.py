"""The report panel: choose length, chapters, logo and forms, generate, and save what was written.

Every control is an ordinary widget::

    panel = show_report_panel("../data/sample")
    panel.length.value = "executive"
    panel.generate.click()
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

import ipywidgets

from ccp_assess.assess.client_assessment import assess_client
from ccp_assess.report.document import SECTIONS, write_report
from ccp_assess.report.evidence import write_evidence
from ccp_assess.report.logo import logo_uri
from ccp_assess.report.word import write_docx
from ccp_assess.report.words import number
from ccp_assess.widgets.controls import FileDrop
from ccp_assess.widgets.jobs import Job
from ccp_assess.widgets.kept_choices import KeptChoices
from ccp_assess.widgets.panel import LABEL, LINE, WIDE, Panel, button, download_html, panel_box, problem_html, row
from ccp_assess.widgets.progress import Progress

LOGO = "logo"
_FORMS = (("pdf", "PDF, where a browser is found"), ("docx", "Word"), ("evidence", "Evidence bundle"))
_LARGEST_LINK_BYTES = 40_000_000
_MEDIA_TYPES = {
    ".html": "text/html",
    ".pdf": "application/pdf",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".zip": "application/zip",
}


class ReportPanel(Panel):
    """The client report, as it is wanted.

    Parameters
    ----------
    folder
        The client folder; it is read again for every report.
    out
        Where the report is written.

    Attributes
    ----------
    length, sections
        How much: list of lengths, and the chapters of the longer one.
    masked
        Whether the names of the client, its sites and targets are masked.
    pdf, docx, evidence
        Which forms besides the page.
    logo, forget_logo
        Place for a picture at the head; button to leave it out again.
    generate
        Button.
    written
        Paths of what was written last, by form.
    shown
        Links to it.
    """

    def __init__(self, folder: Path, out: Path) -> None:
        self._folder, self._out = folder, out
        self.written: dict[str, str] = {}
        self.length = ipywidgets.Dropdown(
            options=[("For engineers: everything", "engineer"), ("For executives: the short form", "executive")],
            description="Length",
            style=LABEL,
            layout=WIDE,
        )
        self.sections = ipywidgets.SelectMultiple(
            options=[(title, name) for name, title in SECTIONS.items()],
            value=tuple(SECTIONS),
            description="Chapters",
            rows=len(SECTIONS),
            style=LABEL,
            layout=WIDE,
        )
        self.masked = _check("Mask all names")
        self.pdf, self.docx, self.evidence = (_check(words, value=name == "pdf") for name, words in _FORMS)
        self.logo = FileDrop(self._on_logo, "Logo for the head (PNG or JPEG): drop it here, or choose", multiple=False)
        self.forget_logo = button("Leave the logo out")
        self.forget_logo.layout.display = "" if self._logo_path else "none"
        self.generate = button("Generate the report", is_primary=True)
        self.shown = ipywidgets.HTML()
        self.job: Job[dict[str, Any]] = Job(self._show)
        self.kept = KeptChoices(
            folder,
            "report",
            {name: getattr(self, name) for name in ("length", "sections", "masked", "pdf", "docx", "evidence")},
        )
        forms = ipywidgets.VBox([self.length, self.masked, self.pdf, self.docx, self.evidence])
        self.box = panel_box(
            "report",
            "The client report",
            [
                row(forms, self.sections),
                self.logo,
                self.forget_logo,
                self.kept.box,
                row(self.generate, self.job.box),
                self.shown,
            ],
        )
        self.length.observe(self._on_length, names="value")
        self.forget_logo.on_click(self._on_forget_logo)
        self.generate.on_click(self._on_generate)
        self._on_length(None)

    def static_html(self) -> str:
        """Return what is shown as plain HTML, for where widgets do not work.

        Returns
        -------
        html
            The chapters chosen, and links to what was written.
        """
        chapters = ", ".join(escape(SECTIONS[name]) for name in self.sections.value)
        return f"<div><p>Report of {escape(self._folder.name)}: {chapters}.</p>{self.shown.value}</div>"

    def _plain_text(self) -> str:
        return ", ".join(self.written.values()) or "no report written yet"

    @property
    def _logo_path(self) -> Path | None:
        return next((path for path in sorted(self._folder.glob(f"{LOGO}.*")) if path.is_file()), None)

    def _on_length(self, _change: object) -> None:
        self.sections.disabled = self.length.value == "executive"

    def _on_logo(self, name: str, path: Path) -> str:
        ending = ".jpg" if logo_uri(path).startswith("data:image/jpeg") else ".png"
        self._remove_logo()
        shutil.copy(path, self._folder / f"{LOGO}{ending}")
        self.forget_logo.layout.display = ""
        return f"{name} will stand at the head."

    def _remove_logo(self) -> None:
        while (path := self._logo_path) is not None:
            path.unlink()

    def _on_forget_logo(self, _button: object) -> None:
        self._remove_logo()
        self.forget_logo.layout.display = "none"

    def _on_generate(self, _button: object) -> None:
        if not self.sections.value and self.length.value == "engineer":
            self.shown.value = problem_html("Choose at least one chapter.")
            return
        self.job.start(self._work(), "reading the client folder")

    def _work(self) -> Callable[[Progress], dict[str, Any]]:
        """Return the work with the choices as they are now, since controls may move while it runs."""
        length, masked, logo = self.length.value, self.masked.value, self._logo_path
        sections = self.sections.value if length == "engineer" else None
        wanted = {name: getattr(self, name).value for name, _ in _FORMS}
        folder, out = self._folder, self._out

        def work(progress: Progress) -> dict[str, Any]:
            assessment = assess_client(folder, progress=progress, masked=masked)
            steps = 1 + sum(wanted.values())
            progress("writing the report", 0, steps)
            written = write_report(assessment, out, length=length, sections=sections, logo=logo, pdf=wanted["pdf"])
            if wanted["docx"]:
                progress("writing the Word document", steps - 1, steps)
                written["docx"] = str(write_docx(assessment, out / "report.docx"))
            if wanted["evidence"]:
                progress("writing the evidence", steps - 1, steps)
                written["evidence"] = str(write_evidence(assessment, out / "evidence").parent)
            return {**written, "pdf_wanted": wanted["pdf"]}

        return work

    def _show(self, written: dict[str, Any]) -> None:
        self.written = {form: written[form] for form in ("html", "pdf", "docx", "evidence") if written.get(form)}
        links = "".join(f"<li>{_link(form, Path(path))}</li>" for form, path in self.written.items())
        reason = written["pdf_reason"] if written["pdf_wanted"] and not written["pdf"] else ""
        self.shown.value = (
            f"<div role='status' class='ccp-written'><p style='{LINE}'>Written:</p><ul style='{LINE}'>{links}</ul>"
            f"</div>{problem_html(reason)}"
        )


def show_report_panel(folder: str | Path, out: str | Path | None = None) -> ReportPanel:
    """Make the report panel of a client folder.

    Parameters
    ----------
    folder
        The client folder.
    out
        Where the report is written; the folder ``report`` in the client folder if ``None``.

    Returns
    -------
    panel
        Named in the last line of a cell, it shows itself.
    """
    return ReportPanel(Path(folder), Path(folder) / "report" if out is None else Path(out))


def _link(form: str, path: Path) -> str:
    """Return a link that saves a file from the page, and where it lies."""
    where = f" <span>({escape(str(path))})</span>"
    data = _zipped(path) if path.is_dir() else path.read_bytes()
    name = f"{path.name}.zip" if path.is_dir() else path.name
    if len(data) > _LARGEST_LINK_BYTES:
        return f"{escape(form)}, {number(len(data))} bytes{where}"
    media_type = _MEDIA_TYPES.get(Path(name).suffix, "application/octet-stream")
    return download_html(name, data, f"Save {name} ({number(len(data))} bytes)", media_type) + where


def _zipped(folder: Path) -> bytes:
    content = BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder.parent).as_posix())
    return content.getvalue()


def _check(label: str, *, value: bool = False) -> Any:
    return ipywidgets.Checkbox(value=value, description=label, style=LABEL, layout=WIDE)
