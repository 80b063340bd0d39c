"""What a dataset of many sites answers, all of it at once: the ready views, what was found, set aside, and is unknown.

Panels, notebooks and the page of many sites show these rows; nothing is worked out anew from them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo

from ccp_assess.fleet.dataset import Dataset
from ccp_assess.fleet.needs import FleetError
from ccp_assess.fleet.sources import open_place
from ccp_assess.fleet.store import Store
from ccp_assess.paths import vantage_from_name

Rows = list[dict[str, Any]]
Progress = Callable[[str, int, int], None]

_REGIONS = """
select * from region_comparison left join (
  select client, site_id, region_code, string_agg(distinct vantage, ', ' order by vantage) as vantages,
    case when count(rtt_p50_ms) = 0 then null when max(rtt_n) = 0 then 'means of a tool'
      when min(rtt_n) filter (where rtt_p50_ms is not null) = 0 then 'single trips and means' else 'single trips' end
    as trips
  from probes group by all) using (client, site_id, region_code)
order by client, site_id, rank nulls last, region_code
"""

_BEFORE_AFTER = """
select * from before_after(timestamp '{since}') left join (
  select client, site_id, case when start_time < timestamp '{since}' then 'before' else 'after' end as period,
    count(*) as calls
  from calls where start_time is not null group by all) using (client, site_id, period)
order by client, site_id, period desc
"""

_FINDINGS = """
select code, severity, sites, findings, site_ids, example from findings_by_code
order by case severity when 'critical' then 0 when 'warning' then 1 else 2 end, sites desc, findings desc, code
"""

_FINDINGS_BY_SITE = """
select code, severity, client, site_id, count(*) as findings from findings group by all
order by code, severity, client, site_id
"""

_COVERAGE = """
with named as (select client, site_id, any_value(name) as name, any_value(place) as place, max(agents) as agents,
    any_value(access) as access, any_value(provider) as provider
  from sites group by client, site_id),
recorded as (select client, site_id, count(*) as captures, sum(packets)::bigint as packets,
    min(first_time) as first_time, max(last_time) as last_time from captures group by client, site_id),
spoken as (select client, site_id, count(*) as calls, count(*) filter (where outcome = 'failed') as failed
  from calls group by client, site_id),
probed as (select client, site_id, count(distinct (source, time)) as probe_rounds,
    count(distinct region_code) as regions, count(distinct region_code) filter (where rtt_p50_ms is not null)
    as regions_timed from probes group by client, site_id)
select client, site_id, named.site_id is not null as is_listed, name, place, agents, access, provider,
  coalesce(captures, 0) as captures,
  coalesce(packets, 0) as packets, first_time, last_time, coalesce(calls, 0) as calls,
  coalesce(failed, 0) as failed, coalesce(probe_rounds, 0) as probe_rounds, coalesce(regions, 0) as regions,
  coalesce(regions_timed, 0) as regions_timed
from named full join recorded using (client, site_id) full join spoken using (client, site_id)
  full join probed using (client, site_id)
order by client, site_id
"""

_BENCH = "select distinct client, site_id, path from captures where path like '%\\_\\_%' escape '\\'"

_HOURS_OF_A_SITE = """
select hour(timezone('{zone}', timezone('UTC', time))) as hour, count(*) as seconds,
  sum(packets)::bigint as packets, sum(lost)::bigint as lost,
  round(100.0 * sum(lost) / nullif(sum(packets) + sum(lost), 0), 4) as loss_pct,
  round(100.0 * sum(late) / nullif(sum(packets), 0), 4) as late_pct,
  quantile_disc(jitter_10us, 0.5) / 100.0 as jitter_p50_ms, quantile_disc(jitter_10us, 0.95) / 100.0 as jitter_p95_ms,
  quantile_disc(rtt_media_10us, 0.5) / 100.0 as rtt_p50_ms, quantile_disc(rtt_media_10us, 0.95) / 100.0 as rtt_p95_ms,
  count(rtt_media_10us) as rtt_n
