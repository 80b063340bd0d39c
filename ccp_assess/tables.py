"""Every column of every table: name, type, unit and meaning, each said once.

A name means the same in every table. The checks of users' tables, the headers of reports, the questionnaire
and the glossary are all made from these rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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
        _column("origin_id", "text", "", "Caller origin", "Short name of a place customers call from, unique."),
        _column("call_share_pct", "number", "%", "Call share", "Share of all calls that come from this origin."),
        _column("line", "text", "", "Line", "mobile, landline or mixed."),
        _column("target_id", "text", "", "Transfer target", "Short name of an external destination, unique."),
        _column("share_of_calls_pct", "number", "%", "Share of calls", "Share of all calls sent to this target."),
        _column("circular", "flag", "", "Circular", "Whether the target sends calls back into Amazon Connect."),
        _column("share_of_agents_pct", "number", "%", "Share of agents", "Share of the site's agents concerned."),
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


ACCESS_WORDS = ("office", "home", "vpn", "vdi", "direct_connect")
LINE_WORDS = ("mixed", "mobile", "landline")
FLAG_WORDS = ("false", "true")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLayout:
    """A table that a client fills in: its columns, which of them are needed, and what they may hold.

    Parameters
    ----------
    name
        The table's name: ``sites`` is read from ``sites.csv`` and from the sheet ``sites``.
    what
        One sentence for whoever fills it in.
    columns
        Every column that is understood, in the order in which it is asked for.
    required
        Columns without which a row says nothing.
    location
        Ways to say where something is, each a set of columns; one of them is needed.
    choices
        Words that a column may hold; the first is what an empty cell means.
    defaults
        What an empty cell means, in words for people.
    examples
        Rows that show how it is done; they are written as comments and never read.
    """

    name: str
    what: str
    columns: tuple[str, ...]
    required: tuple[str, ...]
    location: tuple[tuple[str, ...], ...]
    choices: dict[str, tuple[str, ...]] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)
    examples: tuple[tuple[str, ...], ...] = ()

    @property
    def file(self) -> str:
        """Name of the CSV file in a client folder."""
        return f"{self.name}.csv"

    @property
    def id_column(self) -> str:
        """The column that names a row."""
        return self.columns[0]


_PLACE_OR_COORDINATES = (("place",), ("latitude", "longitude"))

LAYOUTS: dict[str, TableLayout] = {
    layout.name: layout
    for layout in (
        TableLayout(
            name="sites",
            what="One row for each place where agents work; agents at home are one row per city or country.",
            columns=(
                "site_id",
                "name",
                "place",
                "latitude",
                "longitude",
                "agents",
                "access",
                "via_site_id",
                "subnets",
                "uplink_mbps",
            ),
            required=("site_id", "agents"),
            location=_PLACE_OR_COORDINATES,
            choices={"access": ACCESS_WORDS},
            defaults={"access": "office", "via_site_id": "its traffic leaves locally"},
            examples=(
                ("LIS", "Lisbon office", "Lisbon, PT", "", "", "120", "office", "", "10.20.0.0/16 10.21.4.0/24", "500"),
                ("HOME-DE", "Agents at home", "", "50.94", "6.96", "45", "vpn", "LIS", "", ""),
            ),
        ),
        TableLayout(
            name="callers",
            what="One row for each city or country that customers call from; the shares add up to 100.",
            columns=("origin_id", "place", "country", "latitude", "longitude", "call_share_pct", "line"),
            required=("origin_id", "call_share_pct"),
            location=(("place",), ("country",), ("latitude", "longitude")),
            choices={"line": LINE_WORDS},
            defaults={"line": "mixed"},
            examples=(
                ("DE", "", "DE", "", "", "70", "mixed"),
                ("MADRID", "Madrid, ES", "", "", "", "30", "mobile"),
            ),
        ),
        TableLayout(
            name="transfers",
            what="One row for each number outside Amazon Connect that calls are transferred to.",
            columns=("target_id", "place", "latitude", "longitude", "share_of_calls_pct", "circular"),
            required=("target_id", "share_of_calls_pct"),
            location=_PLACE_OR_COORDINATES,
            choices={"circular": FLAG_WORDS},
            defaults={"circular": "false"},
            examples=(("BACKOFFICE", "Paris, FR", "", "", "8", "false"),),
        ),
        TableLayout(
            name="reroutes",
            what="One row for each site whose agents hear the call on another device, such as a desk phone.",
            columns=("site_id", "place", "latitude", "longitude", "share_of_agents_pct"),
            required=("site_id",),
            location=_PLACE_OR_COORDINATES,
            defaults={"share_of_agents_pct": "100"},
            examples=(("LIS", "Porto, PT", "", "", "25"),),
        ),
    )
}
