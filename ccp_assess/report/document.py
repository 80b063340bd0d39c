"""The client report: one self-contained page, and its PDF where a browser can print."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any, Literal

import jinja2
from markupsafe import Markup

from ccp_assess import __version__
from ccp_assess.errors import CcpAssessError
from ccp_assess.files import write_whole
from ccp_assess.report import content, pictures, words
from ccp_assess.report.assumptions import assumption_rows
from ccp_assess.report.figures.map import chosen_regions
from ccp_assess.report.logo import logo_uri
from ccp_assess.report.pdf import print_pdf
from ccp_assess.report.sizes import allowlist_sizes

Length = Literal["engineer", "executive"]

# id, title, in the executive length too, starts a printed page
_SECTIONS: tuple[tuple[str, str, bool, bool], ...] = (
    ("findings", "Findings", True, True),
    ("regions", "Which Region", True, True),
    ("budget", "Latency budget per site", True, True),
    ("sites", "Sites and measurements", False, True),
    ("calls", "Calls", False, True),
    ("workstation", "Workstations and probes", False, False),
    ("firewall", "Firewall rules", False, True),
    ("decisions", "Decisions", True, False),
    ("unknowns", "What is unknown", True, True),
    ("assumptions", "Assumptions", True, False),
    ("method", "Method and sources", True, True),
    ("repeat", "Appendix: how to repeat this assessment", False, True),
)


SECTIONS: dict[str, str] = {key: title for key, title, _, _ in _SECTIONS}
"""The chapters that can be chosen, by name, with their titles."""


def write_report(
    assessment: Any,
    folder: str | Path,
    *,
    length: Length = "engineer",
    sections: Collection[str] | None = None,
    logo: Path | None = None,
    pdf: bool = True,
    name: str = "report",
) -> dict[str, Any]:
    """Write the report of an assessment.

    Parameters
    ----------
    assessment
        A client assessment.
    folder
        Where the files shall stand; it is made.
    length
        ``engineer`` for everything, ``executive`` for the answer, findings, comparison, budget and unknowns.
    sections
        Names of the chapters wanted, of :data:`SECTIONS`; ``None`` for those of the length. The first page is always
        there.
    logo
        A PNG or JPEG to stand at the head.
    pdf
        Whether to print a PDF too.
    name
        First part of the file names.

    Returns
    -------
    paths
        ``html`` and ``pdf`` (``None`` if there is none) as text, and ``pdf_reason``.

    Raises
    ------
    CcpAssessError
        If a section is unknown, or the logo is no picture.
    """
    html_path = Path(folder) / f"{name}.html"
    write_whole(html_path, render_report(assessment, length=length, sections=sections, logo=logo))
    pdf_path, reason = None, "No PDF was asked for."
    if pdf:
        printed = print_pdf(html_path, Path(folder) / f"{name}.pdf")
        pdf_path, reason = printed.path, printed.reason
    return {"html": str(html_path), "pdf": None if pdf_path is None else str(pdf_path), "pdf_reason": reason}


def render_report(
    assessment: Any,
    *,
    length: Length = "engineer",
    sections: Collection[str] | None = None,
    logo: Path | None = None,
) -> str:
    """Return the report as one HTML document that asks no server for anything.

    Parameters
    ----------
    assessment
        A client assessment.
    length
        ``engineer`` or ``executive``.
    sections
        Names of the chapters wanted; ``None`` for those of the length.
    logo
        A PNG or JPEG to stand at the head.

    Returns
    -------
    html
        The page.

    Raises
    ------
    CcpAssessError
        If a section is unknown, or the logo is no picture.
    """
    wanted = _chosen(length, sections)
    chapters = [
        {"id": key, "title": title, "chapter": chapter, "template": f"sections/{key}.html.j2"}
        for key, title, _, chapter in _SECTIONS
        if key in wanted and (key != "decisions" or assessment.client.decisions)
    ]
    template = template_environment().get_template("report.html.j2")
    picture = logo_uri(logo) if logo else None
    return template.render(sections=chapters, logo=picture, **report_context(assessment))


def _chosen(length: Length, sections: Collection[str] | None) -> set[str]:
    if sections is None:
        return {key for key, _, executive, _ in _SECTIONS if executive or length == "engineer"}
    unknown = sorted(set(sections) - SECTIONS.keys())
    if unknown:
        raise CcpAssessError(f"the report has no section {unknown[0]!r}; there are {', '.join(SECTIONS)}")
    return set(sections)


def report_context(assessment: Any) -> dict[str, Any]:
    """Return everything that the templates show.

    Parameters
    ----------
    assessment
        A client assessment.

    Returns
    -------
    context
        Rows, sentences and pictures by name.
    """
    findings = content.finding_rows(assessment)
    measured = content.measurement_rows(assessment)
    calls = [{**row, "notes": content.call_notes(row, findings)} for row in content.call_rows(assessment)]
    option = next((o for o in content.option_rows(assessment.ranking) if o["chosen"]), None)
    allowlist = assessment.allowlist or {}
    rules = content.rule_rows(allowlist)
    documents = [entry["document"] for entry in assessment.captures]
    captures = [capture for document in documents for capture in document["captures"]]
    return {
        "client": assessment.client,
        "assessed_at": assessment.assessed_at,
        "valid_until": content.valid_until(assessment.assessed_at),
        "version": __version__,
        "sentences": list(assessment.sentences),
        "ranking": assessment.ranking,
        "key_figures": content.key_figures(assessment),
        "findings": findings,
        "front": content.front_findings(findings),
        "options": content.option_rows(assessment.ranking),
        "excluded": content.excluded_rows(assessment.ranking),
        "budgets": content.budget_rows(assessment),
        "callers": content.caller_rows(assessment, option),
        "transfers": content.transfer_rows(assessment, option),
        "reroutes": (option or {}).get("by_reroute") or [],
        "to_measure": assessment.ranking.get("value_of_measuring") or [],
        "sites": content.site_rows(assessment, measured),
        "matrix": content.leg_matrix(assessment),
        "measurements": measured,
        "seen": {key: any(row[key] is not None for row in measured) for key in ("rtt_p95_ms", "loss_pct", "jitter_ms")},
        "calls": calls,
        "capture_count": len(documents),
        "most_calls": content.MOST_CALL_ROWS,
        "damaged": [capture for capture in captures if capture.get("ended_early")],
        "captures": captures,
        "rules": rules,
        "rules_from": content.common_from(rules),
        "rule_sources": content.rule_sources(rules),
        "rule_regions": chosen_regions(assessment.ranking),
        "opened": allowlist.get("addresses_opened") or {"v4": None, "v6": None},
        "notes": allowlist.get("notes") or [],
        "audits": content.audit_parts(assessment),
        "diagnoses": content.diagnosis_rows(assessment),
        "computers": content.computer_rows(assessment),
        "joined": content.joined_rows(assessment),
        "decisions": list(assessment.client.decisions),
        "unknowns": list(assessment.unknowns),
        "open_facts": content.open_facts(),
        "assumptions": assumption_rows(assessment),
        "references": content.reference_rows(),
        "versions": content.versions(),
        "files": content.input_files(assessment),
        "folder": str(assessment.client.folder),
        "pictures": _pictures(assessment, calls),
    }


def _pictures(assessment: Any, calls: list[dict[str, Any]]) -> dict[str, Any]:
    paths = content.paths_to_draw(assessment)
    return {
        "map": pictures.map_picture(assessment),
        "comparison": pictures.comparison_picture(assessment),
        "probability": pictures.probability_picture(assessment),
        "pareto": pictures.pareto_picture(assessment),
        "budget": pictures.budget_picture(assessment),
        "paths": [pictures.path_picture(document, region, index) for index, (document, region) in enumerate(paths)],
        "calls": [
            {"call": series.call, "drawn": pictures.call_picture(series, index)}
            for index, series in enumerate(content.worst_series(calls))
        ],
        "diary": pictures.diary_picture(assessment),
        "ports": pictures.ports_picture(assessment),
        "access": pictures.access_picture(assessment),
        "sizes": pictures.size_picture(allowlist_sizes(chosen_regions(assessment.ranking))),
    }


@cache
def template_environment() -> jinja2.Environment:
    """Return what renders our own pages: everything escaped, the unknown said.

    Returns
    -------
    environment
        With the words and the style sheet of the report.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ccp_assess.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
    )
    environment.filters.update(
        ms=words.ms,
        pct=words.pct,
        number=words.number,
        band=words.band,
        day=words.day,
        minute=words.minute,
        clean=words.clean,
        plain=words.plain,
        big=words.big,
        prose=words.prose,
    )
    source, _, _ = environment.loader.get_source(environment, "report.css")  # type: ignore[union-attr]
    environment.globals["css"] = Markup(source)  # noqa: S704 - our own style sheet
    return environment


def _shown(value: Any) -> Any:
    """Show what is not known as the word for it, wherever a template forgot to ask."""
    return words.UNKNOWN if value is None else value
