"""The firewall panel: switches become rules, rules become a file in any format, and a client's own rules are audited.

Every control is an ordinary widget::

    panel = show_firewall_panel(["eu-west-2"])
    panel.option.value = "hybrid"
    panel.format.value = "paloalto"
    panel.rendered.content
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any, cast

import ipywidgets

from ccp_assess.allowlist import Allowlist, Audit, ClientRules, Switches, audit, build, compare_options
from ccp_assess.allowlist import read_client_rules as read_rules
from ccp_assess.allowlist.formats import FORMATS, Rendered, render
from ccp_assess.errors import CcpAssessError
from ccp_assess.regions import read_regions
from ccp_assess.report.style import CRITICAL, INK, QUIET, RULE
from ccp_assess.report.words import big, clean, number
from ccp_assess.widgets.controls import FileDrop
from ccp_assess.widgets.kept_choices import KeptChoices
from ccp_assess.widgets.panel import (
    LABEL,
    LINE,
    WIDE,
    Panel,
    button,
    download_html,
    panel_box,
    problem_html,
    row,
    said_html,
)

MOST_ROWS = 60
MOST_PREVIEW_LINES = 40
_CELL = f"padding:2px 10px 2px 0;border-bottom:1px solid {RULE};text-align:left;vertical-align:top;color:{INK}"
_MEDIA_TYPES = {".csv": "text/csv", ".json": "application/json", ".md": "text/markdown"}


class FirewallPanel(Panel):
    """What the firewall must let through, and what it does let through.

    Parameters
    ----------
    regions
        The Regions to begin with.
    from_subnets
        Where the workstations are, to begin with.
    folder
        The client folder in which the choices are kept; ``None`` for none.

    Attributes
    ----------
    regions, option, turn, static, stateless, from_subnets, instance, attachments_bucket
        Lists and texts: the switches of ``allowlist build``.
    saml, legacy_domain, global_resiliency, scheduling, app_calling, media_less, ec2_global
        The others of them, to be ticked.
    format, proxy, download
        Output format, the proxy that some need, and the link that saves the file.
    drop
        Place for an export of the client's own rules.
    rules, audit
        What is required, and what the client's rules lack.
    problem
        One sentence where the switches do not fit.
    """

    def __init__(self, regions: Sequence[str], from_subnets: Sequence[str] = (), folder: Path | None = None) -> None:
        self._own_rules: ClientRules | None = None
        self._own_name = ""
        self.allowlist: Allowlist | None = None
        self.rendered: Rendered | None = None
        self.audited: Audit | None = None
        self.regions = ipywidgets.SelectMultiple(
            options=[(f"{code}  {region.place}", code) for code, region in read_regions().items()],
            value=tuple(regions),
            description="Regions",
            rows=6,
            layout=WIDE,
            style=LABEL,
        )
        self.option = _dropdown(
            "Option",
            [("1: names", "domains"), ("2: address blocks", "addresses"), ("Hybrid: names, audio by blocks", "hybrid")],
        )
        self.turn = _dropdown("Audio relays", [("by wildcard", "wildcard"), ("by their listed names", "named")])
        self.static = _dropdown("Static files", [("*.cloudfront.net", "all"), ("listed names only", "named")])
        self.stateless = _dropdown(
            "Firewall is",
            [
                ("stateful", ""),
                ("stateless, Windows", "windows"),
                ("stateless, Linux", "linux"),
                ("stateless, macOS", "macos"),
                ("stateless, any system", "any"),
            ],
        )
        self.from_subnets = _text("Workstations", "10.20.0.0/16 10.21.4.0/24", " ".join(from_subnets))
        self.instance = _text("Instance alias", "all aliases if empty")
        self.attachments_bucket = _text("Attachments' bucket", "none")
        self.saml = _check("Sign-in by SAML", value=True)
        self.legacy_domain = _check("Old awsapps.com domain")
        self.global_resiliency = _check("Global Resiliency")
        self.scheduling = _check("Scheduling uploads")
        self.app_calling = _check("In-app, web and video calls")
        self.media_less = _check("No audio in the browser")
        self.ec2_global = _check("EC2 entries of no Region")
        self.format = _dropdown("Format", [(f"{form.title} ({name})", name) for name, form in FORMATS.items()])
        self.proxy = _text("Other traffic by", "proxy host:port, for a PAC file")
        self.download, self.problem, self.left_out = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        self.rules, self.audit = ipywidgets.HTML(), ipywidgets.HTML()
        self.forget = button("Forget these rules")
        self.forget.layout.display = "none"
        self.drop = FileDrop(
            self._on_file, "The client's own rules: drop an export here, or choose one", multiple=False
        )
        self.kept = KeptChoices(folder, "firewall", {**self._controls, "format": self.format, "proxy": self.proxy})
        self.box = self._arranged()
        self._refresh()
        for control in self._controls.values():
            control.observe(self._on_change, names="value")
        self.format.observe(self._on_format, names="value")
        self.proxy.observe(self._on_format, names="value")
        self.forget.on_click(self._on_forget)

    @property
    def _controls(self) -> dict[str, Any]:
        names = (
            *("regions", "option", "turn", "static", "stateless", "from_subnets", "instance", "attachments_bucket"),
            *("saml", "legacy_domain", "global_resiliency", "scheduling", "app_calling", "media_less", "ec2_global"),
        )
        return {name: getattr(self, name) for name in names}

    @property
    def switches(self) -> Switches:
        """The switches as the controls stand."""
        return cast(
            "Switches",
            {
                "turn": self.turn.value,
                "static": self.static.value,
                "from_subnets": (self.from_subnets.value,),
                "instance": self.instance.value.strip() or None,
                "legacy_domain": self.legacy_domain.value,
                "saml": self.saml.value,
                "global_resiliency": self.global_resiliency.value,
                "scheduling": self.scheduling.value,
                "app_calling": self.app_calling.value,
                "stateless": self.stateless.value or None,
                "media_less": self.media_less.value,
                "attachments_bucket": self.attachments_bucket.value.strip() or None,
                "ec2_global": self.ec2_global.value,
            },
        )

    def static_html(self) -> str:
        """Return what is shown as plain HTML, for where widgets do not work.

        Returns
        -------
        html
            Rules, audit and the file's link.
        """
        parts = (self.problem, self.rules, self.left_out, self.download, self.audit)
        return "<div>" + "".join(part.value for part in parts) + "</div>"

    def _plain_text(self) -> str:
        return f"{len(self.allowlist.rules) if self.allowlist else 0} firewall rules"

    def audit_file(self, path: str | Path) -> Audit | None:
        """Hold a client's rules against the required ones.

        Parameters
        ----------
        path
            An export of the client's firewall.

        Returns
        -------
        audit
            What is shown; ``None`` where the switches do not fit.

        Raises
        ------
        CcpAssessError
            If the file holds no rules.
        """
        self._own_rules, self._own_name = read_rules(path), Path(path).name
        self._audit()
        return self.audited

    def _arranged(self) -> ipywidgets.Widget:
        half = ipywidgets.Layout(flex="0 1 auto")
        where = ipywidgets.VBox(
            [self.regions, self.option, self.turn, self.static, self.stateless, self.from_subnets, self.instance],
            layout=half,
        )
        what = ipywidgets.VBox(
            [
                self.attachments_bucket,
                self.saml,
                self.legacy_domain,
                self.global_resiliency,
                self.scheduling,
                self.app_calling,
                self.media_less,
                self.ec2_global,
            ],
            layout=half,
        )
        file = row(self.format, self.proxy, self.download)
        return panel_box(
            "firewall",
            "What the firewall must let through",
            [
                row(where, what),
                self.kept.box,
                self.problem,
                file,
                self.left_out,
                self.rules,
                self.drop,
                self.forget,
                self.audit,
            ],
        )

    def _on_change(self, _change: object) -> None:
        self._refresh()

    def _refresh(self) -> None:
        try:
            self.allowlist = build(list(self.regions.value), self.option.value, **self.switches)
            rows = compare_options(list(self.regions.value), **self.switches)
        except CcpAssessError as error:
            self.problem.value = problem_html(str(error), "What is shown is from before.")
            return
        self.problem.value = ""
        self.rules.value = rules_html(self.allowlist, rows)
        self._render()
        self._audit()

    def _on_format(self, _change: object) -> None:
        self._render()

    def _render(self) -> None:
        if self.allowlist is None:
            return
        try:
            self.rendered = render(self.allowlist, self.format.value, proxy=self.proxy.value.strip() or None)
        except CcpAssessError as error:
            self.rendered, self.download.value = None, ""
            self.left_out.value = problem_html(str(error))
            return
        content = self.rendered.content
        data = content.encode() if isinstance(content, str) else content
        name = f"allowlist-{'-'.join(self.allowlist.regions)}-{self.format.value}{self.rendered.suffix}"
        media_type = _MEDIA_TYPES.get(self.rendered.suffix, "application/octet-stream")
        self.download.value = download_html(name, data, f"Save {name} ({number(len(data))} bytes)", media_type)
        self.left_out.value = _left_out_html(self.rendered)

    def _on_file(self, name: str, path: Path) -> str:
        self._own_rules, self._own_name = read_rules(path), name
        self._audit()
        return f"{name}: {len(self._own_rules.rules)} rules, read as {self._own_rules.format}."

    def _on_forget(self, _button: object) -> None:
        self._own_rules = self.audited = None
        self._audit()

    def _audit(self) -> None:
        self.forget.layout.display = "" if self._own_rules else "none"
        if self._own_rules is None or self.allowlist is None:
            self.audit.value = ""
            return
        try:
            self.audited = audit(self._own_rules, list(self.regions.value), self.option.value, **self.switches)
        except CcpAssessError as error:
            self.audit.value = problem_html(str(error))
            return
        self.audit.value = audit_html(self._own_name, self.audited)


def show_firewall_panel(source: Any) -> FirewallPanel:
    """Make the firewall panel.

    Parameters
    ----------
    source
        The assessment of a client, or codes of Regions.

    Returns
    -------
    panel
        Named in the last line of a cell, it shows itself; with an assessment it begins with the recommended Regions and
        the subnets of the client's sites.
    """
    if isinstance(source, str):
        return FirewallPanel([source])
    if isinstance(source, Sequence):
        return FirewallPanel(list(source))
    regions = source.ranking["recommendation"]["regions"] or [next(iter(read_regions()))]
    subnets = dict.fromkeys(subnet for site in source.client.sites for subnet in site.subnets)
    return FirewallPanel(regions, tuple(subnets), source.client.folder)


def rules_html(allowlist: Allowlist, options: Sequence[dict[str, Any]]) -> str:
    """Return the rules as a table below what they open.

    Parameters
    ----------
    allowlist
        The rules.
    options
        What each option would open, as of ``compare_options``.

    Returns
    -------
    html
        With the first rules; a sentence says how many more there are.
    """
    opened = allowlist.addresses_opened
    others = "; ".join(
        f"{row['label'].lower()} {number(row['addresses_v4'])}" for row in options if row["option"] != allowlist.option
    )
    rows = "".join(
        f"<tr>{_cell(rule.target, mono=True)}{_cell(rule.port)}{_cell(rule.transport)}{_cell(rule.direction)}"
        f"{_cell(rule.purpose)}</tr>"
        for rule in allowlist.rules[:MOST_ROWS]
    )
    more = len(allowlist.rules) - MOST_ROWS
    left = f"<p style='{LINE};color:{QUIET}'>{more} more rules are in the file.</p>" if more > 0 else ""
    notes = "".join(f"<li>{escape(clean(note))}</li>" for note in allowlist.notes)
    heads = "".join(
        f"<th scope='col' style='{_CELL}'>{word}</th>" for word in ("Target", "Port", "Transport", "Direction", "For")
    )
    return (
        f"<div class='ccp-rules'><p role='status' style='{LINE}'><strong>{len(allowlist.rules)} rules</strong> open "
        f"{number(opened['v4'])} IPv4 addresses and {big(opened['v6'])} of IPv6 by block "
        f"<span style='color:{QUIET}'>(IPv4 by {escape(others)})</span>.</p>"
        "<div class='ccp-scroll' tabindex='0' role='region' aria-label='Rules'>"
        "<table style='border-collapse:collapse;font-size:13px'>"
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>{left}"
        f"<details><summary>{len(allowlist.notes)} notes that belong to the rules</summary><ul>{notes}</ul></details>"
        "</div>"
    )


def audit_html(name: str, audited: Audit) -> str:
    """Return what a client's rules lack, open too wide, and keep without need.

    Parameters
    ----------
    name
        Of the file.
    audited
        What was found.

    Returns
    -------
    html
        Sentences and lists; gravest first.
    """
    missing = _listed(audited.missing, "missing", _missing_words, is_open=True)
    wide = _listed(audited.too_wide, "wider than needed", _rule_words)
    stale = _listed(audited.stale, "for what is published no longer", _rule_words)
    covered = _listed(audited.covered, "required and let through", _missing_words)
    notes = "".join(f"<li>{escape(clean(note, 400))}</li>" for note in audited.notes)
    colour = CRITICAL if audited.missing else INK
    verdict = (
        f"{len(audited.missing)} of {len(audited.missing) + len(audited.covered)} required rules are missing"
        if audited.missing
        else f"all {len(audited.covered)} required rules are let through"
    )
    return (
        f"<div class='ccp-audit'><p role='status' style='{LINE};color:{colour}'><strong>{escape(clean(name, 80))}: "
        f"{verdict}.</strong></p>{missing}{wide}{stale}{covered}<details><summary>How it was read</summary><ul>{notes}"
        "</ul></details></div>"
    )


def _listed(
    rows: Sequence[dict[str, Any]], words: str, say: Callable[[dict[str, Any]], str], *, is_open: bool = False
) -> str:
    if not rows:
        return ""
    items = "".join(f"<li>{escape(clean(say(row), 300))}</li>" for row in rows[:MOST_ROWS])
    state = " open" if is_open else ""
    return f"<details{state}><summary>{len(rows)} {words}</summary><ul style='{LINE}'>{items}</ul></details>"


def _missing_words(found: dict[str, Any]) -> str:
    symptom = f": {found['symptom']}" if found.get("symptom") else ""
    return f"{found.get('target')} {found.get('port')}/{found.get('transport')}{symptom}"


def _rule_words(found: dict[str, Any]) -> str:
    return f"row {found['line']}, {found['rule']}: {found['why']}"


def _left_out_html(rendered: Rendered) -> str:
    content = rendered.content
    preview = ""
    if isinstance(content, str):
        lines = content.splitlines()
        shown = escape("\n".join(lines[:MOST_PREVIEW_LINES]))
        more = f"\n… {len(lines) - MOST_PREVIEW_LINES} more lines" if len(lines) > MOST_PREVIEW_LINES else ""
        preview = (
            f"<details><summary>Look into the file</summary><pre class='ccp-preview' tabindex='0' style='overflow:auto;"
            f"max-height:24em;font-size:12px;background:#f6f8fa;color:{INK}'>{shown}{more}</pre></details>"
        )
    return said_html(" ".join(f"Left out: {sentence}" for sentence in rendered.left_out)) + preview


def _cell(text: str, *, mono: bool = False) -> str:
    family = ";font-family:monospace" if mono else ""
    return f"<td style='{_CELL}{family}'>{escape(clean(text, 120))}</td>"


def _dropdown(label: str, options: Sequence[Any]) -> Any:
    return ipywidgets.Dropdown(options=options, description=label, layout=WIDE, style=LABEL)


def _text(label: str, placeholder: str, value: str = "") -> Any:
    return ipywidgets.Text(
        value=value,
        description=label,
        placeholder=placeholder,
        continuous_update=False,
        layout=WIDE,
        style=LABEL,
    )


def _check(label: str, *, value: bool = False) -> Any:
    return ipywidgets.Checkbox(value=value, description=label, layout=WIDE, style=LABEL)
