"""Every column of every table: name, type, unit and meaning, each said once.

A name means the same in every table. The checks of users' tables, the headers of reports and the glossary
are all made from these rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ColumnType = Literal["text", "integer", "number", "flag", "instant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: what it is called, what it holds and in which unit.

    Parameters
    ----------
    name
        Snake case; the last word of a numeric name is its unit.
    kind
        What a cell holds.
    unit
        Unit for headers, empty for counts and words.
    label
        Header for people.
    meaning
        One sentence, with its source where a standard defines it.
    """

    name: str
    kind: ColumnType
    unit: str
    label: str
    meaning: str

    @property
    def header(self) -> str:
        """Header for a report, with the unit in brackets."""
        return f"{self.label} [{self.unit}]" if self.unit else self.label


def _column(name: str, kind: ColumnType, unit: str, label: str, meaning: str) -> Column:
    return Column(name=name, kind=kind, unit=unit, label=label, meaning=meaning)


COLUMNS: dict[str, Column] = {
    column.name: column
    for column in (
        _column("site_id", "text", "", "Site", "Short name of a place where agents work, unique."),
        _column("name", "text", "", "Name", "Name for people."),
        _column("place", "text", "", "Place", "City and country, as in `Lisbon, PT`."),
        _column("country", "text", "", "Country", "ISO 3166 alpha-2 code."),
        _column("latitude", "number", "°", "Latitude", "Decimal degrees, north positive."),
        _column("longitude", "number", "°", "Longitude", "Decimal degrees, east positive."),
        _column("agents", "integer", "", "Agents", "Number of agents: the weight of a site."),
        _column("access", "text", "", "Access", "office, home, vpn, vdi or direct_connect."),
        _column("subnets", "text", "", "Subnets", "CIDRs of the workstations, separated by spaces."),
        _column("uplink_mbps", "number", "Mbit/s", "Uplink", "Capacity of the site towards its provider."),
        _column("via_site_id", "text", "", "Leaves through", "Hub through which the site's traffic leaves."),
        _column(
            "origin_id", "text", "", "Caller origin", "Short name of a place customers call from, unique."
        ),
        _column(
            "call_share_pct", "number", "%", "Call share", "Share of all calls that come from this origin."
        ),
        _column("line", "text", "", "Line", "mobile, landline or mixed."),
        _column("target_id", "text", "", "Transfer target", "Short name of an external destination, unique."),
        _column(
            "share_of_calls_pct", "number", "%", "Share of calls", "Share of all calls sent to this target."
        ),
        _column(
            "circular", "flag", "", "Circular", "Whether the target sends calls back into Amazon Connect."
        ),
        _column(
            "share_of_agents_pct", "number", "%", "Share of agents", "Share of the site's agents concerned."
        ),
        _column("region_code", "text", "", "Region", "AWS Region, such as `eu-west-2`."),
        _column("basis", "text", "", "Basis", "How a number is known: measured, modelled or assumed."),
    )
}


def header(name: str) -> str:
    """Return the report header of a column.

    Parameters
    ----------
    name
        Name of the column.

    Returns
    -------
    header
        Its label with the unit in brackets; the name itself if the column is not listed.

    Examples
    --------
    >>> header("call_share_pct")
    'Call share [%]'
    """
    column = COLUMNS.get(name)
    return column.header if column else name
