"""The main job: everything that a client folder holds, in one go.

Captures become calls, traces become measurements, tables become sites and callers; together they become a ranking of
Regions, the allowlist of the recommended one, findings, and a list of what is unknown. A file that cannot be read
costs that file and is said; it never costs the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccp_assess.allowlist import audit, build, read_client_rules
from ccp_assess.assess.evidence import Evidence, LeftOut, Progress, read_evidence, shown, unreadable
from ccp_assess.assess.masked import mask_assessment, without_distances
from ccp_assess.assess.probe_findings import probe_findings
from ccp_assess.assess.witness_evidence import read_witness_evidence
from ccp_assess.client import Client, read_client
from ccp_assess.client.masking import mask_client
from ccp_assess.errors import CcpAssessError
from ccp_assess.probe.imports import probe_document_json
from ccp_assess.selection.ranking import Ranking, rank
from ccp_assess.services import offers

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAssessment:
    """What was found for one client.

    Parameters
    ----------
    client
        The client folder as read.
    ranked
        The ranking with all its detail.
    captures
        ``{"site_id", "file", "document", "seconds"}`` for each capture that could be read; the document is that of
        ``capture read``, the seconds are its one-second series.
    measurements
        Probe documents, as of ``probe import``.
    allowlist
        Rules for the recommended Regions, as of ``allowlist build``; ``None`` where there is no recommendation.
    audit
        The client's own rules held against them, one entry per file of ``rules/``.
    findings
        ``{"code", "severity", "text", "evidence", "site_id", "file"}``, gravest first.
    unknowns
        What could not be known, one sentence each.
    assessed_at
        When the assessment was made (RFC 3339, UTC).
    witnesses
        ``{"site_id", "file", "document"}`` for each log that could be read; the document is that of ``witness read``
        with its seconds and events counted.
    joined
        ``{"site_id", "document"}`` for each site whose calls several witnesses know of, as of ``witness join``.
    masked
        Whether names are masked and places blurred.
    """

    client: Client
    ranked: Ranking
    captures: tuple[dict[str, Any], ...]
    measurements: tuple[dict[str, Any], ...]
    allowlist: dict[str, Any] | None
    audit: tuple[dict[str, Any], ...]
    findings: tuple[dict[str, Any], ...]
    unknowns: tuple[str, ...]
    assessed_at: str
    witnesses: tuple[dict[str, Any], ...] = ()
    joined: tuple[dict[str, Any], ...] = ()
    masked: bool = False

    @property
    def ranking(self) -> dict[str, Any]:
        """The ranking as the document of ``regions rank``; without distances if masked."""
        document = self.ranked.to_document()
        return without_distances(document) if self.masked else document

    @property
    def sentences(self) -> tuple[str, ...]:
        """The recommendation in three sentences."""
        return tuple(self.ranked.sentences)

    @property
    def calls(self) -> tuple[dict[str, Any], ...]:
        """Calls of all captures, each with the site and the file that it was seen in."""
        return tuple(
            {**call, "site_id": capture["site_id"], "file": capture["file"]}
            for capture in self.captures
            for call in capture["document"]["calls"]
        )

    def to_document(self) -> dict[str, Any]:
        """Return the assessment as the JSON document of ``ccp-assess assess``.

        Returns
        -------
        document
            Keys ``client``, ``assessed_at``, ``ranking``, ``recommendation``, ``calls``, ``measurements``,
            ``allowlist``, ``audit``, ``witnesses``, ``joined_calls``, ``findings``, ``unknowns`` and ``tested`` (what
            was looked at: ``kind, site_id, file, vantage, time, region_code``, so that two assessments can be
            compared).
        """
        ranking = self.ranking
        return {
            "client": {"name": self.client.name, "date": self.client.date},
            "assessed_at": self.assessed_at,
            "recommendation": ranking["recommendation"],
            "ranking": ranking,
            "calls": list(self.calls),
            "measurements": list(self.measurements),
            "allowlist": self.allowlist,
            "audit": list(self.audit),
            "witnesses": list(self.witnesses),
            "joined_calls": list(self.joined),
            "findings": list(self.findings),
            "unknowns": list(self.unknowns),
            "tested": list(self._tested()),
        }

    def _tested(self) -> Iterator[dict[str, Any]]:
        """Yield what was looked at, from where and when."""
        for entry in self.captures:
            starts = [call["start_time"] for call in entry["document"]["calls"]]
            firsts = [capture["first_time"] for capture in entry["document"]["captures"]]
            time = min((moment for moment in starts or firsts if moment), default=None)
            yield _tested("captures", entry, vantage=entry.get("vantage"), time=time)
        for probe in self.measurements:
            seen = {**probe, "file": probe.get("source")}
            for region in probe["regions"]:
                yield _tested(
                    "probes",
                    seen,
                    vantage=(probe.get("host") or {}).get("vantage"),
                    time=probe.get("time"),
                    region_code=region.get("region_code"),
                )
        for entry in self.audit:
            yield _tested("rules", entry)
        for entry in self.witnesses:
            starts = [call["start_time"] for call in entry["document"]["calls"]]
            yield _tested("logs", entry, time=min((moment for moment in starts if moment), default=None))

    def to_frame(self, table: str = "options") -> pd.DataFrame:
        """Return one table of the assessment.

        Parameters
        ----------
        table
            ``options``, ``calls``, ``findings`` or ``rules``.

        Returns
        -------
        frame
            One row per option, call, finding or firewall rule; nested values are flattened with dots.
        """
        import pandas as pd  # noqa: PLC0415 - half a second that the command line need not pay

        rows: dict[str, Iterable[dict[str, Any]]] = {
            "calls": self.calls,
            "findings": self.findings,
            "rules": (self.allowlist or {}).get("rules", []),
        }
        if table == "options":
            return self.ranked.to_frame()
        if table not in rows:
            raise KeyError(f"table {table!r} is unknown; there are options, {', '.join(rows)}")
        frame = pd.json_normalize(list(rows[table]))
        return frame if len(frame) else pd.DataFrame(columns=list(_COLUMNS[table]))

    def _repr_html_(self) -> str:
        """Return the answer as a small piece of HTML for notebooks."""
        sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in self.sentences)
        worst = "".join(f"<li>{escape(str(finding['text']))}</li>" for finding in self.findings[:3])
        return (
            f"<div><h3>{escape(self.client.name)}</h3>{sentences}"
            f"<p>{len(self.calls)} calls, {len(self.measurements)} measurements, {len(self.findings)} findings, "
            f"{len(self.unknowns)} unknowns.</p><ul>{worst}</ul></div>"
        )


_COLUMNS = {
    "calls": (
        "call_id", "site_id", "file", "start_time", "end_time", "region_code", "in.loss_pct", "in.jitter_ms",
        "in.late_pct", "in.mos_cqe", "in.r_factor", "out.loss_pct", "out.jitter_ms", "rtt_relay_ms.p50",
        "rtt_relay_ms.p95", "rtt_media_ms.p50", "rtt_media_ms.p95",
    ),
    "findings": ("code", "severity", "text", "site_id", "file"),
    "rules": ("target", "kind", "port", "transport", "direction", "purpose", "region_code", "source", "retrieved"),
}  # fmt: skip
"""Columns that an empty table still has, so that a notebook runs for a client without captures too."""

_SEVERITIES = {"critical": 0, "warning": 1, "info": 2}


@dataclass(slots=True, kw_only=True)
class _Said:
    """What the parts of the job have to say, collected while they run."""

    findings: list[dict[str, Any]] = field(default_factory=list)
    unknowns: list[str] = field(default_factory=list)

    def left_out(self, one: LeftOut) -> None:
        """Say that a file does not count, among the findings and among the unknowns."""
        told = {"code": one.code, "severity": "warning", "text": one.text, "evidence": {}}
        self.findings.append(_placed(told, one.site_id, one.file))
        self.unknowns.append(one.text)


def assess_client(
    folder: str | Path,
    *,
    progress: Progress | None = None,
    instances: int = 1,
    seed: int = 1,
    masked: bool = False,
) -> ClientAssessment:
    """Assess a client folder: captures, traces and tables to a recommendation with its evidence.

    Parameters
    ----------
    folder
        The client folder; only ``client.toml`` and ``sites.csv`` (or the questionnaire) are needed.
    progress
        Called while files are read.
    instances
        How many instances an option may have (count).
    seed
        Seed of the simulation, so that the same folder gives the same numbers.
    masked
        Whether names are masked and places blurred everywhere in the result.

    Returns
    -------
    assessment
        What was found, and what is unknown.

    Raises
    ------
    CcpAssessError
        If the tables are missing or wrong; the text names file, row, column and what to do.
    """
    client, mask = read_client(Path(folder)), None
    if masked:
        client, mask = mask_client(client)
    said = _Said(unknowns=list(client.unknowns))
    evidence = read_evidence(client, progress=progress)
    if mask is not None:  # the ranking names the files that its legs come from
        named = (replace(one, source=mask.tree(one.source)) for one in evidence.measurements)
        evidence = replace(evidence, measurements=tuple(named))
    for one in evidence.left_out:
        said.left_out(one)
    _tell_captures(evidence, said)
    said.findings.extend(
        _placed(finding, document.site_id, document.source) for document, finding in probe_findings(evidence.documents)
    )
    heard = read_witness_evidence(client, evidence.captures, progress=progress)
    for one in heard.left_out:
        said.left_out(one)
    said.findings.extend(_placed(asdict(finding), site_id, name) for site_id, name, finding in heard.findings)
    if progress:
        progress("ranking the Regions", 0, 1)
    ranked = rank(
        sites=client.sites,
        callers=client.callers,
        transfers=client.transfers,
        reroutes=client.reroutes,
        measurements=evidence.measurements,
        constraints=client.constraints,
        weights=client.weights,
        instances=instances,
        seed=seed,
        offers=offers,
        use_case=client.use_case,
    )
    allowlist = _allowlist_for(client, ranked, said)
    audit = tuple(_audit_rules(client, ranked, said))
    if progress:
        progress("ranking the Regions", 1, 1)
    assessment = ClientAssessment(
        client=client,
        ranked=ranked,
        captures=evidence.captures,
        measurements=tuple(probe_document_json(document) for document in evidence.documents),
        allowlist=allowlist,
        audit=audit,
        findings=tuple(
            sorted(
                [*said.findings, *(_placed(finding, None, None) for finding in ranked.to_document()["findings"])],
                key=lambda finding: _SEVERITIES.get(finding["severity"], 3),
            )
        ),
        unknowns=tuple(dict.fromkeys(said.unknowns)),
        assessed_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        witnesses=heard.witnesses,
        joined=heard.joined,
    )
    return assessment if mask is None else mask_assessment(assessment, mask)


def _tested(kind: str, seen: dict[str, Any], **more: str | None) -> dict[str, Any]:
    row: dict[str, Any] = {"kind": kind, "site_id": seen["site_id"], "file": seen["file"]}
    return row | {name: more.get(name) for name in ("vantage", "time", "region_code")}


def _tell_captures(evidence: Evidence, said: _Said) -> None:
    """Take over what the captures and their calls were found to show."""
    for entry in evidence.captures:
        site_id, name, document = entry["site_id"], entry["file"], entry["document"]
        said.findings.extend(_placed(finding, site_id, name) for finding in document["findings"])
        for call in document["calls"]:
            said.findings.extend(
                _placed(finding, site_id, name, call_id=call["call_id"]) for finding in call["findings"]
            )


def _allowlist_for(client: Client, ranked: Ranking, said: _Said) -> dict[str, Any] | None:
    """Build Option 1 for the recommended Regions, from the sites' subnets where they are known."""
    regions = ranked.to_document()["recommendation"]["regions"]
    if not regions:
        said.unknowns.append("No Region is recommended, so no allowlist was built.")
        return None
    subnets = tuple(dict.fromkeys(subnet for site in client.sites for subnet in site.subnets))
    return build(regions, option="domains", from_subnets=subnets).to_document()