from seconds where direction <> 'out' and client = '{client}' and site_id = '{site_id}' group by 1 order by 1
"""

QUESTIONS: dict[str, str] = {
    "worst_sites": "select * from worst_sites",
    "by_hour": "select * from by_hour",
    "by_day": "select * from by_day",
    "by_provider": "select * from by_provider",
    "by_region": "select * from by_region",
    "worst_calls": "select * from worst_calls limit 1000",
    "region_comparison": _REGIONS,
    "findings": _FINDINGS,
    "findings_by_site": _FINDINGS_BY_SITE,
    "coverage": _COVERAGE,
}
"""Name of an answer → the question; ``before_after`` is asked with an instant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Everything that is shown of a dataset.

    Parameters
    ----------
    store
        Where it lies, as it was given.
    manifest
        What the dataset adds up to; empty where its run did not end.
    rows
        Name of the answer → its rows; the keys of `QUESTIONS`, and ``before_after`` if an instant was given.
    since
        That instant, UTC.
    masked
        Whether whatever names a client or its places is masked.
    """

    store: str
    manifest: dict[str, Any]
    rows: dict[str, Rows] = field(default_factory=dict)
    since: datetime | None = None
    masked: bool = False

    @property
    def set_aside(self) -> Rows:
        """Files that could not be read: ``path`` and ``reason``."""
        return list(self.manifest.get("set_aside") or [])


def read_answers(url: str, *, since: datetime | None = None, progress: Progress | None = None) -> Answers:
    """Ask a dataset everything that is shown of it.

    Parameters
    ----------
    url
        Its folder or bucket.
    since
        An instant to compare before and after; without a zone it is taken as UTC. ``None`` for no comparison.
    progress
        Called with the question that is asked, how many were answered, and how many there are.

    Returns
    -------
    answers
        Rows of plain values.

    Raises
    ------
    FleetError
        If there is no dataset, or it cannot be read.
    """
    questions = dict(QUESTIONS)
    instant = None if since is None else as_utc(since)
    if instant is not None:
        questions["before_after"] = _BEFORE_AFTER.format(since=f"{instant:%Y-%m-%d %H:%M:%S.%f}")
    rows: dict[str, Rows] = {}
    with Store(url) as store:
        for number, (name, sql) in enumerate(questions.items()):
            if progress is not None:
                progress(name.replace("_", " "), number, len(questions))
            rows[name] = store.ask(sql).to_rows()
        bench = {
            (row["client"], row["site_id"])
            for row in store.ask(_BENCH).to_rows()
            if vantage_from_name(row["path"].rpartition("/")[2]) == "bench"
        }
    for row in rows["coverage"]:
        row["vantage"] = "bench" if (row["client"], row["site_id"]) in bench else None
    return Answers(store=url, manifest=Dataset(open_place(url)).manifest() or {}, rows=rows, since=instant)


def hours_of_site(url: str, client: str, site_id: str, zone: str) -> Rows:
    """Ask for one site by the hour of its own clock.

    Parameters
    ----------
    url
        Folder or bucket of the dataset.
    client, site_id
        Whose hours.
    zone
        Name of a time zone, such as ``Europe/London``; changes of the clock are followed.

    Returns
    -------
    rows
        As of ``by_hour``, with ``hour`` of that clock.

    Raises
    ------
    FleetError
        If there is no such zone or no dataset.
    """
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise FleetError(f"{zone!r} is no time zone; write one such as Europe/London, or UTC") from error
    told = {"client": client, "site_id": site_id, "zone": zone}
    quoted = {name: value.replace("'", "''") for name, value in told.items()}
    with Store(url) as store:
        return store.ask(_HOURS_OF_A_SITE.format(**quoted)).to_rows()


def as_utc(instant: datetime) -> datetime:
    """Return an instant in UTC; one without a zone is taken as UTC.

    Parameters
    ----------
    instant
        Any.

    Returns
    -------
    instant
        With the zone UTC.
    """
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def dataset_title(answers: Answers) -> str:
    """Name a dataset for people.

    Parameters
    ----------
    answers
        What was read of it.

    Returns
    -------
    title
        The clients in it, or the name of its folder where there are many or none.
    """
    clients = sorted({str(row["client"]) for row in answers.rows["coverage"]})
    return ", ".join(clients) if 0 < len(clients) <= 3 else PurePosixPath(answers.store.replace("\\", "/")).name
