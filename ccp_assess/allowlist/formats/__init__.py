"""One output format, one small file; each declares what it can express and says what it left out."""

from __future__ import annotations

import re

from ccp_assess.allowlist.formats import (
    aws,
    azure,
    checkpoint,
    cisco,
    fortigate,
    iptables,
    nftables,
    paloalto,
    pf,
    plainlists,
    proxies,
    request,
    suricata,
    tables,
    windows,
)
from ccp_assess.allowlist.formats.base import Fitted, Format, Rendered, fit
from ccp_assess.allowlist.rules import Allowlist
from ccp_assess.errors import AllowlistError

FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        tables.TABLE,
        tables.CSV,
        tables.JSON,
        tables.MARKDOWN,
        request.REQUEST,
        request.REQUEST_DOCX,
        proxies.PAC,
        paloalto.PALOALTO,
        fortigate.FORTIGATE,
        cisco.ASA,
        cisco.IOS,
        plainlists.LIST,
        plainlists.EDL_IP,
        plainlists.EDL_URL,
        proxies.BYPASS,
        proxies.SQUID,
        nftables.NFTABLES,
        iptables.IPTABLES,
        iptables.IP6TABLES,
        pf.PF,
        checkpoint.CHECKPOINT,
        aws.SG_JSON,
        aws.SG_TERRAFORM,
        aws.NFW_JSON,
        aws.NFW_TERRAFORM,
        azure.AZURE,
        proxies.ZSCALER,
        proxies.NETSKOPE,
        windows.WINDOWS,
        suricata.SURICATA,
    )
}
"""Every output format by its name on the command line."""

_OTHER_NAMES = {re.sub(r"[^a-z0-9]", "", form): form for form in FORMATS} | {
    "md": "markdown",
    "docx": "change-request-docx",
    "word": "change-request-docx",
    "request": "change-request",
    "plain": "list",
    "plainlist": "list",
    "edl": "list",
    "bypass": "proxy-bypass",
    "panos": "paloalto",
    "fortinet": "fortigate",
    "fortios": "fortigate",
    "asa": "cisco-asa",
    "cisco": "cisco-asa",
    "ios": "cisco-ios",
    "nft": "nftables",
    "awssg": "aws-sg-json",
    "awssgtf": "aws-sg-terraform",
    "awsnfw": "aws-nfw-json",
    "awsnetworkfirewall": "aws-nfw-json",
    "awsnetworkfirewallterraform": "aws-nfw-terraform",
    "terraform": "aws-sg-terraform",
    "azure": "azure-firewall",
    "windows": "windows-firewall",
    "powershell": "windows-firewall",
    "mgmtcli": "checkpoint",
}
"""What people also call a format; case, spaces and hyphens do not matter."""

__all__ = ["FORMATS", "Fitted", "Format", "Rendered", "fit", "render"]


def render(allowlist: Allowlist, name: str, *, proxy: str | None = None) -> Rendered:
    """Write rules in a format.

    Parameters
    ----------
    allowlist
        The rules.
    name
        Name of the format.
    proxy
        ``HOST:PORT`` for what is not in the list, where the format needs one.

    Returns
    -------
    rendered
        Content, and what the format could not say.

    Raises
    ------
    AllowlistError
        If the format is unknown; the text lists the known ones.
    """
    form = FORMATS.get(name) or FORMATS.get(_OTHER_NAMES.get(re.sub(r"[^a-z0-9]", "", name.lower()), ""))
    if form is None:
        raise AllowlistError(f"format {name[:40]!r} is unknown; use one of {', '.join(sorted(FORMATS))}")
    fitted = fit(allowlist, form, proxy=proxy)
    if not fitted.entries:
        nothing = f"ip-ranges.json of {allowlist.ranges_date} holds nothing for {' '.join(allowlist.regions)}"
        reasons = "; ".join(fitted.left_out)[:300] or nothing
        raise AllowlistError(f"nothing of option {allowlist.option} can be written as {name}: {reasons}")
    return Rendered(content=form.write(fitted), left_out=fitted.left_out, suffix=form.suffix)
