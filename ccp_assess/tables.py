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
        # clients' tables
        _column("site_id", "text", "", "Site", "Short name of a place where agents work, unique."),
        _column("name", "text", "", "Name", "Name for people."),
        _column("place", "text", "", "Place", "City and country, as in `Lisbon, PT`."),
        _column("country", "text", "", "Country", "ISO 3166 alpha-2 code."),
        _column("latitude", "number", "°", "Latitude", "Decimal degrees, north positive."),
        _column("longitude", "number", "°", "Longitude", "Decimal degrees, east positive."),
        _column("agents", "integer", "", "Agents", "Number of agents: the weight of a site."),
        _column(
            "access",
            "text",
            "",
            "Access",
            "How traffic reaches the Internet: office, home, vpn, vdi or direct_connect.",
        ),
        _column("subnets", "text", "", "Subnets", "CIDRs of the workstations, separated by blanks."),
        _column("uplink_mbps", "number", "Mbit/s", "Uplink", "Capacity of the site towards its provider."),
        _column("via_site_id", "text", "", "Leaves through", "Hub through which the site's traffic leaves."),
        _column("origin_id", "text", "", "Caller origin", "Short name of a place customers call from, unique."),
        _column("call_share_pct", "number", "%", "Call share", "Share of all calls that come from this origin."),
        _column("line", "text", "", "Line", "Kind of telephone line: mobile, landline or mixed."),
        _column("target_id", "text", "", "Transfer target", "Short name of an external destination, unique."),
        _column("share_of_calls_pct", "number", "%", "Share of calls", "Share of all calls sent to this target."),
        _column("circular", "flag", "", "Circular", "Whether the target sends calls back into Amazon Connect."),
        _column("share_of_agents_pct", "number", "%", "Share of agents", "Share of the site's agents concerned."),
        _column("kind", "text", "", "Kind", "What a file, a rule or an option is."),
        _column("path", "text", "", "Path", "Where a file lies."),
        # common
        _column("region_code", "text", "", "Region", "AWS Region, such as `eu-west-2`."),
        _column("regions", "text", "", "Regions", "The Regions of an option."),
        _column("basis", "text", "", "Basis", "How a number is known: measured, modelled or assumed."),
        _column("source", "text", "", "Source", "Where a fact comes from."),
        _column("retrieved", "text", "", "Retrieved", "When the source was read (ISO date)."),
        _column("time", "instant", "", "Time", "Instant in UTC (RFC 3339)."),
        _column("first_time", "instant", "", "First", "Instant of the first packet."),
        _column("last_time", "instant", "", "Last", "Instant of the last packet."),
        _column(
            "start_time",
            "instant",
            "",
            "Start",
            "First ICE check, DTLS or RTP of a call; of a failed call its first Allocate.",
        ),
        _column("end_time", "instant", "", "End", "Last media of a call, or its close."),
        _column("code", "text", "", "Code", "Name of a finding, from a closed list."),
        _column("severity", "text", "", "Severity", "How much a finding matters: info, warning or critical."),
        _column("text", "text", "", "Text", "One sentence for people."),
        _column("file", "text", "", "File", "The file that a row was found in."),
        # endpoints, transactions
        _column("host", "text", "", "Host", "Name asked for in TLS or DNS, in lower case."),
        _column("address", "text", "", "Address", "IP address."),
        _column("port", "integer", "", "Port", "Port of the far end."),
        _column("transport", "text", "", "Transport", "Protocol under the application: udp or tcp."),
        _column(
            "role",
            "text",
            "",
            "Role",
            "What an endpoint is for: api, signalling, media_relay, static, telemetry, dns or other.",
        ),
        _column("packets_out", "integer", "", "Packets out", "Packets sent by the workstation (count)."),
        _column("packets_in", "integer", "", "Packets in", "Packets received by the workstation (count)."),
        _column("bytes_out", "integer", "bytes", "Bytes out", "Bytes sent by the workstation."),
        _column("bytes_in", "integer", "bytes", "Bytes in", "Bytes received by the workstation."),
        _column("connect_rtt_ms", "number", "ms", "Connect round trip", "Median time from SYN to SYN/ACK."),
        _column(
            "tls_handshake_ms", "number", "ms", "TLS handshake", "Time from ClientHello to the end of the handshake."
        ),
        _column(
            "tls_issuer", "text", "", "TLS issuer", "Who signed the certificate; a company's own name means inspection."
        ),
        _column(
            "retransmissions", "integer", "", "Retransmissions", "Segments or requests that were sent again (count)."
        ),
        _column(
            "hops_estimate",
            "integer",
            "",
            "Hops estimate",
            "Hops guessed from the TTL of what arrives; not a hop count.",
        ),
        _column("answered", "flag", "", "Answered", "Whether anything came back."),
        _column("method", "text", "", "Method", "What a STUN or TURN request asked for."),
        _column("outcome", "text", "", "Outcome", "success, error or no_answer."),
        _column("error_code", "integer", "", "Error code", "Number of a STUN error (RFC 8489)."),
        _column(
            "rtt_ms", "number", "ms", "Round trip", "Time from a request to its answer (RFC 2681); say which probe."
        ),
        # streams
        _column("ssrc", "text", "", "SSRC", "Synchronisation source of an RTP stream (RFC 3550)."),
        _column("payload_type", "integer", "", "Payload type", "The most frequent RTP payload type of a stream."),
        _column("direction", "text", "", "Direction", "Seen from the workstation: out, in or unknown."),
        _column("relay", "text", "", "Relay", "Form in which media was relayed: channel_data, indication or none."),
        _column("channel_number", "integer", "", "Channel", "TURN channel (RFC 8656)."),
        _column("relay_transport", "text", "", "Relay transport", "What carries the relayed media: udp, tcp or tls."),
        _column("clock_rate_hz", "integer", "Hz", "Clock rate", "Of RTP timestamps; 48 000 for Opus (RFC 7587)."),
        _column("packets", "integer", "", "Packets", "Arrivals, duplicates included (count)."),
        _column(
            "expected",
            "integer",
            "",
            "Expected",
            "Highest less lowest extended sequence number, plus 1 (RFC 3550 A.3).",
        ),
        _column("lost", "integer", "", "Lost", "Expected less unique arrivals (count)."),
        _column(
            "loss_pct",
            "number",
            "%",
            "Loss",
            "Network loss of a stream, *Ppl* of the E-model; unknown for `out` at the sender's own capture.",
        ),
        _column("duplicates", "integer", "", "Duplicates", "Same sequence number seen again within 500 (count)."),
        _column("reordered", "integer", "", "Reordered", "Arrived after a higher sequence number (count)."),
        _column("jitter_ms", "number", "ms", "Jitter", "Interarrival jitter of RFC 3550 A.8, the last value."),
        _column("jitter_mean_ms", "number", "ms", "Mean jitter", "Mean of the same estimator over the stream."),
        _column("jitter_max_ms", "number", "ms", "Highest jitter", "Highest value of the same estimator."),
        _column(
            "ipdv_ms",
            "number",
            "ms",
            "Delay variation",
            "Difference in delay of consecutive packets (RFC 3393); not the same as jitter.",
        ),
        _column("longest_gap_ms", "number", "ms", "Longest gap", "Longest time between two arrivals."),
        _column("burst_ratio", "number", "", "Burst ratio", "BurstR of G.107: 1 is random loss."),
        _column(
            "late_pct",
            "number",
            "%",
            "Late",
            "Speech missing at its playout in a simulated jitter buffer (after WebRTC NetEq).",
        ),
        _column("packetization_ms", "number", "ms", "Packetization", "Time that one packet covers; 20 ms as a rule."),
        _column("playout_ms", "number", "ms", "Playout", "Delay that the jitter buffer adds."),
        _column("clock_skew_ppm", "number", "ppm", "Clock skew", "Sender's clock against the capture's."),
        # calls
        _column("call_id", "text", "", "Call", "Hash of relay, first media time and SSRCs."),
        _column("mos_cqe", "number", "", "MOS-CQE", "Estimated conversational quality (P.800.1), 1 to 4.5."),
        _column("r_factor", "number", "", "R", "Transmission rating factor (G.107); never compare across scales."),
        _column("scale", "text", "", "Scale", "Scale of a rating: narrowband, wideband or fullband."),
        _column("rtt_min_ms", "number", "ms", "Lowest round trip", "Lowest of the round trips."),
        _column("rtt_avg_ms", "number", "ms", "Mean round trip", "Mean of the round trips."),
        _column("rtt_max_ms", "number", "ms", "Highest round trip", "Highest of the round trips."),
        _column(
            "rtt_p50_ms", "number", "ms", "Median round trip", "Half of the round trips are not longer (nearest rank)."
        ),
        _column(
            "rtt_p95_ms", "number", "ms", "Round trip p95", "95 % of the round trips are not longer (nearest rank)."
        ),
        # paths
        _column("ttl", "integer", "", "TTL", "Step of a path."),
        _column(
            "hop_count", "integer", "", "Hops", "Lowest TTL at which the destination answered; unknown if it never did."
        ),
        _column("hops_seen", "integer", "", "Hops seen", "Hops that answered; not the same as the hop count."),
        _column("asn", "integer", "", "AS", "Origin autonomous system of a hop."),
        _column("sent", "integer", "", "Sent", "Probes sent (count)."),
        _column("received", "integer", "", "Received", "Answers received (count)."),
        _column("technique", "text", "", "Technique", "What probes were made of: udp, icmp or tcp."),
        _column("vantage", "text", "", "Vantage", "Where a measurement was taken: a workstation, or a bench."),
        # options
        _column("rank", "integer", "", "Rank", "1 is best; none where a constraint excludes the option."),
        _column("mouth_to_ear_ms", "number", "ms", "Mouth to ear", "One-way delay from mouth to ear, *Ta* of G.107."),
        _column("mouth_to_ear_mean_ms", "number", "ms", "Mean mouth to ear", "Mean over all calls."),
        _column("mouth_to_ear_p50_ms", "number", "ms", "Median mouth to ear", "Median over all calls."),
        _column("mouth_to_ear_p95_ms", "number", "ms", "Mouth to ear p95", "95 % of all calls are not slower."),
        _column(
            "share_over_150_ms_pct", "number", "%", "Over 150 ms", "Share of calls with a longer mouth-to-ear delay."
        ),
        _column(
            "share_over_300_ms_pct", "number", "%", "Over 300 ms", "Share of calls with a longer mouth-to-ear delay."
        ),
        _column(
            "share_over_400_ms_pct", "number", "%", "Over 400 ms", "Share of calls with a longer mouth-to-ear delay."
        ),
        _column(
            "probability_best_pct",
            "number",
            "%",
            "Probability of best",
            "Share of simulated worlds in which the option is best.",
        ),
        _column("excluded_by", "text", "", "Excluded by", "Constraint that an option breaks."),
        _column("agent_leg_ms", "number", "ms", "Agent leg", "One way between a site and the Region."),
        _column(
            "caller_leg_ms",
            "number",
            "ms",
            "Caller leg",
            "One way between the Region and a caller, telephone network included.",
        ),
        _column("leg_ms", "number", "ms", "Leg", "One way between the Region and a transfer target."),
        _column("great_circle_km", "number", "km", "Distance", "Over the great circle."),
        _column(
            "one_way_ms",
            "number",
            "ms",
            "One way",
            "One-way delay (RFC 7679); half a round trip where only that is known.",
        ),
        # allowlist
        _column("target", "text", "", "Target", "What a firewall rule lets through: a name, a block or a URL."),
        _column("purpose", "text", "", "Purpose", "Why a rule is needed."),
        _column("from", "text", "", "From", "Source addresses of a rule."),
        _column("symptom", "text", "", "Symptom", "What the agent sees if a rule is missing."),
        _column("deadline", "instant", "", "Deadline", "Until when a new block must be allowed: 30 days."),
        _column("failure_rate_pct", "number", "%", "Failure rate", "Failed calls of a trial per call."),
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
