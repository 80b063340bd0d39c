"""Ready views over the dataset, in SQL; percentiles are exact, nearest rank.

Sorting a hundred million values costs gigabytes. The one-second series holds whole numbers of 10 µs, so equal values
are counted first and the few thousand counts are walked: the same answer for a fraction of the work.
"""

# ruff: noqa: S608, ISC004  (the SQL is put together of our own names alone; pieces of a sentence stand on lines)

from __future__ import annotations

from collections.abc import Sequence


def _ranked(name: str, column: str, keys: Sequence[str], source: str, percentiles: Sequence[int]) -> str:
    """Count values of a column per key and pick its percentiles [ms]."""
    by = ", ".join(keys)
    over = f"partition by {by}"
    picks = ", ".join(
        f"min(v) filter (where c * 100 >= {percent}::hugeint * t) / 100.0 as {name}_p{percent}_ms"
        for percent in percentiles
    )
    return (
        f"(select {by}, {picks}, max(t)::bigint as {name}_n from ("
        f"select *, sum(n) over ({over} order by v) as c, sum(n) over ({over}) as t from ("
        f"select {by}, {column} as v, count(*) as n from {source} where {column} is not null group by all)) "
        f"group by {by})"
    )


def _quality(keys: Sequence[str], source: str) -> str:
    """Loss, jitter and round trips of received audio per key."""
    by = ", ".join(keys)
    # Round trips belong to the second of a call, and stand beside each of its streams: the incoming one is counted.
    received = f"(select * from {source} where direction <> 'out')"
    return f"""
select * from (
  select {by}, count(*) as seconds, sum(packets)::bigint as packets, sum(lost)::bigint as lost,
    round(100.0 * sum(lost) / nullif(sum(packets) + sum(lost), 0), 4) as loss_pct,
    round(100.0 * sum(late) / nullif(sum(packets), 0), 4) as late_pct
  from {received} group by all)
left join {_ranked("jitter", "jitter_10us", keys, received, (50, 95))} using ({by})
left join {_ranked("rtt", "rtt_media_10us", keys, received, (50, 95))} using ({by})
"""


_BY_PROVIDER = """(
select seconds.*, coalesce(p.provider, 'unknown') as provider from seconds left join (
  select client, site_id, coalesce(max(s.provider), max('AS' || a.provider_asn)) as provider
  from (select distinct client, site_id, provider from sites) s
  full join (
    select client, site_id, mode(provider_asn) as provider_asn from probes where provider_asn is not null group by all
  ) a using (client, site_id) group by all) p using (client, site_id))"""

VIEWS: dict[str, tuple[str, str]] = {
    "worst_sites": (
        "sites by the jitter, loss and round trip of received audio, worst first",
        f"select * from ({_quality(('client', 'site_id'), 'seconds')}) "
        "order by loss_pct + late_pct desc nulls last, jitter_p95_ms desc nulls last, client, site_id",
    ),
    "by_hour": (
        "the same by hour of the day, UTC",
        f"select * from ({_quality(('hour_utc',), '(select *, hour(time) as hour_utc from seconds)')}) "
        "order by hour_utc",
    ),
    "by_provider": (
        "the same by provider: column `provider` of sites.csv, else the first network on the path of the probes",
        f"select * from ({_quality(('provider',), _BY_PROVIDER)}) order by provider",
    ),
    "region_comparison": (
        "Regions per site by the round trips of the probes, best first",
        """
select client, site_id, region_code, count(*) as rounds, quantile_disc(rtt_p50_ms, 0.5) as rtt_p50_ms,
  quantile_disc(rtt_p95_ms, 0.95) as rtt_p95_ms, avg(loss_pct) as loss_mean_pct,
  quantile_disc(jitter_ms, 0.5) as jitter_p50_ms, quantile_disc(hop_count, 0.5) as hop_count_p50,
  case when count(rtt_p50_ms) > 0 then
    rank() over (partition by client, site_id order by quantile_disc(rtt_p50_ms, 0.5) nulls last) end as rank
from probes where region_code is not null group by client, site_id, region_code
order by client, site_id, rank nulls last, region_code
""",
    ),
}
"""View → what it shows, and its SQL over the tables."""

BEFORE_AFTER = f"""
create macro before_after(since) as table
select * from ({
    _quality(
        ("client", "site_id", "period"),
        "(select *, case when time < since then 'before' else 'after' end as period from seconds)",
    )
}) order by client, site_id, period desc
"""
"""Table function: ``select * from before_after(timestamp '2026-11-01')`` [UTC]."""

SECONDS_MS = """
create view seconds_ms as select * exclude
  (jitter_10us, ipdv_10us, longest_gap_10us, rtt_relay_10us, rtt_media_10us),
  jitter_10us / 100.0 as jitter_ms, ipdv_10us / 100.0 as ipdv_ms, longest_gap_10us / 100.0 as longest_gap_ms,
  rtt_relay_10us / 100.0 as rtt_relay_ms, rtt_media_10us / 100.0 as rtt_media_ms
from seconds
"""
"""The one-second series in milliseconds."""