def _placed(finding: dict[str, Any], site_id: str | None, file: str | None, **more: str) -> dict[str, Any]:
    return {**finding, "site_id": site_id, "file": file, **more}


def _audit_rules(client: Client, ranked: Ranking, said: _Said) -> Iterable[dict[str, Any]]:
    """Hold each file of the client's firewall rules against what the recommended Regions need."""
    regions = ranked.to_document()["recommendation"]["regions"]
    if not regions:
        return
    if not client.rules:
        said.unknowns.append(
            "The client's firewall rules are unknown: put an export of them into rules/ to have them audited."
        )
    for file in client.rules:
        name = shown(client, file.path)
        try:
            document = audit(read_client_rules(file.path), regions).to_document()
        except CcpAssessError as error:
            said.left_out(unreadable("RULES_UNREADABLE", file, name, error))
            continue
        said.findings.extend(
            _placed(finding, file.site_id, name) for finding in _audit_findings(name, regions, document)
        )
        yield {"site_id": file.site_id, "file": name, "regions": list(regions), "document": document}


def _audit_findings(name: str, regions: Sequence[str], document: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """Say in a sentence each what a file of rules lacks, opens too wide, and keeps without need."""
    where = ", ".join(regions)
    missing, wide, stale = (document[part] for part in ("missing", "too_wide", "stale"))
    if missing:
        audio = any(row["transport"] == "udp" for row in missing)
        targets = list(dict.fromkeys(f"{row['target']} {row['port']}/{row['transport']}" for row in missing))
        named = ", ".join(targets[:3]) + (f" and {len(targets) - 3} more" if len(targets) > 3 else "")
        yield {
            "code": "FIREWALL_RULE_MISSING",
            "severity": "critical" if audio else "warning",
            "text": f"{name} lacks {len(missing)} of the {len(missing) + len(document['covered'])} rules that {where} "
            f"requires, or lets them through in part{', the audio among them' if audio else ''}: add {named}.",
            "evidence": {"missing": len(missing), "covered": len(document["covered"]), "targets": targets},
        }
    if wide:
        yield {
            "code": "FIREWALL_RULE_TOO_WIDE",
            "severity": "info",
            "text": f"{name} opens more than {where} needs in {len(wide)} rules; narrow them to the required ones.",
            "evidence": {"too_wide": len(wide)},
        }
    if stale:
        yield {
            "code": "FIREWALL_RULE_STALE",
            "severity": "info",
            "text": f"{name} has {len(stale)} rules for addresses or names that are published no longer; remove them.",
            "evidence": {"stale": len(stale)},
        }
